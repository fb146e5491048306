import type { FindingKind } from "../db/reporting-tables.ts";
import { ADVICE } from "./advice.ts";
import { FINDING_KINDS } from "./find-causes.ts";
import type { FindingView, RunView } from "./finding-view.ts";

export interface Report {
  readonly origin: string;
  /** When it was written. */
  readonly at: string;
  /** The run it is about; undefined for a list of findings. */
  readonly run?: RunView | undefined;
  readonly findings: readonly FindingView[];
  /** How many are open of each kind, also beyond those that are listed. */
  readonly open: ReadonlyMap<FindingKind, number>;
  /** The cursor of the next page; null when everything is here. */
  readonly next: string | null;
}

/** The report as a person reads it: for each kind what it means, what to do, and each finding with what is known. Markdown. */
export function renderReport({ origin, at, run, findings, open, next }: Report): string {
  const total = [...open.values()].reduce((sum, count) => sum + count, 0);
  const lines = [
    `# Reconciliation of ${origin}`,
    "",
    ...(run === undefined ? [`Written at ${at}.`] : describeRun(run)),
    "",
    total === 0 ? "Nothing is open: everything that is looked at fits together." : `${total} open, by kind:`,
    "",
    ...(total === 0 ? [] : [...FINDING_KINDS.map((kind) => `- ${ADVICE[kind].title}: ${open.get(kind) ?? 0}`), ""]),
    ...FINDING_KINDS.flatMap((kind) =>
      section(
        kind,
        findings.filter((finding) => finding.kind === kind),
      ),
    ),
    ...(next === null ? [] : [`More findings follow: \`GET /api/v1/findings?after=${next}\`.`, ""]),
  ];
  return lines.join("\n");
}

function describeRun({
  reconciliation_id,
  state,
  requested_by,
  started_at,
  ended_at,
  error,
}: RunView): readonly string[] {
  const times = [
    ...(started_at === undefined ? [] : [`begun at ${started_at}`]),
    ...(ended_at === undefined ? [] : [`ended at ${ended_at}`]),
  ];
  return [
    `Run ${reconciliation_id}, asked for by ${plain(requested_by)}: ${[state, ...times].join(", ")}.`,
    ...(error === undefined ? [] : ["", `It failed: ${plain(error)}`]),
  ];
}

function section(kind: FindingKind, findings: readonly FindingView[]): readonly string[] {
  if (findings.length === 0) return [];
  return [`## ${ADVICE[kind].title}`, "", `What to do: ${ADVICE[kind].todo}`, "", ...findings.map(describeFinding), ""];
}

function describeFinding(finding: FindingView): string {
  const { finding_id, subject, state, opened_at, times_opened, detail, note, resolved_by } = finding;
  const facts = Object.entries(detail).flatMap(([name, value]) => (value === null ? [] : [`${name} ${textOf(value)}`]));
  return [
    `- **${plain(subject)}** (${finding_id}, ${state}, since ${opened_at}`,
    times_opened > 1 ? `, the ${times_opened}. time` : "",
    `): ${facts.join("; ")}`,
    note === undefined ? "" : `. Resolved by ${plain(resolved_by ?? "")}: ${plain(note)}`,
  ].join("");
}

function textOf(value: unknown): string {
  return plain(typeof value === "string" ? value : (JSON.stringify(value) ?? ""));
}

/** Text from elsewhere on one line, with nothing that Markdown or HTML would take for its own. */
function plain(text: string): string {
  return text
    .replaceAll(/\s+/g, " ")
    .replaceAll(/[\\`*[\]<>|#]/g, (character) => `\\${character}`)
    .replaceAll(/\p{Cc}/gu, "\uFFFD");
}
