import { TRUST_SECONDS } from "@licet/protocol";
import type { Context } from "../context.ts";
import { nowSeconds } from "../context.ts";
import { noticeOf } from "./documents.ts";
import { renderDocument } from "./render-document.ts";
import { lockDue, saveResigned } from "./store.ts";

/** Documents signed in one transaction: whoever revokes meanwhile waits for one batch at most. */
const BATCH = 100;

/**
 * Signs every document again whose half-life is over, so that copies of documents that nobody
 * reads here stay good. Servers that do it at once take different documents. Between two batches
 * it rests for as long as the last one took, so that it never takes more than half of a processor.
 */
export async function signDueDocuments(ctx: Context, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const startedMs = performance.now();
    if ((await signBatch(ctx)) < BATCH) return;
    const tookMs = performance.now() - startedMs;
    await new Promise((resolve) => setTimeout(resolve, tookMs));
  }
}

async function signBatch(ctx: Context): Promise<number> {
  return ctx.db.transaction().execute(async (trx) => {
    const now = nowSeconds(ctx);
    const signer = await ctx.signingKeys.signerIn(trx, "document", now);
    const due = await lockDue(trx, { expiringBy: now + Math.floor(TRUST_SECONDS / 2), limit: BATCH });
    if (due.length === 0) return 0;
    const signed = await Promise.all(
      due.map(({ document, served: { path, seq } }) =>
        renderDocument(document, { path, seq: seq + 1, now, origin: ctx.origin, signer }),
      ),
    );
    await saveResigned(trx, signed);
    await ctx.notices.announce(trx, "documents", signed.map(noticeOf));
    return due.length;
  });
}
