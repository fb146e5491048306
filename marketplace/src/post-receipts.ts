import { verifyCountersignature } from "@licet/protocol";
import { type Answer, type KeptReceipt, fetchKeySet } from "@licet/sdk";
import type { Connected, MarketplaceContext } from "./context.ts";
import { type StoredReceipt, markNotPosted, markPosted, waitingReceipts } from "./run-store.ts";

/** Receipts sent in one go; the rest follow at the next. */
const MAX_RECEIPTS_AT_ONCE = 100;

/**
 * Sends the receipts that the platform has not taken yet. One it cannot take now waits for the next
 * call; one it refuses is kept with the reason. Sending the same receipt twice is harmless.
 */
export async function postReceipts(context: MarketplaceContext): Promise<void> {
  const { connected, store } = context;
  if (connected === undefined) return;
  for (const waiting of waitingReceipts(store, MAX_RECEIPTS_AT_ONCE)) {
    const posted = await postEnrolled(context, connected, waiting);
    if (!posted.ok) {
      const { code, detail } = posted.refusal;
      const mayPass =
        code === "unavailable" || code === "internal" || code === "unauthenticated" || code === "token_invalid";
      markNotPosted(store, waiting.id, mayPass ? "waiting" : "refused", `${code}: ${detail}`);
      continue;
    }
    const { document } = posted.value;
    const reason = await countersignatureProblem(context, connected, document);
    if (reason === undefined) markPosted(store, waiting.id, document);
    else markNotPosted(store, waiting.id, "waiting", reason);
  }
}

/** The platform learns the receipt key with the first receipt, unless its operator registered it before. */
async function postEnrolled(
  { receiptJwk }: MarketplaceContext,
  { client, connection }: Connected,
  { document }: StoredReceipt,
): Promise<Answer<KeptReceipt>> {
  const posted = await client.postReceipt(document);
  if (posted.ok || posted.refusal.code !== "receipt_key_unknown") return posted;
  const enrolled = await client.registerReceiptKey(connection.marketplace_id, receiptJwk);
  return enrolled.ok ? client.postReceipt(document) : enrolled;
}

async function countersignatureProblem(
  { fetch, now, config }: MarketplaceContext,
  { connection }: Connected,
  document: KeptReceipt["document"],
): Promise<string | undefined> {
  const keys = await fetchKeySet({ origin: connection.origin, fetch, now, allowTest: config.test });
  const verified = keys.ok ? await verifyCountersignature(document, keys.value) : keys;
  return verified.ok ? undefined : `${verified.refusal.code}: ${verified.refusal.detail}`;
}
