import { type JsonObject, type Result, accept, formatInstant, formatMoney, parseMicros, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { readOwnJson } from "../db/own-json.ts";
import type { Principal } from "../http/principal.ts";
import { isOwnAccount } from "./read-ledger.ts";
import { type PoolSplit, computeSplit } from "./split-pool.ts";
import { type PoolCharges, readPoolCharges } from "./pool-store.ts";
import { type EntryRow, type TransactionRow, findEntry, findTransaction } from "./store.ts";

/** One step from the first number to the last: in words, and the numbers in it. */
export interface Step {
  readonly says: string;
  readonly numbers: JsonObject;
}

export interface Explanation {
  readonly entry: EntryRow;
  readonly transaction: TransactionRow;
  readonly steps: readonly Step[];
  /** The last entry that was spelt out, while there are more. */
  readonly next: string | null;
}

/** What tells of a charge, and whether there are more of them. */
interface Steps {
  readonly steps: readonly Step[];
  readonly next: string | null;
}

/** Where an explanation goes on. */
export interface ExplanationPage {
  readonly entryId: number;
  /** The last entry that was spelt out before. */
  readonly after: number | undefined;
}

/** Charges that one page of an explanation of a split spells out; it says how many there are. */
const MAX_CHARGES = 100;

/**
 * Tells how an amount came to be: from the price and the units of each receipt to what one account
 * got of it, a hundred charges at a time. Every number is computed anew from what was written down, and
 * compared with the entry.
 *
 * Refuses `not_found` and `not_yours`.
 */
export async function explainEntry(
  ctx: Context,
  principal: Principal,
  { entryId, after }: ExplanationPage,
): Promise<Result<Explanation>> {
  const entry = await findEntry(ctx.db, entryId);
  if (entry === undefined) return refuse("not_found", `there is no ledger entry ${entryId}`);
  if (!isOwnAccount(principal, entry)) return refuse("not_yours", `the ledger entry ${entryId} is somebody else's`);
  const transaction = await findTransaction(ctx.db, entry.transaction_id);
  if (transaction === undefined) throw new TypeError(`ledger entry ${entryId}: expected its transaction`);
  return accept({ entry, transaction, ...(await stepsOf(ctx, entry, { transaction, after: after ?? 0 })) });
}

async function stepsOf(
  ctx: Context,
  entry: EntryRow,
  { transaction, after }: { readonly transaction: TransactionRow; readonly after: number },
): Promise<Steps> {
  const explanation = readOwnJson(transaction.explanation, transaction.transaction_id);
  if (transaction.kind === "pool_split")
    return splitSteps(ctx, entry, { explanation, currency: transaction.currency, after });
  const steps: readonly Step[] = await (async () => {
    switch (transaction.kind) {
      case "usage_charge":
        return [chargeStep(explanation, transaction.currency)];
      case "reversal":
        return reversalSteps(ctx, entry, explanation);
      default:
        return [otherStep(transaction, explanation)];
    }
  })();
  return { steps: [...steps, lastStep(entry)], next: null };
}

function lastStep({ kind, owner, amountMicros, currency, entry_id }: EntryRow): Step {
  const size = amountMicros < 0n ? -amountMicros : amountMicros;
  const who = owner === "" ? kind : `${kind} ${owner}`;
  return {
    says: `${amountMicros < 0n ? "Credited to" : "Debited from"} ${who}: ${formatMoney(size, currency)}, entry ${entry_id}.`,
    numbers: { entry_id, amount_micros: String(amountMicros) },
  };
}

/** What a unit is called in a sentence. */
const UNIT_NAMES: Readonly<Record<string, string>> = {
  "per-token": "token",
  "per-item": "item",
  "per-image": "image",
  "per-minute": "minute",
};

/** `0.0001 USD a token × 123456 tokens = 12.3456 USD, less 0.00 USD charged before.` */
function chargeStep(charge: JsonObject, currency: string): Step {
  const [unit = "", amount = ""] = textOf(charge, "price").split(":");
  const before = microsOf(charge, "charged_before_micros");
  const charged = microsOf(charge, "charge_micros");
  const parts = [
    `${amount} ${currency} a ${UNIT_NAMES[unit] ?? unit}`,
    `× ${textOf(charge, "units_total")} ${textOf(charge, "unit")} reported under ${textOf(charge, "license_id")} up to receipt ${textOf(charge, "receipt_id")}`,
    `${unit === "per-minute" ? "÷ 60 " : ""}= ${formatMoney(before + charged, currency)}, rounded down to a micro-unit`,
    `; less ${formatMoney(before, currency)} charged before: ${formatMoney(charged, currency)}.`,
  ];
  return { says: parts.join(" ").replace(" ;", ";"), numbers: charge };
}

async function splitSteps(
  ctx: Context,
  entry: EntryRow,
  {
    explanation,
    currency,
    after,
  }: { readonly explanation: JsonObject; readonly currency: string; readonly after: number },
): Promise<Steps> {
  const owner = `${textOf(explanation, "dataset_id")}/${Number(explanation["version"])}`;
  const poolMicros = microsOf(explanation, "pool_micros");
  const split = await computeSplit(ctx.db, { owner, poolMicros, seed: textOf(explanation, "seed"), isCheck: true });
  const until = Number(textOf(explanation, "until"));
  const charges = await readPoolCharges(ctx.db, {
    owner,
    currency,
    transactionId: entry.transaction_id,
    until,
    fromEntry: Number(explanation["from_entry"] ?? 0),
    after,
    limit: MAX_CHARGES + 1,
  });
  const shown = charges.rows.slice(0, MAX_CHARGES);
  const steps = [
    ...shown.map((row) => poolStep(row, currency)),
    {
      says:
        `Pool of ${owner} before ${formatInstant(until)}: ${formatMoney(poolMicros, currency)} from ` +
        told(charges, shown.length) +
        (charges.sumMicros === poolMicros
          ? "."
          : `, which come to ${formatMoney(charges.sumMicros, currency)}; the rest was owed from before.`),
      numbers: {
        pool_micros: String(poolMicros),
        entries: charges.count,
        entries_shown: shown.length,
        entries_micros: String(charges.sumMicros),
        until: formatInstant(until),
      },
    },
    feeStep(split, currency),
    ...(entry.kind === "creator" ? [shareStep(split, entry)] : []),
    lastStep(entry),
  ];
  const isMore = charges.rows.length > shown.length;
  return { steps, next: isMore ? String(shown.at(-1)?.entry_id ?? after) : null };
}

/** How many entries there are, and that the steps before tell of them. */
function told({ count }: PoolCharges, shown: number): string {
  if (count === 1 && shown === 1) return "the entry above";
  return shown === count ? `the ${count} entries above` : `${count} entries, ${shown} of them above`;
}

function poolStep(
  row: Pick<TransactionRow, "kind" | "explanation" | "transaction_id" | "reference">,
  currency: string,
): Step {
  const explanation = readOwnJson(row.explanation, row.transaction_id);
  return row.kind === "usage_charge" ? chargeStep(explanation, currency) : otherStep(row, explanation);
}

function feeStep({ poolMicros, feeMicros, sharedMicros, platform_fee_bps }: PoolSplit, currency: string): Step {
  return {
    says: `The platform's fee of ${platform_fee_bps} basis points, rounded down: ${formatMoney(feeMicros, currency)}; to share out: ${formatMoney(poolMicros, currency)} − ${formatMoney(feeMicros, currency)} = ${formatMoney(sharedMicros, currency)}.`,
    numbers: { platform_fee_bps, fee_micros: String(feeMicros), shared_micros: String(sharedMicros) },
  };
}

const MEASURE_NAMES = { items: "works", tokens: "tokens", seconds: "milliseconds", bytes: "bytes" } as const;

function shareStep({ shares, sharedMicros, by }: PoolSplit, entry: EntryRow): Step {
  const share = shares.find(({ name }) => name === entry.owner);
  if (share === undefined || share.amountMicros !== -entry.amountMicros)
    throw new TypeError(
      `ledger entry ${entry.entry_id}: expected ${share?.amountMicros ?? "no share"}, which the split comes to`,
    );
  const total = shares.reduce((sum, { weight }) => sum + weight, 0n);
  const extra = share.hasExtra
    ? ", and one of the micro-units that rounding left over, because its remainder is among the largest"
    : "";
  return {
    says: `${share.weight} of ${total} ${MEASURE_NAMES[by]}: ${sharedMicros} × ${share.weight} ÷ ${total}, rounded down${extra} = ${share.amountMicros} micro-units.`,
    numbers: {
      by,
      weight: String(share.weight),
      total_weight: String(total),
      remainder: String(share.remainder),
      has_extra: share.hasExtra,
      share_micros: String(share.amountMicros),
    },
  };
}

async function reversalSteps(ctx: Context, entry: EntryRow, explanation: JsonObject): Promise<readonly Step[]> {
  const reversed = await findTransaction(ctx.db, textOf(explanation, "reverses"));
  if (reversed === undefined) throw new TypeError(`ledger entry ${entry.entry_id}: expected what it reverses`);
  return [
    otherStep(reversed, readOwnJson(reversed.explanation, reversed.transaction_id)),
    { says: `Taken back by ${textOf(explanation, "by")}: ${textOf(explanation, "reason")}.`, numbers: explanation },
  ];
}

/** Kinds whose amount was not computed here but agreed or moved: what was written down is all there is. */
const OTHER_SENTENCES: Readonly<Partial<Record<TransactionRow["kind"], string>>> = {
  usage_charge: "A charge for usage",
  license_fee: "The flat price of a license",
  pool_split: "The split of a pool",
  payout: "A payout that is under way",
  payout_paid: "A payout that arrived",
  payout_returned: "A payout that failed and came back",
  payment: "A payment by a marketplace",
  compensation: "A compensation that both sides agreed on",
};

function otherStep({ kind, reference }: Pick<TransactionRow, "kind" | "reference">, explanation: JsonObject): Step {
  return { says: `${OTHER_SENTENCES[kind] ?? kind}, ${reference}.`, numbers: explanation };
}

function textOf(explanation: JsonObject, member: string): string {
  const value = explanation[member];
  if (typeof value !== "string" && typeof value !== "number")
    throw new TypeError(`ledger explanation: expected ${member}, got ${JSON.stringify(value)}`);
  return String(value);
}

function microsOf(explanation: JsonObject, member: string): bigint {
  const micros = parseMicros(textOf(explanation, member));
  if (micros === undefined) throw new TypeError(`ledger explanation: expected micro-units in ${member}`);
  return micros;
}
