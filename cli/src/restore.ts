import { type JsonObject, type JsonValue, isJsonObject } from "@licet/protocol";
import { resolve } from "node:path";
import { CommandError } from "./command-error.ts";
import { runOfflineTask } from "./offline-task.ts";
import type { Settings } from "./settings.ts";
import { type Terminal, counted, wrap } from "./terminal.ts";

export interface RestoreFlags {
  readonly journal?: readonly string[];
  /** Commander's name for `--without-journal`. */
  readonly withoutJournal?: true;
  readonly dryRun?: true;
  readonly dataDir?: string;
  readonly json?: true;
}

/**
 * `licet restore`: a backup into an empty database, and everything that was refused since on top of
 * it, or nothing at all. Ends with 0, or with 2 and one line when backup, journal, key or database
 * do not fit.
 */
export async function restore(
  file: string,
  flags: RestoreFlags,
  { settings, terminal }: { readonly settings: Settings; readonly terminal: Terminal },
): Promise<number> {
  const journals = (flags.journal ?? []).map((folder) => resolve(settings.workingFolder, folder));
  if ((journals.length === 0) === (flags.withoutJournal !== true))
    throw new CommandError(
      "expected --journal <folder> of every server, or --without-journal to bring back consents that were revoked since the backup, got neither or both",
    );
  if (flags.withoutJournal === true) terminal.note(wrap(WITHOUT_JOURNAL, { width: terminal.columns }));
  const report = await runOfflineTask({
    args: [
      "restore",
      resolve(settings.workingFolder, file),
      ...journals.flatMap((folder) => ["--journal", folder]),
      ...(flags.dryRun === true ? ["--dry-run"] : []),
    ],
    environment: {
      ...settings.environment,
      ...(flags.dataDir === undefined ? {} : { LICET_DATA_DIR: resolve(settings.workingFolder, flags.dataDir) }),
    },
    onProgress: ({ table, rows }) => {
      if (terminal.isWatched) terminal.note(`${counted(Number(rows), "row")}, at ${say(table)}`);
    },
  });
  if (flags.json === true) terminal.print(JSON.stringify(report));
  else for (const line of describe(report)) terminal.print(line);
  return 0;
}

const WITHOUT_JOURNAL =
  "Warning: without the journal, whatever was revoked, withdrawn or suspended after the backup stands again, although its creators were told that it is over. Find out what that was and revoke it by hand before you serve.";

function describe(report: JsonObject): readonly string[] {
  const { replayed_facts, replayed, lost_consents, lost_credentials, lost_licenses, lost_receipts } = report;
  const { lost_datasets, lost_upstream_mappings, held_payouts } = report;
  const changes = isJsonObject(replayed) ? Object.entries(replayed) : [];
  const done = report["is_dry_run"] === true ? "This was a dry run; the database is as it was." : "Restored.";
  return [
    `${done} ${counted(Number(report["rows"]), "row")} of ${say(report["origin"])} as of ${say(report["taken_at"])}.`,
    ...(report["has_journal"] === true
      ? [`Replayed from the journal: ${counted(Number(replayed_facts), "fact")} that the backup did not know.`]
      : ["Nothing was replayed: there was no journal."]),
    ...changes.map(([type, times]) => `  ${type}: ${say(times)}`),
    ...describeLost("consents accepted since; they are refused now, so ask their creators again", lost_consents),
    ...describeLost(
      "secrets, keys, URLs and payout details changed since; give these clients, webhook endpoints and upstreams new ones, then resume or enable them, and have these creators put their payout details again",
      lost_credentials,
    ),
    ...describeLost(
      "upstreams and works carried for them since; register and map them again, what they take back falls nowhere until then",
      lost_upstream_mappings,
    ),
    ...describeLost("licenses issued since; they are refused now, so their marketplaces ask again", lost_licenses),
    ...describeLost("receipts accepted since; ask the marketplaces to send them again", lost_receipts),
    ...describeLost("compensations accepted since; both sides agree on them again", report["lost_compensations"]),
    ...describeLost(
      "payments, corrections, months, invoices and license policies since; record, close and set them again (a person decides about licenses until then)",
      report["lost_money"],
    ),
    ...describeLost("datasets published since; publish them again", lost_datasets),
    ...describeLost(
      "payouts that may have been sent since; Stripe is asked, those in files are to be settled",
      held_payouts,
      "Held",
    ),
    "All sessions are over: the server prints a new operator's token when it starts.",
  ];
}

/** A member of the report, as text. */
function say(value: JsonValue | undefined): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function describeLost(what: string, lost: JsonValue | undefined, word = "Lost"): readonly string[] {
  if (!isJsonObject(lost) || lost["count"] === 0) return [];
  const named = Array.isArray(lost["named"]) ? lost["named"].map(say) : [];
  const more = Number(lost["count"]) - named.length;
  return [
    `${word}: ${say(lost["count"])} ${what}:`,
    ...named.map((name) => `  ${name}`),
    ...(more > 0 ? [`  and ${more} more`] : []),
  ];
}
