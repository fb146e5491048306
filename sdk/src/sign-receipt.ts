import { type Signer, type UsageReceipt, encodeBase64url, formatInstant, signUsageReceipt } from "@licet/protocol";
import { epochSeconds } from "./clock.ts";

const RANDOM_BYTES = 16;

/**
 * What a usage receipt says. `iss` is the marketplace's id, `aud` the platform's origin,
 * `dataset_fingerprint` the `items_root` of the version that was used, fingerprints are SHA-256 in
 * hexadecimal. What is left out gets a default: a random `receipt_id` and `nonce`, `licensed_at`
 * now, and a `period` from `licensed_at` until now.
 *
 * @example
 * { iss: "mkt_1", aud: "https://platform.example", model_id: "model-1", dataset_id: "ds_1", dataset_version: 1,
 *   dataset_fingerprint: report.fingerprint, model_fingerprint, usage: { unit: "tokens", count: 1200 } }
 */
export type ReceiptContent = Omit<
  UsageReceipt,
  "type" | "key_id" | "signature" | "tokens_used" | "receipt_id" | "nonce" | "licensed_at" | "period"
> &
  Partial<Pick<UsageReceipt, "receipt_id" | "nonce" | "licensed_at" | "period">>;

/**
 * Signs a usage receipt with a key that is registered for the marketplace. `tokens_used` repeats
 * the count when the unit is tokens. Post the result with `client.postReceipt`; the same bytes may
 * be posted again, a second signature of the same content is another receipt.
 *
 * docs/wire-formats.md, "Usage receipt".
 *
 * @example const receipt = await signReceipt(content, await signerOf(privateJwk));
 */
export async function signReceipt(
  content: ReceiptContent,
  signer: Signer,
  now: () => number = epochSeconds,
): Promise<UsageReceipt> {
  const {
    receipt_id = `r_${randomText()}`,
    nonce = randomText(),
    licensed_at = formatInstant(now()),
    period,
    ...rest
  } = content;
  const receipt = {
    ...rest,
    receipt_id,
    nonce,
    licensed_at,
    period: period ?? { from: licensed_at, to: formatInstant(now()) },
  };
  return signUsageReceipt(
    rest.usage.unit === "tokens" ? { ...receipt, tokens_used: rest.usage.count } : receipt,
    signer,
  );
}

function randomText(): string {
  return encodeBase64url(crypto.getRandomValues(new Uint8Array(RANDOM_BYTES)));
}
