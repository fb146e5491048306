import { type JsonObject, type Result, accept, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { type NewTransaction, postTransactions } from "../ledger/post-transactions.ts";
import { attemptError } from "../jobs/attempt-error.ts";
import { type PayoutRow, holdRows, savePayout } from "./store.ts";

/** Something that is known of a payout now, whoever says it. */
export type Settlement =
  | { readonly outcome: "sent"; readonly externalId: string; readonly by: string }
  | { readonly outcome: "paid"; readonly externalId: string | undefined; readonly by: string }
  | { readonly outcome: "failed"; readonly reason: string; readonly by: string }
  /** After it was paid, so much came back so far. */
  | { readonly outcome: "returned"; readonly returnedMicros: bigint; readonly reason: string; readonly by: string };

/** Writes what became of one payout, in a fact of its own. Refuses `not_found` and `payout_settled`. */
export async function settlePayout(
  ctx: Context,
  payoutId: string,
  settlements: readonly Settlement[],
): Promise<Result<true>> {
  return writeFact<true>(ctx, async (fact) => {
    for (const settlement of settlements) {
      const [row] = await holdRows(fact.trx, [payoutId]);
      if (row === undefined) return refuse("not_found", `there is no payout ${payoutId}`);
      const settled = await settle(fact, row, settlement);
      if (!settled.ok) return settled;
    }
    return accept(true);
  });
}

/**
 * Writes what became of a payout that is held. What is said again changes nothing, and what is said
 * late is believed: a payout that was given up and arrived after all is taken from the balance again.
 *
 * Refuses `payout_settled`.
 */
export async function settle(fact: Fact, row: PayoutRow, settlement: Settlement): Promise<Result<true>> {
  switch (settlement.outcome) {
    case "sent":
      return settleSent(fact, row, settlement);
    case "paid":
      return settlePaid(fact, row, settlement);
    case "failed":
      return settleFailed(fact, row, settlement);
    case "returned":
      return settleReturned(fact, row, settlement);
  }
}

type Of<O extends Settlement["outcome"]> = Extract<Settlement, { readonly outcome: O }>;

async function settleSent(fact: Fact, row: PayoutRow, { externalId, by }: Of<"sent">): Promise<Result<true>> {
  if (row.state !== "created" && row.state !== "unknown") return accept(true);
  await savePayout(fact.trx, row.payout_id, {
    state: "sent",
    external_id: externalId,
    reason: null,
    next_attempt_at_ms: null,
  });
  record(fact, row, "payout.sent", { external_id: externalId, by });
  return accept(true);
}

async function settlePaid(fact: Fact, row: PayoutRow, { externalId, by }: Of<"paid">): Promise<Result<true>> {
  if (row.state === "paid" || row.state === "returned") return accept(true);
  const external_id = externalId ?? row.external_id;
  await savePayout(fact.trx, row.payout_id, {
    state: "paid",
    external_id,
    reason: null,
    next_attempt_at_ms: null,
    settled_at: fact.now,
  });
  const wasGivenUp = row.state === "failed";
  postTransactions(fact, [
    ...(wasGivenUp ? [move(row, { kind: "payout", reference: `${row.payout_id}/late`, ...TO_CLEARING }, by)] : []),
    move(row, { kind: "payout_paid", reference: row.payout_id, ...TO_CASH }, by),
  ]);
  record(fact, row, "payout.paid", { external_id: external_id ?? "", by });
  return accept(true);
}

async function settleFailed(fact: Fact, row: PayoutRow, { reason, by }: Of<"failed">): Promise<Result<true>> {
  if (row.state === "failed") return accept(true);
  if (row.state === "paid" || row.state === "returned")
    return refuse("payout_settled", `expected ${row.payout_id} to be under way, got one that is ${row.state}`);
  await savePayout(fact.trx, row.payout_id, {
    state: "failed",
    reason: attemptError(reason),
    next_attempt_at_ms: null,
    settled_at: fact.now,
  });
  postTransactions(fact, [
    move(row, { kind: "payout_returned", reference: row.payout_id, ...FROM_CLEARING }, by, {
      reason: attemptError(reason),
    }),
  ]);
  record(fact, row, "payout.failed", { reason: attemptError(reason), by });
  return accept(true);
}

async function settleReturned(
  fact: Fact,
  row: PayoutRow,
  { returnedMicros, reason, by }: Of<"returned">,
): Promise<Result<true>> {
  if (row.state !== "paid" && row.state !== "returned")
    return refuse("payout_settled", `expected ${row.payout_id} to be paid, got one that is ${row.state}`);
  const total = returnedMicros > row.amountMicros ? row.amountMicros : returnedMicros;
  if (total <= row.returnedMicros) return accept(true);
  await savePayout(fact.trx, row.payout_id, {
    state: total === row.amountMicros ? "returned" : "paid",
    returned: String(total),
    reason: attemptError(reason),
  });
  const amountMicros = total - row.returnedMicros;
  postTransactions(fact, [
    move(
      { ...row, amountMicros },
      { kind: "payout_returned", reference: `${row.payout_id}/${total}`, ...FROM_CASH },
      by,
      { reason: attemptError(reason), returned_micros: String(total) },
    ),
  ]);
  record(fact, row, "payout.returned", { returned_micros: String(total), reason: attemptError(reason), by });
  return accept(true);
}

/** From which account to which: what the first gives, the second gets. */
interface Move {
  readonly kind: NewTransaction["kind"];
  readonly reference: string;
  readonly from: "creator" | "clearing" | "cash";
  readonly to: "creator" | "clearing" | "cash";
}

/** A debit lessens what is owed to a creator, or what is under way; a credit lessens what there is in cash. */
const TO_CLEARING = { from: "clearing", to: "creator" } as const;
const TO_CASH = { from: "cash", to: "clearing" } as const;
const FROM_CLEARING = { from: "creator", to: "clearing" } as const;
const FROM_CASH = { from: "creator", to: "cash" } as const;

function move(
  { payout_id, batch_id, creator_id, adapter, currency, amountMicros }: PayoutRow,
  { kind, reference, from, to }: Move,
  by: string,
  members: JsonObject = {},
): NewTransaction {
  const owners = { creator: creator_id, clearing: adapter, cash: "" };
  return {
    kind,
    reference,
    currency,
    explanation: {
      payout_id,
      batch_id,
      creator_id,
      adapter,
      currency,
      amount_micros: String(amountMicros),
      by,
      ...members,
    },
    entries: [
      { account: { kind: to, owner: owners[to] }, amountMicros },
      { account: { kind: from, owner: owners[from] }, amountMicros: -amountMicros },
    ],
  };
}

type SettledEvent = "payout.sent" | "payout.paid" | "payout.failed" | "payout.returned";

function record(
  fact: Fact,
  { payout_id, batch_id, creator_id }: PayoutRow,
  type: SettledEvent,
  members: JsonObject,
): void {
  fact.record({ type, aggregate: payout_id, body: { payout_id, batch_id, creator_id, ...members } });
}
