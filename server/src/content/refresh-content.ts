import { type Result, accept, modalityOf, readContentItem, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { readSource } from "./read-source.ts";
import { type Registration, contentView, registerContent } from "./register-content.ts";
import { findContent, recordOf } from "./store.ts";

/**
 * Reads the URL of a registered work again. The same bytes change nothing; other bytes are a new
 * revision, with the type, size and length that they have now and without the old perceptual hash.
 *
 * Refuses `not_found`, `item_withdrawn`, `source_mismatch` (bytes that are no work any more), and
 * what {@link readSource} and {@link registerContent} refuse.
 */
export async function refreshContent(ctx: Context, contentId: string): Promise<Result<Registration>> {
  const held = await findContent(ctx.db, contentId);
  if (held === undefined) return refuse("not_found", `there is no content ${contentId}`);
  if (held.withdrawn_at !== null) return refuse("item_withdrawn", `${contentId} was withdrawn`);
  const item = readContentItem(recordOf(held));
  if (!item.ok) throw new TypeError(`content ${contentId}: ${item.refusal.detail}`);
  const { creator_id, canonical_url, created_at, license, lineage } = item.value;
  const source = await readSource(ctx, canonical_url);
  if (!source.ok) return source;
  const { sha256, size_bytes, mime_type = held.mime_type, length_ms } = source.value;
  if (sha256 === held.sha256) return accept({ status: "unchanged", item: contentView(held) });
  if (modalityOf(mime_type) === undefined)
    return refuse("source_mismatch", `${canonical_url}: expected text, audio, image or video, got ${mime_type}`);
  return registerContent(ctx, {
    content_id: contentId,
    creator_id,
    canonical_url,
    created_at,
    license,
    lineage: [...lineage],
    sha256,
    size_bytes,
    mime_type,
    ...(length_ms === undefined ? {} : { length_ms }),
  });
}
