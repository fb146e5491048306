import { accept, cacheTags, canonicalize, didDocument, isTest, keyEntry, parseJsonObject } from "@licet/protocol";
import { ConfigError } from "../config.ts";
import { readDocument } from "../documents/store.ts";
import type { Context } from "../context.ts";
import { documentPaths } from "../documents/document-paths.ts";
import { DID_DOCUMENT, type DocumentContent, type ServedDocument } from "../documents/render-document.ts";
import type { Trx } from "../db/open-database.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { keyBody, lockSigningKeys, platformKeyOf, readSigningKeys } from "./store.ts";

/** Publishes the key set at `/.well-known/keys.json` when its keys are not the ones that are served. */
export async function publishKeySet(ctx: Context): Promise<void> {
  refuseOtherPlatform(ctx, await readDocument(ctx.db, documentPaths.keySet));
  const isPublished = await ctx.documents.read(documentPaths.keySet);
  const isWhole = (await ctx.documents.read(documentPaths.didDocument)) !== undefined;
  if (isPublished !== undefined && isWhole && (await isCurrent(ctx, isPublished))) return;
  await writeFact(ctx, async (fact) => {
    await lockSigningKeys(fact.trx);
    const served = await readDocument(fact.trx, documentPaths.keySet);
    const missing = (await readSigningKeys(fact.trx)).filter(
      (row) => served === undefined || !isServed(served, row.kid),
    );
    for (const row of missing)
      fact.record({ type: "key.created", aggregate: row.kid, body: { ...keyBody(row), alg: row.alg } });
    await republishKeySet(
      fact,
      missing.map((row) => row.kid),
    );
    return accept(undefined);
  });
}

async function isCurrent(ctx: Context, served: ServedDocument): Promise<boolean> {
  const keys = (await readSigningKeys(ctx.db)).map(platformKeyOf);
  return keys.every((key) => isServed(served, canonicalize(keyEntry(key))));
}

function isServed(served: ServedDocument, text: string): boolean {
  return Buffer.from(served.bytes).includes(text);
}

/** Has the key set and the DID document rendered in this fact, and the other servers read their keys again. */
export async function republishKeySet(fact: Fact, kids: readonly string[]): Promise<void> {
  fact.publish(documentPaths.keySet, renderKeySet);
  fact.publish(documentPaths.didDocument, (trx) => renderDidDocument(trx, fact.ctx.origin));
  await fact.ctx.notices.announce(fact.trx, "signing-keys", kids);
}

async function renderKeySet(trx: Trx): Promise<DocumentContent> {
  const keys = (await readSigningKeys(trx)).map(platformKeyOf);
  return { kind: "key-set", content: { keys: keys.map(keyEntry) }, tags: [cacheTags.all, cacheTags.keys] };
}

async function renderDidDocument(trx: Trx, origin: string): Promise<DocumentContent> {
  const keys = (await readSigningKeys(trx)).map(platformKeyOf);
  const content = didDocument({ iss: origin, keys });
  return { kind: DID_DOCUMENT, content, tags: [cacheTags.all, cacheTags.keys] };
}

/** Everything that was ever signed names the origin, and says whether it is a test, so a database belongs to one of each for good. */
function refuseOtherPlatform(ctx: Context, served: ServedDocument | undefined): void {
  const published = served === undefined ? undefined : parseJsonObject(served.bytes);
  if (published?.ok !== true) return;
  const { iss, test } = published.value;
  if (iss !== undefined && iss !== ctx.origin) {
    throw new ConfigError(
      `LICET_ORIGIN: expected ${canonicalize(iss)}, which everything in this database was signed for, got ${ctx.origin}`,
    );
  }
  const mode = isTest(test) ? "test" : "live";
  if (mode !== ctx.config.mode) {
    throw new ConfigError(
      `LICET_MODE: expected ${mode}, since everything in this database was signed in that mode, got ${ctx.config.mode}; use another database`,
    );
  }
}
