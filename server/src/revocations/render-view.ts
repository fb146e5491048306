import { REVOCATIONS_PER_PAGE, REVOCATION_RETENTION_SECONDS, accept, cacheTags, formatInstant } from "@licet/protocol";
import type { ConsentRow } from "../consents/lookup.ts";
import type { Context } from "../context.ts";
import { documentPaths } from "../documents/document-paths.ts";
import type { DocumentContent } from "../documents/render-document.ts";
import type { Trx } from "../db/open-database.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { readListNumbers } from "../status-lists/lookup.ts";
import { appendRevocations, readRevocationPage } from "./store.ts";

/** Publishes the view, empty as it may be, so that a reader never finds nothing. */
export async function publishRevocationView(ctx: Context): Promise<void> {
  if ((await ctx.documents.read(documentPaths.revocations)) !== undefined) return;
  await writeFact(ctx, async (fact) => {
    publishPage(fact, 0, true);
    return accept(undefined);
  });
}

/** Adds ended consents to the revocation view in this fact. A page that fills up moves to a path of its own. */
export async function addToView(fact: Fact, ended: readonly Pick<ConsentRow, "jti" | "expires_at">[]): Promise<void> {
  if (ended.length === 0) return;
  const last = await appendRevocations(
    fact.trx,
    ended.map((row) => ({ jti: row.jti, listedUntil: row.expires_at + REVOCATION_RETENTION_SECONDS })),
    fact.now,
  );
  const firstPage = pageOf(Math.max(last, 1));
  const newestPage = pageOf(last + ended.length);
  for (let page = firstPage; page < newestPage; page += 1) publishPage(fact, page, false);
  publishPage(fact, newestPage, true);
}

function pageOf(sequence: number): number {
  return Math.floor((sequence - 1) / REVOCATIONS_PER_PAGE);
}

function publishPage(fact: Fact, page: number, isNewest: boolean): void {
  const path = isNewest ? documentPaths.revocations : documentPaths.olderRevocations(page);
  fact.publish(path, (trx) => renderPage(trx, fact, page));
}

async function renderPage(trx: Trx, fact: Fact, page: number): Promise<DocumentContent> {
  const revocations = (await readRevocationPage(trx, page, fact.now)).map(({ jti, revoked_at }) => ({
    jti,
    revoked_at: formatInstant(revoked_at),
  }));
  const status_lists = (await readListNumbers(trx)).map((list) => fact.ctx.origin + documentPaths.statusList(list));
  const next = page > 0 ? { next: fact.ctx.origin + documentPaths.olderRevocations(page - 1) } : {};
  return {
    kind: "consent-revocations",
    content: { revocations, status_lists, ...next },
    tags: [cacheTags.all, cacheTags.revocations],
  };
}
