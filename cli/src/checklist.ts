import type { RefusalCode } from "@licet/protocol";
import type { CheckOutcome, DatasetCheck, DatasetReport } from "@licet/sdk";
import { type Terminal, counted, printable, wrap } from "./terminal.ts";

const MARKS: Record<CheckOutcome, string> = { passed: "✓", failed: "✗", unknown: "?" };
const INKS = { passed: "green", failed: "red", unknown: "yellow" } as const satisfies Record<CheckOutcome, string>;

/** A check, and what is withdrawn, show at most this many; `--json` names them all. */
const MAX_NAMED = 10;

/**
 * `usable`: everything holds. `incomplete`: what was checked holds, some could not be checked.
 * `withdrawn`: the rest holds, but not every item of the version stands. `untried`: the platform
 * could not be asked, or did not answer us. `failed`: do not use it.
 */
export type Verdict = "usable" | "withdrawn" | "incomplete" | "untried" | "failed";

/** How a checklist is read. */
export interface ChecklistOptions {
  /** Withdrawn works are accepted: the rest may be used. */
  readonly allowPartial?: boolean | undefined;
}

/** Refusals that say nothing about a dataset, only that it was not shown. */
const UNTRIED_CODES: readonly RefusalCode[] = [
  "unavailable",
  "internal",
  "unauthenticated",
  "token_invalid",
  "forbidden",
  "not_yours",
];

function isUntried({ outcome, code, offences }: DatasetCheck): boolean {
  const codes = offences?.map((offence) => offence.code) ?? (code === undefined ? [] : [code]);
  return outcome === "failed" && codes.length > 0 && codes.every((reason) => UNTRIED_CODES.includes(reason));
}

function outcomeOf(check: DatasetCheck): CheckOutcome {
  return isUntried(check) ? "unknown" : check.outcome;
}

export function verdictOf({ checks, summary }: DatasetReport): Verdict {
  if (checks.some((check) => outcomeOf(check) === "failed")) return "failed";
  if (checks.some(isUntried)) return "untried";
  if ((summary.items?.withdrawn ?? 0) > 0) return "withdrawn";
  return summary.usable ? "usable" : "incomplete";
}

/** The report as a checklist a person reads, what was withdrawn, and a verdict in one sentence. */
export function renderChecklist(
  report: DatasetReport,
  terminal: Terminal,
  { allowPartial = false }: ChecklistOptions = {},
): string {
  const verdict = verdictOf(report);
  const accepted = verdict === "withdrawn" && allowPartial ? "accepted" : verdict;
  const heading = headingOf(report, terminal);
  const checks = report.checks.flatMap((check, index) => renderCheck(check, report.checks[index + 1], terminal));
  const ending = [...renderWithdrawn(report, terminal), renderVerdict(accepted, report, terminal)];
  return [...heading, "", ...checks, "", ...ending].join("\n");
}

function headingOf({ summary, manifest }: DatasetReport, { columns, paint }: Terminal): string[] {
  const { dataset_id, name, version, items } = summary;
  if (dataset_id === null) return [paint("bold", "A dataset's manifest")];
  const title =
    name === null ? dataset_id : `${printable(name)} (${dataset_id}${version === null ? "" : `, version ${version}`})`;
  const facts = [
    ...(manifest === undefined
      ? []
      : [
          `offered for ${manifest.scope.map(printable).join(", ")} at ${manifest.pricing.model_use} ${manifest.currency}`,
        ]),
    ...(items === null ? [] : [`${counted(items.total, "work")}, ${items.standing} of them standing`]),
  ];
  return [paint("bold", wrap(title, { width: columns })), ...facts.map((fact) => wrap(fact, { width: columns }))];
}

/** Neighbours that are unknown for the same reason have it below the last of them. */
function renderCheck(check: DatasetCheck, next: DatasetCheck | undefined, { columns, paint }: Terminal): string[] {
  const { title, detail, offences = [] } = check;
  const outcome = outcomeOf(check);
  if (outcome === "passed") return [`${paint(INKS.passed, MARKS.passed)} ${title}`];
  const line = paint(INKS[outcome], `${MARKS[outcome]} ${title}`);
  if (outcome === "unknown")
    return next !== undefined && outcomeOf(next) === "unknown" && next.detail === detail
      ? [line]
      : [line, wrapBelow(printable(detail), columns)];
  const named =
    offences.length < 2
      ? []
      : offences
          .slice(0, MAX_NAMED)
          .map(({ at, detail: why }) => wrapBelow(`– ${printable(at)}: ${printable(why)}`, columns));
  const more = offences.length - named.length;
  return [
    line,
    wrapBelow(printable(detail), columns),
    ...named,
    ...(named.length > 0 && more > 0 ? [`    … and ${more} more (--json names up to 1 000)`] : []),
  ];
}

function wrapBelow(text: string, columns: number): string {
  return `    ${wrap(text, { width: columns - 4 }).replaceAll("\n", "\n    ")}`;
}

function renderWithdrawn({ summary }: DatasetReport, { columns, paint }: Terminal): string[] {
  const { withdrawn, items } = summary;
  if (items === null || items.withdrawn === 0) return [];
  const named = withdrawn.slice(-MAX_NAMED).map(({ at, jti, content_id }) => {
    const what =
      jti === undefined
        ? `the work ${content_id ?? "without a name"}`
        : `the consent ${jti}${content_id === undefined ? "" : ` for the work ${content_id}`}`;
    return wrapBelow(`– ${printable(what)}, at ${at}`, columns);
  });
  const more = withdrawn.length - named.length;
  return [
    paint("bold", `Withdrawn: ${counted(items.withdrawn, "work")} of this version may no longer be used.`),
    ...named,
    ...(more > 0 ? [`    … and ${more} more (--json names them)`] : []),
    "",
  ];
}

/** A verdict, or `accepted`: some works are withdrawn, and the reader does without them. */
type Ending = Verdict | "accepted";

const VERDICT_INKS = {
  usable: "green",
  accepted: "green",
  withdrawn: "yellow",
  incomplete: "yellow",
  untried: "yellow",
  failed: "red",
} as const satisfies Record<Ending, string>;
const VERDICT_MARKS: Record<Ending, string> = {
  usable: "✓",
  accepted: "✓",
  withdrawn: "✗",
  incomplete: "?",
  untried: "?",
  failed: "✗",
};

function renderVerdict(ending: Ending, report: DatasetReport, { columns, paint }: Terminal): string {
  return paint(
    VERDICT_INKS[ending],
    wrap(`${VERDICT_MARKS[ending]} ${sentenceOf(ending, report)}`, { width: columns, indent: "  " }),
  );
}

function sentenceOf(ending: Ending, { checks, summary }: DatasetReport): string {
  const { total = 0, standing = 0, withdrawn = 0 } = summary.items ?? {};
  const consents = summary.consents ?? 0;
  const countOf = (wanted: CheckOutcome): number => checks.filter((check) => outcomeOf(check) === wanted).length;
  const unknown = countOf("unknown");
  const sentences: Record<Ending, string> = {
    usable: `This dataset may be used: ${total === 1 ? "its one work stands" : `all ${total} works stand`}, under ${counted(consents, "consent")} that ${consents === 1 ? "verifies" : "verify"}.`,
    accepted: `${unknown === 0 ? "This dataset may be used" : "Nothing else speaks against this dataset"}, without the ${withdrawn} of ${counted(total, "work")} that ${withdrawn === 1 ? "is" : "are"} withdrawn${unknown === 0 ? "" : `, but ${counted(unknown, "check")} marked ? could not be made`}.`,
    withdrawn: `${withdrawn} of ${counted(total, "work")} may not be used any more. The other ${standing} ${unknown === 0 ? "may, until the dataset changes again" : "stand"}: pass --allow-partial to accept that.`,
    incomplete: `Nothing speaks against this dataset, but ${counted(unknown, "check")} marked ? could not be made. With LICET_CLIENT_ID and LICET_CLIENT_SECRET of a marketplace it was offered to, they can.`,
    untried: `This dataset could not be checked. ${adviceFor(checks.find(isUntried)?.code)}`,
    failed: `Do not use this dataset: ${counted(countOf("failed"), "check")} of ${checks.length} failed.`,
  };
  return sentences[ending];
}

function adviceFor(code: RefusalCode | undefined): string {
  switch (code) {
    case "unauthenticated":
    case "token_invalid":
      return "The platform does not take LICET_CLIENT_ID and LICET_CLIENT_SECRET: use those of a marketplace it was offered to.";
    case "forbidden":
    case "not_yours":
      return "The platform does not show its items to this client: ask for the dataset to be offered to your marketplace.";
    default:
      return "The platform did not answer as it should: try again later.";
  }
}
