import { MAX_CONSENT_SECONDS, accept } from "@licet/protocol";
import { endConsents } from "../consents/end-consents.ts";
import { type ConsentRow, findConsents, lockConsents } from "../consents/lookup.ts";
import { resumeConsents, suspendConsents } from "../consents/suspend-consent.ts";
import { lockContent } from "../content/lookup.ts";
import { resumeContent, suspendContent } from "../content/suspend-content.ts";
import { withdrawContent } from "../content/withdraw-content.ts";
import type { Context } from "../context.ts";
import { resumeDataset, suspendDataset, withdrawDataset } from "../datasets/hold-dataset.ts";
import { lockDatasets, readTouched } from "../datasets/lookup.ts";
import { refreshDatasets } from "../datasets/render-dataset.ts";
import { BY_RESTORE } from "../events/journal-entry.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { readAffected } from "../models/lookup.ts";
import { openCases } from "../remediations/open-cases.ts";
import { addToView } from "../revocations/render-view.ts";
import { restoreHolds } from "../revocations/restore-holds.ts";
import { restoreStatuses } from "../status-lists/restore-statuses.ts";
import { replayCredential } from "./replay-credentials.ts";
import { replayLicenses } from "./replay-licenses.ts";
import { replayPayouts } from "./replay-payouts.ts";
import type { JournalEvent, JournalFact } from "./read-journal.ts";
import { readListedJtis } from "./store.ts";

/** Why something refuses that the backup took for standing. Its own reason is not in the journal, which holds no free text. */
const REPLAYED_REASON = "kept_in_the_journal";

/** How many things of a kind a replay changed. */
export type Replayed = Map<string, number>;

/**
 * Writes a fact of the journal again, at its own time: rows, bits, events, documents, everything
 * that the operation itself writes. What the backup knows nothing of gets at least its bits, and
 * its line in the revocation view. Done twice, it changes nothing the second time.
 */
export async function replayFact(ctx: Context, past: JournalFact, replayed: Replayed): Promise<void> {
  const then: Context = { ...ctx, clock: { nowMs: () => past.atMs } };
  await writeFact(then, async (fact) => {
    const touched = await readTouched(fact.trx, {
      jtis: idsOf(past.events, "consent."),
      contentIds: idsOf(past.events, "content."),
    });
    const changed: Changed = { datasetIds: [], replayed };
    await replayConsents(fact, past.events, { touched, changed });
    await replayContent(fact, past.events, { touched, changed });
    await replayDatasets(fact, past.events, changed);
    await replayRemediations(fact, past.events);
    for (const type of await replayLicenses(fact, past.events, REPLAYED_REASON)) count(changed, type);
    await restoreHolds(fact, { holds: past.holds, reason: REPLAYED_REASON, by: BY_RESTORE });
    await refreshDatasets(fact, changed.datasetIds);
    await restoreStatuses(fact, past.statuses);
    return accept(undefined);
  });
  for (const event of past.events) {
    if (await replayCredential(then, event)) replayed.set(event.type, (replayed.get(event.type) ?? 0) + 1);
  }
  for (const [type, times] of await replayPayouts(ctx, then, past.events))
    replayed.set(type, (replayed.get(type) ?? 0) + times);
  for (const event of past.events.filter(({ type }) => type === "dataset.withdrawn")) {
    const request = { principal: { kind: "operator" }, reason: REPLAYED_REASON } as const;
    const withdrawn = await withdrawDataset(then, event.aggregate, request);
    // A dataset that is lost has its bit all the same.
    if (withdrawn.ok) replayed.set(event.type, (replayed.get(event.type) ?? 0) + 1);
  }
}

type Touched = Awaited<ReturnType<typeof readTouched>>;

interface Changed {
  readonly datasetIds: string[];
  readonly replayed: Replayed;
}

interface Replaying {
  readonly touched: Touched;
  readonly changed: Changed;
}

function idsOf(events: readonly JournalEvent[], prefix: string): readonly string[] {
  return [...new Set(events.filter(({ type }) => type.startsWith(prefix)).map((event) => event.aggregate))].sort();
}

function count({ replayed }: Changed, type: string, times = 1): void {
  if (times > 0) replayed.set(type, (replayed.get(type) ?? 0) + times);
}

function actorOf({ body }: JournalEvent): string {
  return typeof body["by"] === "string" ? body["by"] : BY_RESTORE;
}

async function replayConsents(
  fact: Fact,
  events: readonly JournalEvent[],
  { touched, changed }: Replaying,
): Promise<void> {
  const locked = new Map(
    (await lockConsents(fact.trx, idsOf(events, "consent."))).map((row): [string, ConsentRow] => [row.jti, row]),
  );
  const ended: Pick<ConsentRow, "jti" | "expires_at">[] = [];
  for (const event of events) {
    const row = locked.get(event.aggregate);
    if (event.type === "consent.revoked" && row === undefined) ended.push(unknownConsent(fact, event.aggregate));
    if (row === undefined) continue;
    const datasetIds = touched.byConsents([row.jti]);
    const change = { by: actorOf(event), reason: REPLAYED_REASON, datasetsOf: () => datasetIds };
    const isChanged = await replayConsent(fact, event.type, row, change, ended);
    if (!isChanged) continue;
    changed.datasetIds.push(...datasetIds);
    count(changed, event.type);
  }
  const listed = await readListedJtis(
    fact.trx,
    ended.map(({ jti }) => jti),
  );
  const unlisted = ended.filter(({ jti }) => !listed.has(jti));
  await addToView(fact, unlisted);
  count(changed, "consent.revoked", unlisted.filter(({ jti }) => !locked.has(jti)).length);
}

/** A consent that is lost: it is listed until no consent of that time can be in force. */
function unknownConsent(fact: Fact, jti: string): Pick<ConsentRow, "jti" | "expires_at"> {
  return { jti, expires_at: fact.now + MAX_CONSENT_SECONDS };
}

interface Change {
  readonly by: string;
  readonly reason: string;
  readonly datasetsOf: () => readonly string[];
}

async function replayConsent(
  fact: Fact,
  type: string,
  row: ConsentRow,
  change: Change,
  ended: Pick<ConsentRow, "jti" | "expires_at">[],
): Promise<boolean> {
  switch (type) {
    case "consent.revoked":
    case "consent.expired": {
      const state = type === "consent.revoked" ? "revoked" : "expired";
      const done = await endConsents(fact, [row], { state, ...change });
      if (state === "revoked") ended.push(...done);
      return done.length > 0;
    }
    case "consent.suspended":
      if (row.state !== "active") return false;
      await suspendConsents(fact, [row], change);
      return true;
    case "consent.resumed":
      if (row.state !== "suspended") return false;
      await resumeConsents(fact, [row], change);
      return true;
    default:
      return false;
  }
}

async function replayContent(
  fact: Fact,
  events: readonly JournalEvent[],
  { touched, changed }: Replaying,
): Promise<void> {
  const rows = await lockContent(fact.trx, idsOf(events, "content."));
  const works = new Map(rows.map((row) => [row.content_id, row]));
  for (const event of events) {
    const row = works.get(event.aggregate);
    if (row === undefined || row.withdrawn_at !== null) continue;
    const datasetIds = touched.byWorks([row.content_id]);
    const change = { by: actorOf(event), reason: REPLAYED_REASON, datasetsOf: () => datasetIds };
    if (event.type === "content.withdrawn") await withdrawContent(fact, [row], change);
    else if (event.type === "content.suspended" && row.suspended_at === null) await suspendContent(fact, [row], change);
    else if (event.type === "content.resumed" && row.suspended_at !== null) await resumeContent(fact, [row], change);
    else continue;
    changed.datasetIds.push(...datasetIds);
    count(changed, event.type);
  }
}

async function replayDatasets(fact: Fact, events: readonly JournalEvent[], changed: Changed): Promise<void> {
  const rows = await lockDatasets(fact.trx, idsOf(events, "dataset."));
  const datasets = new Map(rows.map((row) => [row.dataset_id, row]));
  for (const event of events) {
    const row = datasets.get(event.aggregate);
    if (row === undefined || row.ended_at !== null) continue;
    const change = { by: actorOf(event), reason: REPLAYED_REASON };
    if (event.type === "dataset.suspended" && row.suspended_at === null) await suspendDataset(fact, row, change);
    else if (event.type === "dataset.resumed" && row.suspended_at !== null) await resumeDataset(fact, row, change);
    else continue;
    changed.datasetIds.push(row.dataset_id);
    count(changed, event.type);
  }
}

/** Opens the cases again that a revocation opened: as long as nothing of them was kept, they begin anew. */
async function replayRemediations(fact: Fact, events: readonly JournalEvent[]): Promise<void> {
  const jtis = idsOf(
    events.filter(({ type }) => type === "consent.revoked"),
    "consent.",
  );
  const contentIds = idsOf(
    events.filter(({ type }) => type === "content.withdrawn"),
    "content.",
  );
  const fresh = { jtis, contentIds };
  await openCases(fact, (await readAffected(fact.trx, { ...fresh, fresh, datasetIds: [] })).models);
}

/** Consents that are refused in one fact. */
const BATCH = 500;

/**
 * Refuses the consents that were accepted after the backup and are lost with their creators' way
 * to take them back: what nobody can revoke any more must not stand. Answers their jtis.
 */
export async function refuseLostConsents(ctx: Context, facts: readonly JournalFact[]): Promise<readonly string[]> {
  const grants = [...new Map(facts.flatMap((fact) => fact.grants).map((grant) => [grant.jti, grant])).values()];
  const lost: string[] = [];
  for (let at = 0; at < grants.length; at += BATCH) {
    const batch = grants.slice(at, at + BATCH);
    await writeFact(ctx, async (fact) => {
      const jtis = batch.map((grant) => grant.jti);
      const known = new Set((await findConsents(fact.trx, jtis)).map((row) => row.jti));
      const missing = batch.filter((grant) => !known.has(grant.jti));
      const listed = await readListedJtis(fact.trx, jtis);
      await addToView(
        fact,
        missing.filter(({ jti }) => !listed.has(jti)),
      );
      await restoreStatuses(
        fact,
        missing.map(({ status_list, status_idx }) => ({ status_list, status_idx, status: "revoked" })),
      );
      lost.push(...missing.map((grant) => grant.jti));
      return accept(undefined);
    });
  }
  return lost;
}
