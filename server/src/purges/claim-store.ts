import { sql } from "kysely";
import type { Db, Trx } from "../db/open-database.ts";
import { buildCalls, costOf, countAffordable } from "./build-calls.ts";
import { type Allowance, refill, waitMs } from "./meter.ts";
import type { PurgeAdapter, PurgeCall } from "./purge-port.ts";
import type { ClaimedPart } from "./store.ts";

/** Parts in one claim. */
const MAX_PARTS = 500;

export interface Claim {
  readonly parts: readonly ClaimedPart[];
  /** Together they carry all of the parts. */
  readonly calls: readonly PurgeCall[];
  /** When more could be sent, where an account's rate is what holds it up. */
  readonly nextAtMs: number | undefined;
}

const NOTHING: Claim = { parts: [], calls: [], nextAtMs: undefined };
/** Where nobody counts, as much as is done well before a lease ends. */
const UNMETERED: Allowance = { calls: 1_000, urls: 1_000 };

/**
 * Takes for ourselves what is due at a target, the first time before the repetition and the longest
 * due first, as much of it as the account may send: its meter is one row for all servers, held while
 * it is read and charged. Servers that claim at the same time pass over each other's rows.
 */
export async function claimParts(
  db: Db,
  adapter: PurgeAdapter,
  { nowMs, leaseUntilMs }: { readonly nowMs: number; readonly leaseUntilMs: number },
): Promise<Claim> {
  // Most looks find nothing; they need no transaction and no meter.
  if (!(await isAnyDue(db, adapter.target, nowMs))) return NOTHING;
  return db.transaction().execute(async (trx) => {
    const metered = await readMeter(trx, adapter, nowMs);
    if (metered.pausedUntilMs > nowMs) return { ...NOTHING, nextAtMs: metered.pausedUntilMs };
    const due = await lockDue(trx, adapter.target, nowMs);
    const parts = due.slice(0, countAffordable(adapter, due, metered.allowance));
    const [first] = due;
    if (first === undefined) return NOTHING;
    if (parts.length === 0) return { ...NOTHING, nextAtMs: nowMs + waitFor(adapter, first, metered.allowance) };
    const claimed = parts.map((part) => ({ ...part, attempts: part.attempts + 1 }));
    const calls = buildCalls(adapter, claimed);
    await chargeMeter(trx, adapter, metered.allowance, { cost: costOf(calls), nowMs });
    await markSent(trx, adapter.target, parts, { nowMs, leaseUntilMs });
    return { parts: claimed, calls, nextAtMs: undefined };
  });
}

async function isAnyDue(db: Db, target: string, nowMs: number): Promise<boolean> {
  const { rows } = await sql<{ due: boolean }>`
    select exists (select from purge
                    where target = ${target} and confirmed_at_ms is null and given_up_at_ms is null
                      and round in (1, 2) and due_at_ms <= ${nowMs}) as due`.execute(db);
  return rows[0]?.due ?? false;
}

async function lockDue(trx: Trx, target: string, nowMs: number): Promise<readonly ClaimedPart[]> {
  const { rows } = await sql<ClaimedPart>`
    select purge.event_id, purge.part, purge.round, purge.attempts, ordered.at_ms::float8 as at_ms,
           purge.is_alone, ordered.tags, ordered.urls, ordered.paths
      from purge
      join purge_order ordered on ordered.event_id = purge.event_id and ordered.part = purge.part
     where purge.target = ${target} and purge.confirmed_at_ms is null and purge.given_up_at_ms is null
       and purge.due_at_ms <= ${nowMs}
     order by purge.round, purge.due_at_ms, purge.event_id, purge.part
     limit ${MAX_PARTS}
       for update of purge skip locked`.execute(trx);
  return rows;
}

async function markSent(
  trx: Trx,
  target: string,
  parts: readonly ClaimedPart[],
  { nowMs, leaseUntilMs }: { readonly nowMs: number; readonly leaseUntilMs: number },
): Promise<void> {
  const keys = parts.map(({ event_id, part, round }) => ({ event_id, part, round }));
  await sql`
    update purge
       set attempts = attempts + 1, due_at_ms = ${leaseUntilMs}, requested_at_ms = coalesce(requested_at_ms, ${nowMs})
      from json_to_recordset(${JSON.stringify(keys)}::json) as sent (event_id text, part integer, round smallint)
     where purge.event_id = sent.event_id and purge.part = sent.part and purge.round = sent.round
       and purge.target = ${target}`.execute(trx);
}

interface Metered {
  readonly allowance: Allowance;
  readonly pausedUntilMs: number;
}

async function readMeter(trx: Trx, { meter }: PurgeAdapter, nowMs: number): Promise<Metered> {
  if (meter === undefined) return { allowance: UNMETERED, pausedUntilMs: 0 };
  const { account, rates } = meter;
  const full = refill(undefined, rates, nowMs);
  const { rows } = await sql<Allowance & { metered_at_ms: number; paused_until_ms: number }>`
    insert into purge_meter (account, calls, urls, metered_at_ms)
    values (${account}, ${full.calls}, ${full.urls}, ${nowMs})
    on conflict (account) do update set account = excluded.account
    returning calls, urls, metered_at_ms::float8 as metered_at_ms, paused_until_ms::float8 as paused_until_ms`.execute(
    trx,
  );
  const [row] = rows;
  return { allowance: refill(row, rates, nowMs), pausedUntilMs: row?.paused_until_ms ?? 0 };
}

async function chargeMeter(
  trx: Trx,
  { meter }: PurgeAdapter,
  allowance: Allowance,
  { cost, nowMs }: { readonly cost: Allowance; readonly nowMs: number },
): Promise<void> {
  if (meter === undefined) return;
  await trx
    .updateTable("purge_meter")
    .set({ calls: allowance.calls - cost.calls, urls: allowance.urls - cost.urls, metered_at_ms: nowMs })
    .where("account", "=", meter.account)
    .execute();
}

function waitFor(adapter: PurgeAdapter, part: ClaimedPart, allowance: Allowance): number {
  return adapter.meter === undefined ? 0 : waitMs(allowance, costOf(buildCalls(adapter, [part])), adapter.meter.rates);
}

/** Leaves an account alone until then, on every server. */
export async function pauseAccount(db: Db, account: string, untilMs: number): Promise<void> {
  await db
    .updateTable("purge_meter")
    .set((set) => ({ paused_until_ms: sql<number>`greatest(${set.ref("paused_until_ms")}, ${untilMs})` }))
    .where("account", "=", account)
    .execute();
}
