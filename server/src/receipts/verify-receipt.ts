import {
  type JsonObject,
  type Result,
  type UsageReceipt,
  type VerificationKey,
  accept,
  parseInstant,
  readUsageReceipt,
  receiptSha256,
  refuse,
  verifyUsageReceipt,
  without,
} from "@licet/protocol";
import type { Context } from "../context.ts";
import { nowSeconds } from "../context.ts";
import type { Db, Trx } from "../db/open-database.ts";
import { readReceiptKeysOf } from "../marketplaces/lookup.ts";
import { findClashes } from "./store.ts";

/** Members that the marketplace's signature does not cover, because they are ours or its list's to add. */
const ADDED = ["countersignature", "log_proof", "signatures", "valid_for_future_training", "acceptance"] as const;

/** A receipt whose form, parties and signature hold. What it is about is a further question. */
export interface VerifiedReceipt {
  /** As the marketplace signed it. */
  readonly document: JsonObject;
  readonly receipt: UsageReceipt & { readonly license_id: string };
  readonly sha256: string;
  /** Seconds since the epoch. */
  readonly period: { readonly from: number; readonly to: number };
  readonly licensedAt: number;
}

/**
 * Verifies what needs no transaction, all receipts at once and each for itself: the answers are in
 * the receipts' order.
 *
 * Refuses, in this order: `receipt_invalid`, `receipt_period_invalid`, `not_yours`,
 * `receipt_key_unknown`, `key_not_in_force`, `signature_invalid`, `test_document`. What was accepted
 * before is verified although its key has ended since.
 */
export async function verifyReceipts(
  ctx: Context,
  marketplaceId: string,
  received: readonly Result<JsonObject>[],
): Promise<readonly Result<VerifiedReceipt>[]> {
  const read = received.map((entry) => (entry.ok ? readReceived(ctx, marketplaceId, entry.value) : entry));
  const kids = new Set(read.flatMap((entry) => (entry.ok ? [entry.value.receipt.key_id] : [])));
  if (kids.size === 0) return read;
  const keys = await readReceiptKeysOf(ctx.db, marketplaceId, [...kids]);
  const verified = await Promise.all(
    read.map(async (entry) =>
      entry.ok ? verifySigned(ctx, entry.value, keys.get(entry.value.receipt.key_id)) : entry,
    ),
  );
  return believeKnown(ctx.db, marketplaceId, { read, verified });
}

/** Lets pass what is only refused because its key has ended, when the same bytes were accepted while it had not. */
export async function believeKnown(
  db: Db | Trx,
  marketplaceId: string,
  {
    read,
    verified,
  }: { readonly read: readonly Result<VerifiedReceipt>[]; readonly verified: readonly Result<VerifiedReceipt>[] },
): Promise<readonly Result<VerifiedReceipt>[]> {
  const late = read.map((entry, place) => {
    const judged = verified[place];
    const isEnded = judged?.ok === false && judged.refusal.code === "key_not_in_force";
    return entry.ok && isEnded ? entry.value : undefined;
  });
  const receipts = late.flatMap((entry) => (entry === undefined ? [] : [entry.receipt]));
  if (receipts.length === 0) return verified;
  const known = new Map((await findClashes(db, marketplaceId, receipts)).map((row) => [row.receipt_id, row.sha256]));
  return verified.map((entry, place) => {
    const ended = late[place];
    return ended !== undefined && known.get(ended.receipt.receipt_id) === ended.sha256 ? accept(ended) : entry;
  });
}

function readReceived(ctx: Context, marketplaceId: string, received: JsonObject): Result<VerifiedReceipt> {
  const document = without(received, ADDED);
  const read = readUsageReceipt(document);
  if (!read.ok) return read;
  const { iss, aud, license_id, period, licensed_at } = read.value;
  if (iss !== marketplaceId) return refuse("not_yours", `expected iss ${marketplaceId}, got ${iss}`);
  if (ctx.config.mode === "test" && document["test"] !== true)
    return refuse("receipt_invalid", "receipt.test: expected true, since this platform is in test mode");
  if (aud !== ctx.origin) return refuse("receipt_invalid", `receipt.aud: expected ${ctx.origin}, got ${aud}`);
  if (license_id === undefined)
    return refuse("receipt_invalid", "receipt.license_id: expected the license the use was under, got none");
  return accept({
    document,
    receipt: { ...read.value, license_id },
    sha256: receiptSha256(document),
    period: { from: parseInstant(period.from) ?? 0, to: parseInstant(period.to) ?? 0 },
    licensedAt: parseInstant(licensed_at) ?? 0,
  });
}

async function verifySigned(
  ctx: Context,
  verified: VerifiedReceipt,
  key: VerificationKey | undefined,
): Promise<Result<VerifiedReceipt>> {
  const allowTest = ctx.config.mode === "test";
  const signed = await verifyUsageReceipt(verified.document, verified.receipt, key, nowSeconds(ctx), { allowTest });
  return signed.ok ? accept(verified) : signed;
}
