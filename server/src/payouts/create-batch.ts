import { type Offence, type Result, accept, formatMoney, refuse } from "@licet/protocol";
import { ulid } from "ulid";
import { type Context, nowSeconds } from "../context.ts";
import { readUnknownCreators } from "../creators/lookup.ts";
import type { PayoutAdapterName } from "../db/payment-tables.ts";
import type { Db, Trx } from "../db/open-database.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { type NewTransaction, postTransactions } from "../ledger/post-transactions.ts";
import { minimumOf } from "../payment-config.ts";
import { adapterOf } from "./adapters.ts";
import {
  type DueCreator,
  type DueQuery,
  type SkippedCreator,
  readAdapters,
  readDue,
  readSkipped,
} from "./balance-store.ts";
import { payableOf, payoutStep } from "./payable-amount.ts";
import { destinationLabel, detailsLabel } from "./payout-details.ts";
import { type BatchRow, type NewPayout, insertBatch, insertPayouts, lockPayouts } from "./store.ts";

/** Payouts in one batch, which is one fact; who does not fit in is in the next one. */
export const MAX_PAYOUTS = 1_000;
/** Creators that are named as left out. */
const MAX_SKIPPED = 1_000;

export interface BatchRequest {
  readonly currency: string;
  readonly adapter: PayoutAdapterName;
  /** Only these creators; undefined means everybody who is due. */
  readonly creatorIds?: readonly string[] | undefined;
  readonly by: string;
  /** The month and number of a batch that is made by itself: it may be empty, so that it is made once. */
  readonly schedule?: string;
}

export interface PlannedPayout {
  readonly creator_id: string;
  readonly amountMicros: bigint;
  readonly hint: string;
}

/** Who would be paid how much, and who not. */
export interface BatchPlan {
  readonly payouts: readonly PlannedPayout[];
  readonly skipped: readonly SkippedCreator[];
  /** Whether more creators are due than one batch takes. */
  readonly hasMore: boolean;
}

/** What a batch would be now; nothing is written. Refuses as {@link createBatch} does, but not that nobody is due. */
export async function previewBatch(ctx: Context, request: BatchRequest): Promise<Result<BatchPlan>> {
  const adapter = await adapterOf(ctx, request.adapter);
  if (!adapter.ok) return adapter;
  const named = await refuseUnknown(ctx.db, request);
  if (!named.ok) return named;
  const { due, skipped, hasMore } = await findDue(ctx, ctx.db, request);
  const missing = refuseMissing(request, skipped);
  if (!missing.ok) return missing;
  return accept({ payouts: due.map((row) => plannedOf(row, request.currency)), skipped, hasMore });
}

export interface CreatedBatch extends BatchPlan {
  readonly batch: BatchRow;
}

/**
 * Makes the payouts of everybody who is due: each takes its amount out of the creator's balance in
 * the same fact, so that it is paid once. They are sent afterwards, see send-payouts.ts.
 *
 * Refuses `payout_adapter_unavailable`, `not_found` for creators that are named and unknown,
 * `payout_details_missing` for those that have none, and `payout_nothing_due`.
 */
export async function createBatch(ctx: Context, request: BatchRequest): Promise<Result<CreatedBatch>> {
  const adapter = await adapterOf(ctx, request.adapter);
  if (!adapter.ok) return adapter;
  return writeFact<CreatedBatch>(ctx, async (fact) => {
    await lockPayouts(fact.trx);
    const named = await refuseUnknown(fact.trx, request);
    if (!named.ok) return named;
    const { due, skipped, hasMore } = await findDue(ctx, fact.trx, request);
    const missing = refuseMissing(request, skipped);
    if (!missing.ok) return missing;
    if (due.length === 0 && request.schedule === undefined) return refuseEmpty(skipped, request);
    const batch: BatchRow = {
      batch_id: `pb_${ulid(fact.now * 1_000)}`,
      adapter: request.adapter,
      currency: request.currency,
      created_at: fact.now,
      created_by: request.by,
      schedule: request.schedule ?? null,
      left_count: hasMore ? 1 : 0,
    };
    await insertBatch(fact.trx, batch);
    const payouts = due.map((row) => newPayoutOf(ctx, fact, { row, batch }));
    await insertPayouts(fact.trx, payouts);
    recordPayouts(fact, batch, payouts);
    return accept({ batch, payouts: due.map((row) => plannedOf(row, batch.currency)), skipped, hasMore });
  });
}

interface Found {
  readonly due: readonly DueCreator[];
  readonly skipped: readonly SkippedCreator[];
  readonly hasMore: boolean;
}

async function findDue(ctx: Context, db: Db | Trx, request: BatchRequest): Promise<Found> {
  const { currency, adapter, creatorIds } = request;
  const { payments } = ctx.config;
  const minimum = minimumOf(payments.minimums, currency);
  const step = payoutStep(currency);
  const query: DueQuery = {
    currency,
    adapter,
    creatorIds,
    heldSince: nowSeconds(ctx) - payments.holdSeconds,
    minimumMicros: minimum > step ? minimum : step,
    limit: MAX_PAYOUTS + 1,
  };
  const due = await readDue(db, query);
  const skipped = await readSkipped(db, { ...query, limit: MAX_SKIPPED });
  const absent = (creatorIds ?? []).filter(
    (id) => !due.some((row) => row.creator_id === id) && !skipped.some((row) => row.creator_id === id),
  );
  const adapters = await readAdapters(db, absent, currency);
  const reasonOf = (id: string): SkippedCreator["reason"] => {
    if (!adapters.has(id)) return "details_missing";
    return adapters.get(id) === adapter ? "below_minimum" : "other_adapter";
  };
  return {
    due: due.slice(0, MAX_PAYOUTS),
    skipped: [...skipped, ...absent.map((id) => ({ creator_id: id, reason: reasonOf(id), availableMicros: 0n }))],
    hasMore: due.length > MAX_PAYOUTS,
  };
}

function plannedOf({ creator_id, availableMicros, hint }: DueCreator, currency: string): PlannedPayout {
  return { creator_id, amountMicros: payableOf(availableMicros, currency), hint };
}

/** Whoever is asked for by name has to be there. */
async function refuseUnknown(db: Db | Trx, { creatorIds = [] }: BatchRequest): Promise<Result<true>> {
  const unknown = await readUnknownCreators(db, creatorIds);
  if (unknown.length === 0) return accept(true);
  return refuse(
    "not_found",
    `${unknown.length} of ${creatorIds.length} creators are unknown`,
    unknown.map((id) => ({ at: id, code: "not_found", detail: `there is no creator ${id}` })),
  );
}

const NO_DETAILS: readonly SkippedCreator["reason"][] = ["details_missing", "other_adapter"];

/** Whoever is asked for by name is paid or named; in a batch of all they are left out. */
function refuseMissing(request: BatchRequest, skipped: readonly SkippedCreator[]): Result<true> {
  const missing = request.creatorIds === undefined ? [] : skipped.filter(({ reason }) => NO_DETAILS.includes(reason));
  if (missing.length === 0) return accept(true);
  return refuse(
    "payout_details_missing",
    `${missing.length} of ${request.creatorIds?.length} creators have no payout details for ${request.currency} by ${request.adapter}`,
    missing.map(({ creator_id }) => ({
      at: creator_id,
      code: "payout_details_missing",
      detail: `expected payout details for ${request.currency} by ${request.adapter}, got none`,
    })),
  );
}

function refuseEmpty(skipped: readonly SkippedCreator[], { currency, adapter }: BatchRequest): Result<never> {
  const offences = skipped.map(({ creator_id, reason, availableMicros }): Offence => ({
    at: creator_id,
    code: NO_DETAILS.includes(reason) ? "payout_details_missing" : "payout_nothing_due",
    detail: `${reason}: ${formatMoney(availableMicros, currency)} available`,
  }));
  return refuse("payout_nothing_due", `nobody is to be paid in ${currency} by ${adapter}`, offences);
}

function newPayoutOf(
  ctx: Context,
  fact: Fact,
  { row, batch }: { readonly row: DueCreator; readonly batch: BatchRow },
): NewPayout {
  const payoutId = `pay_${ulid(fact.now * 1_000)}`;
  const opened = ctx.sealer.open(detailsLabel(row.creator_id, batch.currency), row.sealed_details);
  return {
    payout_id: payoutId,
    batch_id: batch.batch_id,
    creator_id: row.creator_id,
    adapter: batch.adapter,
    currency: batch.currency,
    amountMicros: payableOf(row.availableMicros, batch.currency),
    sealed_destination: ctx.sealer.seal(destinationLabel(payoutId), opened),
    hint: row.hint,
    state: "created",
    created_at: fact.now,
    next_attempt_at_ms: fact.now * 1_000,
  };
}

/** The events and the entries of payouts that are made. */
function recordPayouts(fact: Fact, batch: BatchRow, payouts: readonly NewPayout[]): void {
  const { batch_id, adapter, currency, created_by } = batch;
  const total = payouts.reduce((sum, payout) => sum + payout.amountMicros, 0n);
  fact.record({
    type: "payout-batch.created",
    aggregate: batch_id,
    body: { batch_id, adapter, currency, payouts: payouts.length, amount_micros: String(total), by: created_by },
  });
  for (const payout of payouts)
    fact.record({ type: "payout.created", aggregate: payout.payout_id, body: createdBody(payout) });
  if (payouts.length > 0) postTransactions(fact, payouts.map(payoutTransaction));
}

function createdBody({ payout_id, batch_id, creator_id, adapter, currency, amountMicros }: NewPayout) {
  return { payout_id, batch_id, creator_id, adapter, currency, amount_micros: String(amountMicros) };
}

/** Takes a payout's amount out of the creator's balance: it is under way. */
export function payoutTransaction(payout: NewPayout): NewTransaction {
  const { payout_id, creator_id, adapter, currency, amountMicros } = payout;
  return {
    kind: "payout",
    reference: payout_id,
    currency,
    explanation: createdBody(payout),
    entries: [
      { account: { kind: "creator", owner: creator_id }, amountMicros },
      { account: { kind: "clearing", owner: adapter }, amountMicros: -amountMicros },
    ],
  };
}
