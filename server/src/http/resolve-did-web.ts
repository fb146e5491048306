import { type DidDocument, type Result, didWebUrl, parseJsonObject, readDidDocument, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";

const MAX_DOCUMENT_BYTES = 65_536;

/**
 * Fetches and reads the DID document of a `did:web` through the guard: https alone, no redirect, at
 * most 64 KiB, and its `id` must be the DID. Nothing is kept: whoever asks decides how long a key is
 * believed.
 *
 * Refuses `did_malformed`, `url_forbidden`, `source_unavailable`, `source_too_large`,
 * `document_invalid` and `key_malformed`.
 */
export async function resolveDidWeb(ctx: Pick<Context, "outbound">, did: string): Promise<Result<DidDocument>> {
  const url = didWebUrl(did);
  if (!url.ok) return url;
  const answer = await ctx.outbound.read(url.value, {
    maxBytes: MAX_DOCUMENT_BYTES,
    accept: "application/did+json, application/did+ld+json, application/json",
  });
  if (!answer.ok) return answer;
  const parsed = parseJsonObject(answer.value.body);
  if (!parsed.ok) return refuse("document_invalid", `${url.value}: ${parsed.refusal.detail}`);
  return readDidDocument(parsed.value, did);
}
