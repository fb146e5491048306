import {
  clocksAt,
  type ConsentClaims,
  type JsonObject,
  type SignedDocument,
  formatInstant,
  parseJsonObject,
  signDocument,
} from "@licet/protocol";
import type { Context } from "../context.ts";
import { nowSeconds } from "../context.ts";
import type { DatasetRow, VersionRow } from "./store.ts";
import { type LinePage } from "./page-lines.ts";

/**
 * Provenance in the brief's names: the works that stand, the consents they stand on, signed. The
 * top-level `consent_*` members are there when there is exactly one consent, `consents` always.
 */
export async function readProvenance(
  ctx: Context,
  { dataset, version }: { readonly dataset: DatasetRow; readonly version: VersionRow },
  page: LinePage,
): Promise<SignedDocument> {
  const { items, next } = await readItems(ctx, version, page);
  const consents = await readConsentEntries(ctx, version);
  const [only] = consents.length === 1 ? consents : [];
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
    version: version.version,
    manifest_sha256: version.manifest_sha256,
    items_root: version.items_root,
    provenance: { dataset_id: dataset.dataset_id, content_items: items, ...single },
    consents: consents.map((consent) => ({ ...consent })),
    ...(only === undefined ? {} : { consent_jwt: only.consent_jwt }),
    next,
    ...clocksAt(nowSeconds(ctx)),
  };
  return signDocument("provenance", ctx.origin, content, ctx.signingKeys.signerFor("document"));
}

async function readItems(
  ctx: Context,
  version: VersionRow,
  { after, limit }: LinePage,
): Promise<{ readonly items: readonly JsonObject[]; readonly next: string | null }> {
  const rows = await ctx.db
    .selectFrom("dataset_item")
    .innerJoin("consent", "consent.jti", "dataset_item.jti")
    .innerJoin("content_item", "content_item.content_id", "dataset_item.content_id")
    .select(["position", "item", "dataset_item.jti"])
    .where("dataset_item.dataset_id", "=", version.dataset_id)
    .where("dataset_item.version", "=", version.version)
    .where("position", ">", after ?? -1)
    .where("consent.state", "=", "active")
    .where("content_item.withdrawn_at", "is", null)
    .orderBy("position")
    .limit(limit + 1)
    .execute();
  const last = rows[limit - 1];
  return {
    items: rows.slice(0, limit).map((row) => itemOf(row.item)),
    next: rows.length > limit && last !== undefined ? String(last.position) : null,
  };
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

async function readConsentEntries(ctx: Context, version: VersionRow): Promise<readonly ConsentEntry[]> {
  const rows = await ctx.db
    .selectFrom("dataset_consent")
    .innerJoin("consent", "consent.jti", "dataset_consent.jti")
    .selectAll("consent")
    .where("dataset_consent.dataset_id", "=", version.dataset_id)
    .where("dataset_consent.version", "=", version.version)
    .orderBy("position")
    .execute();
  return rows.map((row) => {
    const claims: ConsentClaims = JSON.parse(row.claims);
    return {
      jti: row.jti,
      creator_id: row.creator_id,
      consent_jwt: row.token,
      scope: claims.scope,
      issued_at: formatInstant(row.issued_at),
      expires_at: formatInstant(row.expires_at),
      state: row.state,
      signed_by: row.signed_by,
    };
  });
}

function itemOf(text: string): JsonObject {
  const parsed = parseJsonObject(text);
  if (!parsed.ok) throw new TypeError(`expected an item that we wrote: ${parsed.refusal.detail}`);
  return parsed.value;
}
