import {
  CLOCK_SKEW_SECONDS,
  type JsonObject,
  type Result,
  type UsageReceipt,
  accept,
  canonicalize,
  countersignReceipt,
  formatInstant,
  parseInstant,
  readUsageReceipt,
  receiptSha256,
  refuse,
  verifyUsageReceipt,
  without,
} from "@licet/protocol";
import type { Context } from "../context.ts";
import { findOfferOf, findVersion } from "../datasets/lookup.ts";
import type { VersionRow } from "../datasets/lookup.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { holdReceiptKey } from "../marketplaces/lookup.ts";
import { findClashes, insertReceipt, receiptOf } from "./store.ts";

/** Members that the marketplace's signature does not cover, because they are ours to add. */
const ADDED_BY_US = ["countersignature", "log_proof", "signatures"] as const;

/** A version beyond this fits no column, and no dataset. */
const MAX_VERSION = 2 ** 31 - 1;

export interface AcceptedReceipt {
  /** False when the same bytes were accepted before: the first answer again. */
  readonly isNew: boolean;
  readonly receipt: JsonObject;
}

/**
 * Accepts a marketplace's usage receipt and countersigns it.
 *
 * Refuses, in this order: `receipt_invalid`, `not_yours`, `receipt_key_unknown`, `key_not_in_force`,
 * `signature_invalid`, `receipt_id_reused`, `receipt_nonce_reused`, `receipt_dataset_not_offered`,
 * `receipt_fingerprint_wrong`, `receipt_period_invalid`.
 */
export async function acceptReceipt(
  ctx: Context,
  marketplaceId: string,
  received: JsonObject,
): Promise<Result<AcceptedReceipt>> {
  const document = without(received, ADDED_BY_US);
  const read = readUsageReceipt(document);
  if (!read.ok) return read;
  const receipt = read.value;
  if (receipt.iss !== marketplaceId) return refuse("not_yours", `expected iss ${marketplaceId}, got ${receipt.iss}`);
  if (receipt.license_id !== undefined)
    return refuse(
      "receipt_invalid",
      `receipt.license_id: expected it to be absent, since this platform issues no licenses, got ${receipt.license_id}`,
    );
  if (ctx.config.mode === "test" && document["test"] !== true)
    return refuse("receipt_invalid", "receipt.test: expected true, since this platform is in test mode");
  if (receipt.aud !== ctx.origin)
    return refuse("receipt_invalid", `receipt.aud: expected ${ctx.origin}, got ${receipt.aud}`);
  return writeFact<AcceptedReceipt>(ctx, async (fact) => {
    const key = await holdReceiptKey(fact.trx, marketplaceId, receipt.key_id);
    const allowTest = ctx.config.mode === "test";
    const verified = await verifyUsageReceipt(document, receipt, key, fact.now, { allowTest });
    if (!verified.ok) return verified;
    const sha256 = receiptSha256(document);
    const clashes = await findClashes(fact.trx, receipt);
    const known = clashes.find((row) => row.receipt_id === receipt.receipt_id);
    if (known !== undefined) {
      return known.sha256 === sha256
        ? accept({ isNew: false, receipt: receiptOf(known) })
        : refuse("receipt_id_reused", `${receipt.receipt_id} was used for other bytes`);
    }
    if (clashes.length > 0) return refuse("receipt_nonce_reused", `the nonce ${receipt.nonce} was used before`);
    const checked = await checkReceipt(fact, receipt);
    if (!checked.ok) return checked;
    return accept({ isNew: true, receipt: await storeReceipt(ctx, fact, { document, receipt, sha256 }) });
  });
}

async function checkReceipt(fact: Fact, receipt: UsageReceipt): Promise<Result<true>> {
  if ((await findOfferOf(fact.trx, receipt.dataset_id, receipt.iss)) === undefined) {
    return refuse(
      "receipt_dataset_not_offered",
      `the dataset ${receipt.dataset_id} was never offered to ${receipt.iss}`,
    );
  }
  const version =
    receipt.dataset_version > MAX_VERSION
      ? undefined
      : await findVersion(fact.trx, receipt.dataset_id, receipt.dataset_version);
  if (version === undefined || version.items_root !== receipt.dataset_fingerprint) {
    return refuse(
      "receipt_fingerprint_wrong",
      `expected ${version?.items_root ?? "a version that exists"} for version ${receipt.dataset_version}, got ${receipt.dataset_fingerprint}`,
    );
  }
  return checkPeriod(receipt, version, fact.now);
}

function checkPeriod({ period, licensed_at }: UsageReceipt, version: VersionRow, now: number): Result<true> {
  const [from, to, licensedAt] = [period.from, period.to, licensed_at].map((text) => parseInstant(text) ?? 0);
  const latest = now + CLOCK_SKEW_SECONDS;
  const earliest = version.published_at - CLOCK_SKEW_SECONDS;
  if ((to ?? 0) > latest || (licensedAt ?? 0) > latest)
    return refuse(
      "receipt_period_invalid",
      `expected use that has happened by ${formatInstant(now)}, got period.to ${period.to} and licensed_at ${licensed_at}`,
    );
  if ((from ?? 0) < earliest || (licensedAt ?? 0) < earliest)
    return refuse(
      "receipt_period_invalid",
      `expected use after the version was published at ${formatInstant(version.published_at)}, got period.from ${period.from} and licensed_at ${licensed_at}`,
    );
  return accept(true);
}

interface ReceiptParts {
  readonly document: JsonObject;
  readonly receipt: UsageReceipt;
  readonly sha256: string;
}

async function storeReceipt(
  ctx: Context,
  fact: Fact,
  { document, receipt, sha256 }: ReceiptParts,
): Promise<JsonObject> {
  const countersignature = await countersignReceipt(
    document,
    ctx.origin,
    { acceptedAt: formatInstant(fact.now), flags: [] },
    await ctx.signingKeys.signerIn(fact.trx, "receipt", fact.now),
  );
  const accepted: JsonObject = { ...document, countersignature: { ...countersignature } };
  const body = {
    receipt_id: receipt.receipt_id,
    marketplace_id: receipt.iss,
    dataset_id: receipt.dataset_id,
    dataset_version: receipt.dataset_version,
    receipt_sha256: sha256,
  };
  fact.record({ type: "receipt.accepted", aggregate: receipt.receipt_id, body });
  const row = {
    receipt_id: receipt.receipt_id,
    marketplace_id: receipt.iss,
    dataset_id: receipt.dataset_id,
    dataset_version: receipt.dataset_version,
    nonce: receipt.nonce,
    sha256,
    model_id: receipt.model_id,
    model_fingerprint: receipt.model_fingerprint,
    unit: receipt.usage.unit,
    units: receipt.usage.count,
    receipt: canonicalize(accepted),
    accepted_at: fact.now,
  };
  await insertReceipt(fact.trx, row);
  return receiptOf(row);
}
