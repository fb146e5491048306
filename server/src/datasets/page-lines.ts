import { type SignedDocument, canonicalize } from "@licet/protocol";
import { creatorKeyDocument } from "../creators/enrol-key.ts";
import type { Context } from "../context.ts";
import { readOwnJson } from "../db/own-json.ts";
import { type LinePage, readConsentLines, readItemLines } from "./line-store.ts";
import type { VersionRow } from "./store.ts";

export interface Lines {
  readonly lines: readonly string[];
  /** The position after which the next page begins; undefined at the end. */
  readonly next: number | undefined;
}

/** A page of a version's items: each with its token, or only its leaf hash once it no longer stands. */
export async function pageItems(ctx: Context, version: VersionRow, page: LinePage): Promise<Lines> {
  const rows = await readItemLines(ctx.db, version, page);
  const lines = rows
    .slice(0, page.limit)
    .map(({ position, item, leaf_hash, jti, stands }) =>
      canonicalize(
        stands
          ? { position, item: readOwnJson(item, `item ${position} of ${version.dataset_id}`), jti }
          : { position, leaf_hash, withdrawn: true },
      ),
    );
  return { lines, next: nextOf(rows, page.limit) };
}

/** A page of the tokens a version stands on: each with its acceptance and, when a creator signed, the creator's key. */
export async function pageConsents(ctx: Context, version: VersionRow, page: LinePage): Promise<Lines> {
  const rows = await readConsentLines(ctx.db, version, page);
  // A creator signs many consents with one key: its document is read and signed once for the page.
  const keys = new Map<string, SignedDocument | undefined>();
  const lines: string[] = [];
  for (const { position, jti, token, acceptance, kid, signed_by } of rows.slice(0, page.limit)) {
    if (signed_by === "creator" && !keys.has(kid)) keys.set(kid, await creatorKeyDocument(ctx, kid));
    const key = keys.get(kid);
    const line = { position, jti, token, acceptance: readOwnJson(acceptance, `the acceptance of ${jti}`) };
    lines.push(canonicalize(key === undefined ? line : { ...line, key }));
  }
  return { lines, next: nextOf(rows, page.limit) };
}

function nextOf(rows: readonly { readonly position: number }[], limit: number): number | undefined {
  return rows.length > limit ? rows[limit - 1]?.position : undefined;
}
