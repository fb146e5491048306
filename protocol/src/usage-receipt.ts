import { decodeBase64, encodeBase64, encodeBase64url } from "./base64url.ts";
import { sha256Hex } from "./digest.ts";
import { parseInstant } from "./instant.ts";
import { type JsonObject, type JsonValue, canonicalBytes } from "./json.ts";
import { ALGORITHMS, type Algorithm, type VerificationKey, isInForce } from "./keys.ts";
import type { KeySet } from "./key-set.ts";
import { currencyShape } from "./manifest.ts";
import { type Result, accept, refuse } from "./refusal.ts";
import {
  anything,
  count,
  exactly,
  identifier,
  instant,
  listOf,
  matching,
  objectOf,
  oneOf,
  origin,
  readShape,
  sha256,
  textUpTo,
} from "./shape.ts";
import { type Signer, verifySignature } from "./signature.ts";
import { isTest, signedBytes, testMark, verifyDocument, without } from "./signed-document.ts";

/** What usage is counted in. */
export type UsageUnit = "tokens" | "seconds" | "items" | "images" | "bytes";
export const USAGE_UNITS = ["tokens", "seconds", "items", "images", "bytes"] as const satisfies readonly UsageUnit[];

const NONCE = /^[A-Za-z0-9_-]{16,128}$/;

/** `meta-llama/Llama-3.1-8B`, `llama3:8b`: whatever the field calls its models. */
export const MODEL_ID = /^[\x21-\x7e]{1,256}$/;

const USAGE_RECEIPT = objectOf(
  {
    type: exactly("usage-receipt"),
    iss: identifier,
    aud: origin,
    key_id: textUpTo(128),
    receipt_id: identifier,
    model_id: matching((text) => MODEL_ID.test(text), "a model id of at most 256 printable characters without spaces"),
    licensed_at: instant,
    dataset_id: identifier,
    dataset_version: count,
    dataset_fingerprint: sha256,
    model_fingerprint: sha256,
    usage: objectOf({ unit: oneOf(...USAGE_UNITS), count }),
    nonce: matching((text) => NONCE.test(text), "a nonce of 16 to 128 characters of base64url"),
    period: objectOf({ from: instant, to: instant }),
    signature: textUpTo(128),
  },
  { tokens_used: count, license_id: identifier, currency: currencyShape, test: anything },
);

/**
 * A marketplace's signed word on what it used: the brief's `receipt_id model_id tokens_used
 * licensed_at signature`, and ours. `iss` is the marketplace, `aud` the platform's origin,
 * `dataset_fingerprint` the `items_root` of the version, `tokens_used` repeats `usage.count` when
 * the unit is tokens. `license_id` names the license that the use was under, which a platform that
 * issues licenses demands; `currency`, where it is there, must be the dataset's.
 */
export type UsageReceipt = ReturnType<typeof USAGE_RECEIPT>;

/** Members that are added after signing, and `signature` itself. */
const UNSIGNED = ["signatures", "signature", "countersignature", "log_proof"] as const;

/** Reads a receipt and what must agree within it. Refuses `receipt_invalid` and `receipt_period_invalid`. */
export function readUsageReceipt(document: JsonObject): Result<UsageReceipt> {
  const read = readShape(USAGE_RECEIPT, document, "receipt", "receipt_invalid");
  if (!read.ok) return read;
  const { usage, tokens_used, period } = read.value;
  if (usage.unit === "tokens" ? tokens_used !== usage.count : tokens_used !== undefined) {
    return refuse(
      "receipt_invalid",
      `receipt.tokens_used: expected ${usage.unit === "tokens" ? usage.count : "it to be absent"}, got ${tokens_used}`,
    );
  }
  if ((parseInstant(period.from) ?? 0) > (parseInstant(period.to) ?? 0))
    return refuse(
      "receipt_period_invalid",
      `expected period.from before period.to, got ${period.from} and ${period.to}`,
    );
  return read;
}

/** Signs a receipt; `type` and `key_id` become members, and `test: true` with a test key. */
export async function signUsageReceipt(
  receipt: Omit<UsageReceipt, "type" | "key_id" | "signature" | "test">,
  signer: Signer,
): Promise<UsageReceipt> {
  const content = { ...receipt, type: "usage-receipt" as const, key_id: signer.kid, ...testMark(signer) };
  const signature = encodeBase64(await signer.sign(signedBytes("usage-receipt", toJson(content), UNSIGNED)));
  return { ...content, signature };
}

/** Verifies the signature with the key that is registered for the marketplace. Refuses `receipt_key_unknown`, `key_not_in_force`, `signature_invalid`, `test_document`. */
export async function verifyUsageReceipt(
  document: JsonObject,
  receipt: UsageReceipt,
  key: VerificationKey | undefined,
  receivedAt: number,
  options: { readonly allowTest?: boolean } = {},
): Promise<Result<true>> {
  if (key === undefined || key.kid !== receipt.key_id)
    return refuse("receipt_key_unknown", `expected a key registered for ${receipt.iss}, got ${receipt.key_id}`);
  if (!isInForce(key, receivedAt)) return refuse("key_not_in_force", `the key ${key.kid} is not in force`);
  const signature = decodeBase64(receipt.signature);
  const verified =
    signature !== undefined &&
    (await verifySignature(key.jwk, signedBytes("usage-receipt", document, UNSIGNED), encodeBase64url(signature)));
  if (!verified) return refuse("signature_invalid", `the receipt's signature is not by the key ${key.kid}`);
  return isTest(document["test"]) && options.allowTest !== true
    ? refuse("test_document", "the receipt says test: true")
    : accept(true);
}

/** SHA-256 (hex) of the canonical receipt as the marketplace sent it, its signature included. */
export function receiptSha256(document: JsonObject): string {
  return sha256Hex(canonicalBytes(without(document, ["countersignature", "log_proof"])));
}

/**
 * What acceptance found worth saying, none of which keeps a receipt from counting: `late` (used
 * before something was taken back, handed in afterwards), `spans_revocation` (the period holds the
 * instant at which something was taken back), `after_revocation` (used afterwards: a breach, kept as
 * evidence, and owed), `license_ended` (used after the license was over), `over_cap` (beyond what
 * the license allows to spend, and owed).
 */
export type ReceiptFlag = "late" | "spans_revocation" | "after_revocation" | "license_ended" | "over_cap";
export const RECEIPT_FLAGS = [
  "late",
  "spans_revocation",
  "after_revocation",
  "license_ended",
  "over_cap",
] as const satisfies readonly ReceiptFlag[];

/** The platform's word that it has the receipt: `signatures` are over the whole, by a key of purpose `receipt`. */
export interface Countersignature {
  readonly key_id: string;
  readonly alg: Algorithm;
  readonly sig: string;
  readonly accepted_at: string;
  /** Absent when there is nothing to say. */
  readonly flags?: readonly ReceiptFlag[];
  readonly test?: true;
}

const COUNTERSIGNATURE = objectOf(
  { key_id: textUpTo(128), alg: oneOf(...ALGORITHMS), sig: textUpTo(128), accepted_at: instant },
  { flags: listOf(oneOf(...RECEIPT_FLAGS), { min: 1, max: RECEIPT_FLAGS.length }), test: anything },
);

/** What a countersignature says beside the receipt it is of. */
interface Said {
  readonly accepted_at: string;
  readonly flags?: readonly ReceiptFlag[] | undefined;
  readonly test?: JsonValue | undefined;
}

function countersigned(sha256: string, iss: string, { accepted_at, flags, test }: Said): JsonObject {
  return {
    type: "receipt-countersignature",
    iss,
    receipt_sha256: sha256,
    accepted_at,
    ...(flags === undefined ? {} : { flags }),
    ...(test === undefined ? {} : { test }),
  };
}

export interface Acceptance {
  readonly acceptedAt: string;
  readonly flags: readonly ReceiptFlag[];
  /** What {@link receiptSha256} says of the receipt, where it is known. */
  readonly sha256?: string;
}

/** Countersigns an accepted receipt. */
export async function countersignReceipt(
  receipt: JsonObject,
  iss: string,
  { acceptedAt, flags, sha256 = receiptSha256(receipt) }: Acceptance,
  signer: Signer,
): Promise<Countersignature> {
  const said = { accepted_at: acceptedAt, ...(flags.length === 0 ? {} : { flags }), ...testMark(signer) };
  const sig = encodeBase64url(
    await signer.sign(signedBytes("receipt-countersignature", countersigned(sha256, iss, said))),
  );
  return { key_id: signer.kid, alg: signer.alg, sig, ...said };
}

/** Verifies the member `countersignature` of an accepted receipt with the platform's key set. */
export async function verifyCountersignature(receipt: JsonObject, keys: KeySet): Promise<Result<true>> {
  const read = readShape(COUNTERSIGNATURE, receipt["countersignature"] ?? null, "countersignature", "document_invalid");
  if (!read.ok) return read;
  const { accepted_at, flags, test, ...signature } = read.value;
  const document = {
    ...countersigned(receiptSha256(receipt), keys.iss, { accepted_at, flags, test }),
    signatures: [signature],
  };
  const verified = await verifyDocument(document, {
    type: "receipt-countersignature",
    keys,
    madeAt: parseInstant(accepted_at) ?? 0,
  });
  return verified.ok ? accept(true) : verified;
}

function toJson(content: Omit<UsageReceipt, "signature">): JsonObject {
  const { tokens_used, license_id, currency, test, ...required } = content;
  return {
    ...required,
    ...(tokens_used === undefined ? {} : { tokens_used }),
    ...(license_id === undefined ? {} : { license_id }),
    ...(currency === undefined ? {} : { currency }),
    ...(test === undefined ? {} : { test }),
  };
}
