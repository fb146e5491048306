import Table from "cli-table3";
import type { ImportStatus, ImportedFile } from "./import-works.ts";
import { type Terminal, counted, printable, wrap } from "./terminal.ts";

/** More rows than this nobody reads; `--json` has them all. */
const MAX_ROWS = 500;

const STATUS_WORDS: Record<ImportStatus, string> = {
  created: "added",
  revised: "new revision",
  unchanged: "as before",
  described: "would be added",
  skipped: "skipped",
  refused: "refused",
};

const STATUS_INKS = {
  created: "green",
  revised: "green",
  unchanged: "dim",
  described: "green",
  skipped: "yellow",
  refused: "red",
} as const satisfies Record<ImportStatus, string>;

const TYPE_COLUMNS = 20;
const LENGTH_COLUMNS = 10;
const GAP_COLUMNS = 2;

/** A table of what was added, what was skipped and why, and a sentence that counts it. */
export function renderImport(files: readonly ImportedFile[], terminal: Terminal): string {
  if (files.length === 0) return "The folder is empty.";
  const shown = rowsWorthShowing(files);
  const rest = terminal.columns - TYPE_COLUMNS - LENGTH_COLUMNS;
  const longestPath = Math.max(...shown.map(({ relativePath }) => printable(relativePath).length));
  const pathColumns = Math.max(12, Math.min(longestPath + GAP_COLUMNS, Math.floor(rest * 0.55)));
  const table = new Table({
    head: ["work", "type", "length", "result"].map((title) => terminal.paint("dim", title)),
    colWidths: [pathColumns, TYPE_COLUMNS, LENGTH_COLUMNS, rest - pathColumns],
    chars: BARE,
    style: { head: [], border: [], "padding-left": 0, "padding-right": GAP_COLUMNS },
  });
  for (const file of shown)
    table.push(
      rowOf(file, { terminal, pathWidth: pathColumns - GAP_COLUMNS, resultWidth: rest - pathColumns - GAP_COLUMNS }),
    );
  const hidden = files.length - shown.length;
  return [
    table.toString().replace(/ +$/gm, ""),
    ...(hidden === 0 ? [] : ["", `… and ${counted(hidden, "work")} more that went well (--json names all).`]),
    "",
    sentenceOf(files),
  ].join("\n");
}

/** cli-table3 draws these between cells; all of them empty leave columns. */
const BARE = Object.fromEntries(
  [
    "top",
    "top-mid",
    "top-left",
    "top-right",
    "bottom",
    "bottom-mid",
    "bottom-left",
    "bottom-right",
    "left",
    "left-mid",
    "mid",
    "mid-mid",
    "right",
    "right-mid",
    "middle",
  ].map((name) => [name, ""]),
);

interface RowLayout {
  readonly terminal: Terminal;
  readonly pathWidth: number;
  readonly resultWidth: number;
}

function rowOf(
  { relativePath, status, reason, record }: ImportedFile,
  { terminal, pathWidth, resultWidth }: RowLayout,
): string[] {
  const word = STATUS_WORDS[status];
  const result = wrap(reason === undefined ? word : `${word}: ${printable(reason)}`, { width: resultWidth });
  const path = wrap(printable(relativePath), { width: pathWidth });
  return [
    path,
    record?.mime_type ?? "",
    lengthOf(record?.length_ms),
    terminal.paint(STATUS_INKS[status], word) + result.slice(word.length),
  ];
}

/** What went wrong is always shown, what went well as far as there is room. */
function rowsWorthShowing(files: readonly ImportedFile[]): readonly ImportedFile[] {
  if (files.length <= MAX_ROWS) return files;
  const isTrouble = ({ status }: ImportedFile): boolean => status === "skipped" || status === "refused";
  const trouble = files.filter(isTrouble);
  const well = files.filter((file) => !isTrouble(file)).slice(0, Math.max(0, MAX_ROWS - trouble.length));
  return [...trouble, ...well];
}

/** `3:05`, or `1:02:03` from an hour on; rounded up as in the record. */
function lengthOf(lengthMs: number | undefined): string {
  if (lengthMs === undefined) return "";
  const seconds = Math.ceil(lengthMs / 1_000);
  const parts = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60, seconds % 60];
  const shown = parts[0] === 0 ? parts.slice(1) : parts;
  return shown.map((part, index) => (index === 0 ? String(part) : String(part).padStart(2, "0"))).join(":");
}

const SENTENCE_ORDER = [
  "described",
  "created",
  "revised",
  "unchanged",
  "skipped",
  "refused",
] as const satisfies readonly ImportStatus[];

function sentenceOf(files: readonly ImportedFile[]): string {
  const counts = countsOf(files);
  const parts = SENTENCE_ORDER.filter((status) => counts[status] > 0).map(
    (status) => `${counts[status]} ${STATUS_WORDS[status]}`,
  );
  return `${counted(files.length, "file")}: ${parts.join(", ")}.`;
}

export function countsOf(files: readonly ImportedFile[]): Record<ImportStatus, number> {
  const counts: Record<ImportStatus, number> = {
    created: 0,
    unchanged: 0,
    revised: 0,
    refused: 0,
    skipped: 0,
    described: 0,
  };
  for (const { status } of files) counts[status] += 1;
  return counts;
}
