import { type JsonObject, type JsonValue, accept } from "@licet/protocol";
import { type Context, nowSeconds } from "../context.ts";
import { firstNumberAt } from "../db/first-number.ts";
import { BY_RESTORE } from "../events/journal-entry.ts";
import { writeFact } from "../events/write-fact.ts";
import { holdPayouts } from "../payouts/restore-payouts.ts";
import { openFreshList } from "../status-lists/allocate-status.ts";
import type { BackupHeader } from "./backup-format.ts";
import type { JournalFact } from "./read-journal.ts";
import { loseReplaced, replayRotations } from "./replay-credentials.ts";
import { loseLicensePolicies, refuseLostLicenses } from "./replay-licenses.ts";
import { replayUpstreams } from "./replay-upstreams.ts";
import { type Replayed, refuseLostConsents, replayFact } from "./replay-facts.ts";
import {
  endSessions,
  liftCounters,
  liftJournal,
  markReplayed,
  readCurrentVersions,
  readKnownEvents,
  readKnownReceipts,
  readLastRestore,
  readReplayed,
  saveLostVersion,
} from "./store.ts";

/** A list of what is lost names this many; how many there are is always said. */
const MAX_NAMED = 200;
/** Things looked up in one statement. */
const BATCH = 1_000;

/** Things that the journal knows and the backup does not. */
export interface Lost {
  readonly count: number;
  readonly named: readonly string[];
}

/** What a restore did, and what it knows to be lost. */
export interface Replay {
  readonly backup_id: string;
  readonly origin: string;
  readonly has_journal: boolean;
  /** Facts of the journal that the backup did not know. */
  readonly replayed_facts: number;
  /** What they changed, by the type of the event. */
  readonly replayed: Readonly<Record<string, number>>;
  /** Consents accepted since the backup: refused from now on, because their creators could not take them back. */
  readonly lost_consents: Lost;
  /** Clients, webhook endpoints and upstreams whose secrets, keys or URLs were changed since, and payout details: they are shut, or gone, until they are set anew. */
  readonly lost_credentials: Lost;
  /** What was carried for upstreams and is lost: what they take back of it reaches nothing here until it is mapped again. */
  readonly lost_upstream_mappings: Lost;
  /** Licenses issued since the backup: their bits say revoked. */
  readonly lost_licenses: Lost;
  readonly lost_receipts: Lost;
  /** Compensations accepted since the backup: owed and credited nowhere any more. Cases with their amounts. */
  readonly lost_compensations: Lost;
  /** Payments, corrections, closed months with their splits, invoices and license policies since the backup: each by type and what it is about. */
  readonly lost_money: Lost;
  readonly lost_datasets: Lost;
  /** Payouts that may have been sent since the backup: they are looked for, or settled by hand, before anything is paid again. */
  readonly held_payouts: Lost;
}

export interface RestoreReport extends Replay {
  readonly rows: number;
  readonly taken_at: string;
  readonly is_dry_run: boolean;
}

/**
 * Brings what was loaded up to what the journals say, and lifts every counter above what the world
 * can have seen: all inside the restore's transaction.
 */
export async function replayJournal(
  ctx: Context,
  {
    facts,
    header,
    hasJournal,
  }: { readonly facts: readonly JournalFact[]; readonly header: BackupHeader; readonly hasJournal: boolean },
): Promise<Replay> {
  const now = nowSeconds(ctx);
  const last = await readLastRestore(ctx.db);
  const first = Math.max(firstNumberAt(ctx.clock.nowMs()), (last?.first_seq ?? 0) + 1, (facts.at(-1)?.serial ?? 0) + 1);
  await liftJournal(ctx.db, first);
  await endSessions(ctx.db);
  await liftCounters(ctx.db, {
    first_seq: first,
    backup_id: header.backup_id,
    taken_at: header.taken_at,
    restored_at: now,
  });
  const since = await readNewFacts(ctx, facts);
  await replayRotations(ctx, since, BY_RESTORE);
  const replayed: Replayed = new Map();
  for (const fact of since) await replayFact(ctx, fact, replayed);
  await markReplayed(
    ctx.db,
    since.map((fact) => fact.serial),
  );
  const lostMappings = await replayUpstreams(ctx, since, replayed);
  const lostCredentials = await loseReplaced(ctx, since);
  const lostConsents = await refuseLostConsents(ctx, since);
  const lostLicenses = await refuseLostLicenses(ctx, since);
  await loseLicensePolicies(ctx, since);
  const heldPayouts = await holdPayouts(ctx);
  // Only now, when every list that a journal names is there too.
  await writeFact(ctx, async (fact) => {
    await openFreshList(fact);
    return accept(undefined);
  });
  return {
    backup_id: header.backup_id,
    origin: header.origin,
    has_journal: hasJournal,
    replayed_facts: since.length,
    replayed: Object.fromEntries(replayed),
    lost_consents: lostOf(lostConsents),
    lost_credentials: lostOf(lostCredentials),
    lost_upstream_mappings: lostOf(lostMappings),
    lost_licenses: lostOf(lostLicenses),
    lost_receipts: lostOf(await findLostReceipts(ctx, since)),
    lost_compensations: lostOf(findLostCompensations(since)),
    lost_money: lostOf(findLostMoney(since)),
    lost_datasets: lostOf(await findLostVersions(ctx, since)),
    held_payouts: lostOf(heldPayouts),
  };
}

/** Facts that are neither in the backup, as their events show, nor in the replay of an earlier restore. */
async function readNewFacts(ctx: Context, facts: readonly JournalFact[]): Promise<readonly JournalFact[]> {
  const replayed = await readReplayed(ctx.db);
  const left: JournalFact[] = [];
  for (let at = 0; at < facts.length; at += BATCH) {
    const batch = facts.slice(at, at + BATCH).filter((fact) => !replayed.has(fact.serial));
    const known = await readKnownEvents(
      ctx.db,
      batch.flatMap((fact) => fact.events.map((event) => event.id)),
    );
    left.push(...batch.filter((fact) => !fact.events.some((event) => known.has(event.id))));
  }
  return left;
}

async function findLostReceipts(ctx: Context, facts: readonly JournalFact[]): Promise<readonly string[]> {
  const accepted = bodiesOf(facts, "receipt.accepted").map((body) => ({
    receipt_id: textOf(body["receipt_id"]),
    name: `${textOf(body["marketplace_id"])} ${textOf(body["receipt_id"])}`,
  }));
  const lost: string[] = [];
  for (let at = 0; at < accepted.length; at += BATCH) {
    const batch = accepted.slice(at, at + BATCH);
    const known = await readKnownReceipts(
      ctx.db,
      batch.map((receipt) => receipt.receipt_id),
    );
    lost.push(...batch.map(({ name }) => name).filter((name) => !known.has(name)));
  }
  return lost;
}

/** Facts that the backup does not know took their rows with them: what each side had agreed on is named, so that it can be agreed on again. */
function findLostCompensations(facts: readonly JournalFact[]): readonly string[] {
  return bodiesOf(facts, "remediation.compensated").map(
    (body) =>
      `${textOf(body["case_id"])}: ${textOf(body["amount_micros"])} ${textOf(body["currency"])}, ${textOf(body["marketplace_id"])} to ${textOf(body["creator_id"])}`,
  );
}

const MONEY_EVENTS: readonly string[] = [
  "payment.recorded",
  "ledger.reversed",
  "pool.split",
  "period.closed",
  "invoice.issued",
  "license-policy.changed",
];

/** None of it is done again by itself: payments and corrections are somebody's word, and what a month comes to depends on receipts that are lost too. */
function findLostMoney(facts: readonly JournalFact[]): readonly string[] {
  return facts.flatMap(({ events }) =>
    events
      .filter(({ type }) => MONEY_EVENTS.includes(type))
      .map(({ type, aggregate, body }) => {
        const amount = body["amount_micros"] ?? body["total_micros"] ?? body["pool_micros"];
        const told = [textOf(body["number"]), textOf(amount), textOf(body["currency"])].filter((text) => text !== "");
        return `${type} ${aggregate}${told.length === 0 ? "" : `: ${told.join(" ")}`}`;
      }),
  );
}

/** Versions that were published since the backup. Their numbers are kept from being given out again. */
async function findLostVersions(ctx: Context, facts: readonly JournalFact[]): Promise<readonly string[]> {
  const newest = new Map<string, number>();
  for (const body of bodiesOf(facts, "dataset.published")) {
    const datasetId = textOf(body["dataset_id"]);
    newest.set(datasetId, Math.max(newest.get(datasetId) ?? 0, Number(body["version"])));
  }
  const known = await readCurrentVersions(ctx.db, [...newest.keys()]);
  const lost = [...newest].filter(([datasetId, version]) => version > (known.get(datasetId) ?? 0));
  for (const [datasetId, version] of lost) await saveLostVersion(ctx.db, datasetId, version);
  return lost.map(([datasetId, version]) => `${datasetId}, version ${version}`);
}

function bodiesOf(facts: readonly JournalFact[], type: string): readonly JsonObject[] {
  return facts.flatMap((fact) => fact.events.filter((event) => event.type === type).map((event) => event.body));
}

function textOf(value: JsonValue | undefined): string {
  return typeof value === "string" ? value : "";
}

function lostOf(names: readonly string[]): Lost {
  return { count: names.length, named: names.slice(0, MAX_NAMED) };
}
