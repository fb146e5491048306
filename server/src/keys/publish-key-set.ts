import { accept, canonicalize, keyEntry, parseJsonObject } from "@licet/protocol";
import { ConfigError } from "../config.ts";
import { readDocument } from "../documents/store.ts";
import type { Context } from "../context.ts";
import { documentPaths, documentTags } from "../documents/document-paths.ts";
import type { DocumentContent, ServedDocument } from "../documents/render-document.ts";
import type { Trx } from "../db/open-database.ts";
import { writeFact } from "../events/write-fact.ts";
import { platformKeyOf, readSigningKeys } from "./store.ts";

/** Publishes the key set at `/.well-known/keys.json` when its keys are not the ones that are served. */
export async function publishKeySet(ctx: Context): Promise<void> {
  const keys = (await readSigningKeys(ctx.db)).map(platformKeyOf);
  refuseOtherOrigin(ctx, await readDocument(ctx.db, documentPaths.keySet));
  const served = await ctx.documents.read(documentPaths.keySet);
  const isCurrent =
    served !== undefined && keys.every((key) => Buffer.from(served.bytes).includes(canonicalize(keyEntry(key))));
  if (isCurrent) return;
  await writeFact(ctx, async (fact) => {
    for (const key of keys)
      fact.record({
        type: "key.created",
        aggregate: key.kid,
        body: { kid: key.kid, purpose: key.purpose, alg: key.alg },
      });
    fact.publish(documentPaths.keySet, renderKeySet);
    return accept(undefined);
  });
}

async function renderKeySet(trx: Trx): Promise<DocumentContent> {
  const keys = (await readSigningKeys(trx)).map(platformKeyOf);
  return { kind: "key-set", content: { keys: keys.map(keyEntry) }, tags: [documentTags.all, documentTags.keys] };
}

/** Everything that was ever signed names the origin, so a database belongs to one origin for good. */
function refuseOtherOrigin(ctx: Context, served: ServedDocument | undefined): void {
  const published = served === undefined ? undefined : parseJsonObject(served.bytes);
  const iss = published?.ok === true ? published.value["iss"] : undefined;
  if (iss !== undefined && iss !== ctx.origin) {
    throw new ConfigError(
      `LICET_ORIGIN: expected ${canonicalize(iss)}, which everything in this database was signed for, got ${ctx.origin}`,
    );
  }
}
