import { CONTENT_STATUS_TRUST_SECONDS, TRUST_SECONDS } from "@licet/protocol";
import type { Context } from "../context.ts";
import { nowSeconds } from "../context.ts";
import { noticeOf } from "./documents.ts";
import { renderDocument } from "./render-document.ts";
import { type DueDocument, lockDue, lockSignedOtherwise, saveResigned } from "./store.ts";
import type { Trx } from "../db/open-database.ts";

/** Documents signed in one transaction: whoever revokes meanwhile waits for one batch at most. */
const BATCH = 100;

/**
 * Signs every document again whose half-life is over, so that copies of documents that nobody
 * reads here stay good. Servers that do it at once take different documents. Between two batches
 * it rests for as long as the last one took, so that it never takes more than half of a processor.
 */
export async function signDueDocuments(ctx: Context, signal: AbortSignal): Promise<void> {
  await inBatches(ctx, signal, (trx, now) =>
    lockDue(trx, { of: "all", expiringBy: now + Math.floor(TRUST_SECONDS / 2), limit: BATCH }),
  );
  await inBatches(ctx, signal, (trx, now) =>
    lockDue(trx, {
      of: "content-status",
      expiringBy: now + Math.floor(CONTENT_STATUS_TRUST_SECONDS / 2),
      limit: BATCH,
    }),
  );
  await signForNewKey(ctx, signal);
}

/** The key by which all content statuses are signed, as far as this process has looked. */
const lookedFor = new WeakMap<Context, string>();

/** Content statuses outlive the key that signed them: once another signs, all are looked through. */
async function signForNewKey(ctx: Context, signal: AbortSignal): Promise<void> {
  const { kid } = ctx.signingKeys.signerFor("document");
  if (lookedFor.get(ctx) === kid) return;
  let after = "";
  await inBatches(ctx, signal, async (trx) => {
    const found = await lockSignedOtherwise(trx, { after, kid, limit: BATCH });
    after = found.at(-1)?.served.path ?? after;
    return found;
  });
  if (!signal.aborted) lookedFor.set(ctx, kid);
}

type FindDue = (trx: Trx, now: number) => Promise<readonly DueDocument[]>;

async function inBatches(ctx: Context, signal: AbortSignal, find: FindDue): Promise<void> {
  while (!signal.aborted) {
    const startedMs = performance.now();
    if ((await signBatch(ctx, find)) < BATCH) return;
    const tookMs = performance.now() - startedMs;
    await new Promise((resolve) => setTimeout(resolve, tookMs));
  }
}

async function signBatch(ctx: Context, find: FindDue): Promise<number> {
  return ctx.db.transaction().execute(async (trx) => {
    const now = nowSeconds(ctx);
    const signer = await ctx.signingKeys.signerIn(trx, "document", now);
    const due = await find(trx, now);
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
