import { type JsonObject, parseJsonObject } from "@licet/protocol";
import { creatorKeyDocument } from "../creators/enrol-key.ts";
import type { Context } from "../context.ts";
import { canonicalize } from "@licet/protocol";
import type { VersionRow } from "./store.ts";

export interface LinePage {
  /** The last position the reader has; undefined to begin. */
  readonly after: number | undefined;
  readonly limit: number;
}

export interface Lines {
  readonly lines: readonly string[];
  /** The position after which the next page begins; undefined at the end. */
  readonly next: number | undefined;
}

/** A page of a version's items: each with its token, or only its leaf hash once it no longer stands. */
export async function pageItems(ctx: Context, version: VersionRow, { after, limit }: LinePage): Promise<Lines> {
  const rows = await ctx.db
    .selectFrom("dataset_item")
    .innerJoin("consent", "consent.jti", "dataset_item.jti")
    .innerJoin("content_item", "content_item.content_id", "dataset_item.content_id")
    .select(["position", "item", "leaf_hash", "dataset_item.jti", "consent.state", "content_item.withdrawn_at"])
    .where("dataset_item.dataset_id", "=", version.dataset_id)
    .where("dataset_item.version", "=", version.version)
    .where("position", ">", after ?? -1)
    .orderBy("position")
    .limit(limit + 1)
    .execute();
  const lines = rows.slice(0, limit).map(({ position, item, leaf_hash, jti, state, withdrawn_at }) => {
    const stands = state === "active" && withdrawn_at === null;
    return canonicalize(stands ? { position, item: objectOf(item), jti } : { position, leaf_hash, withdrawn: true });
  });
  return { lines, next: nextOf(rows, limit) };
}

/** A page of the tokens a version stands on: each with its acceptance and, when a creator signed, the creator's key. */
export async function pageConsents(ctx: Context, version: VersionRow, { after, limit }: LinePage): Promise<Lines> {
  const rows = await ctx.db
    .selectFrom("dataset_consent")
    .innerJoin("consent", "consent.jti", "dataset_consent.jti")
    .select(["position", "consent.jti", "consent.token", "consent.acceptance", "consent.kid", "consent.signed_by"])
    .where("dataset_consent.dataset_id", "=", version.dataset_id)
    .where("dataset_consent.version", "=", version.version)
    .where("position", ">", after ?? -1)
    .orderBy("position")
    .limit(limit + 1)
    .execute();
  const lines: string[] = [];
  for (const { position, jti, token, acceptance, kid, signed_by } of rows.slice(0, limit)) {
    const key = signed_by === "creator" ? await creatorKeyDocument(ctx, kid) : undefined;
    lines.push(
      canonicalize({ position, jti, token, acceptance: objectOf(acceptance), ...(key === undefined ? {} : { key }) }),
    );
  }
  return { lines, next: nextOf(rows, limit) };
}

function nextOf(rows: readonly { readonly position: number }[], limit: number): number | undefined {
  return rows.length > limit ? rows[limit - 1]?.position : undefined;
}

function objectOf(text: string): JsonObject {
  const parsed = parseJsonObject(text);
  if (!parsed.ok) throw new TypeError(`expected JSON that we wrote: ${parsed.refusal.detail}`);
  return parsed.value;
}
