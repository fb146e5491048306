import { clocksAt, type JsonObject, type SignedDocument, formatInstant, signDocument } from "@licet/protocol";
import { type ConsentRow, claimsOf, findConsents } from "../consents/lookup.ts";
import { type Context, nowSeconds } from "../context.ts";
import { readOwnJson } from "../db/own-json.ts";
import { type LinePage, readItemLines } from "./line-store.ts";
import type { DatasetRow, VersionRow } from "./store.ts";

/**
 * Provenance in the brief's names: the works that stand and the consents that the works of this page
 * rest on, whether they stand or not, signed. The top-level `consent_*` members are there when the
 * version has exactly one consent, `consents` always. Works that do not stand take a place on the
 * page, so that a page is bounded.
 */
export async function readProvenance(
  ctx: Context,
  { dataset, version }: { readonly dataset: DatasetRow; readonly version: VersionRow },
  page: LinePage,
): Promise<SignedDocument> {
  const rows = await readItemLines(ctx.db, version, page);
  const lines = rows.slice(0, page.limit);
  const last = rows.length > page.limit ? lines.at(-1) : undefined;
  const jtis = [...new Set(lines.map((line) => line.jti))];
  const found = new Map((await findConsents(ctx.db, jtis)).map((row) => [row.jti, row]));
  const consents = jtis.flatMap((jti) => found.get(jti) ?? []).map(consentEntryOf);
  const [only] = version.consents_count === 1 ? consents : [];
  const items = lines
    .filter((line) => line.stands)
    .map((line) => readOwnJson(line.item, `item ${line.position} of ${dataset.dataset_id}`));
  const single: JsonObject =
    only === undefined
      ? {}
      : {
          consent_token_id: only.jti,
          consent_scope: only.scope,
          consent_issued_at: only.issued_at,
          consent_expires_at: only.expires_at,
        };
  const content: JsonObject = {
    dataset_id: dataset.dataset_id,
    state: dataset.state,
    version: version.version,
    manifest_sha256: version.manifest_sha256,
    items_root: version.items_root,
    provenance: { dataset_id: dataset.dataset_id, content_items: items, ...single },
    consents: consents.map((consent) => ({ ...consent })),
    ...(only === undefined ? {} : { consent_jwt: only.consent_jwt }),
    next: last === undefined ? null : String(last.position),
    ...clocksAt(nowSeconds(ctx)),
  };
  return signDocument("provenance", ctx.origin, content, ctx.signingKeys.signerFor("document"));
}

interface ConsentEntry {
  readonly jti: string;
  readonly creator_id: string;
  readonly consent_jwt: string;
  readonly scope: readonly string[];
  readonly issued_at: string;
  readonly expires_at: string;
  readonly state: string;
  readonly signed_by: string;
}

function consentEntryOf(row: ConsentRow): ConsentEntry {
  return {
    jti: row.jti,
    creator_id: row.creator_id,
    consent_jwt: row.token,
    scope: claimsOf(row).scope,
    issued_at: formatInstant(row.issued_at),
    expires_at: formatInstant(row.expires_at),
    state: row.state,
    signed_by: row.signed_by,
  };
}
