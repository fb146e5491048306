import { type Result, accept, formatInstant, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { type Page, cutPage } from "../http/parameters.ts";
import type { Principal } from "../http/principal.ts";
import { MAX_NAMED } from "./affected-store.ts";
import {
  type Derivation,
  type KnownModel,
  type ModelConsent,
  type ModelUseRow,
  type Viewer,
  countModelConsents,
  isKnownModel,
  readBases,
  readCorrections,
  readDerived,
  readEndedConsents,
  readListings,
  readModelConsents,
  readModelLicenses,
  readModels,
  readUses,
} from "./store.ts";

/** Models made from models made from it: so many steps are followed, in both directions. */
const MAX_LEVELS = 8;

/** What a caller may know of models: a marketplace what is its own, a creator what their works were used for. */
function viewerOf(principal: Principal): Viewer {
  if (principal.kind === "marketplace") return { marketplaceId: principal.marketplaceId };
  return principal.kind === "creator" ? { creatorId: principal.creatorId } : {};
}

export interface ModelQuery extends Page {
  readonly datasetId: string | undefined;
  readonly jti: string | undefined;
  readonly contentId: string | undefined;
}

export async function listModels(
  ctx: Context,
  principal: Principal,
  query: ModelQuery,
): Promise<{ readonly rows: readonly KnownModel[]; readonly next: string | null }> {
  const rows = await readModels(ctx.db, { ...query, ...viewerOf(principal) });
  return cutPage(rows, query.limit, (row) => row.fingerprint);
}

/** A model on the way down to the ones it was made from, or up to those made from it. */
export interface Relative extends Derivation {
  /** Steps from the model that was asked for, from 1. */
  readonly level: number;
}

interface Relatives {
  readonly rows: readonly Relative[];
  /** False when there are more, or further away, than are named. */
  readonly isComplete: boolean;
}

/**
 * All that is known of a model: the licenses and receipts it has, the versions they name, the
 * consents behind those, and which models it was made from or others were made from it.
 * Refuses `not_found` and `not_yours`.
 */
export async function readModel(ctx: Context, principal: Principal, fingerprint: string) {
  const viewer = viewerOf(principal);
  const { marketplaceId } = viewer;
  const [uses, licenses, listings] = [
    await readUses(ctx.db, fingerprint, viewer),
    await readModelLicenses(ctx.db, fingerprint, { ...viewer, limit: MAX_NAMED }),
    viewer.creatorId === undefined ? await readListings(ctx.db, fingerprint, marketplaceId) : [],
  ];
  const derived = await readRelatives(ctx, fingerprint, { marketplaceId, towards: "derived" });
  if (uses.length === 0 && licenses.count === 0 && listings.length === 0) {
    const mayKnow = viewer.creatorId === undefined && derived.rows.length > 0;
    if (!mayKnow) return refuseUnknown(ctx, fingerprint, viewer);
  }
  return accept({
    fingerprint,
    uses,
    corrections: await readCorrections(ctx.db, fingerprint, viewer),
    licenses,
    listings,
    consents: await readConsentsBehind(ctx, fingerprint, viewer),
    bases: await readRelatives(ctx, fingerprint, { marketplaceId, towards: "bases" }),
    derived,
  });
}

export type ReadModel = Extract<Awaited<ReturnType<typeof readModel>>, { ok: true }>["value"];

async function refuseUnknown(ctx: Context, fingerprint: string, { marketplaceId, creatorId }: Viewer) {
  const isSomebodys = marketplaceId !== undefined || creatorId !== undefined;
  return isSomebodys && (await isKnownModel(ctx.db, fingerprint))
    ? refuse(
        "not_yours",
        creatorId === undefined
          ? `the model ${fingerprint} is another marketplace's`
          : `no work of yours is known to be in the model ${fingerprint}`,
      )
    : refuse("not_found", `no license, receipt or list names the model ${fingerprint}`);
}

async function readConsentsBehind(ctx: Context, fingerprint: string, viewer: Viewer) {
  return {
    counts: await countModelConsents(ctx.db, fingerprint, viewer),
    ended: await readEndedConsents(ctx.db, fingerprint, { ...viewer, limit: MAX_NAMED }),
  };
}

/** The consents behind a model, page by page. Refuses `not_found` and `not_yours`. */
export async function listModelConsents(
  ctx: Context,
  principal: Principal,
  { fingerprint, ...page }: Page & { readonly fingerprint: string },
): Promise<Result<{ readonly rows: readonly ModelConsent[]; readonly next: string | null }>> {
  const viewer = viewerOf(principal);
  const rows = await readModelConsents(ctx.db, fingerprint, { ...viewer, ...page });
  if (rows.length === 0 && page.after === undefined) {
    const isSeen =
      (await readUses(ctx.db, fingerprint, viewer)).length > 0 ||
      (await readModelLicenses(ctx.db, fingerprint, { ...viewer, limit: 1 })).count > 0;
    if (!isSeen) return refuseUnknown(ctx, fingerprint, viewer);
  }
  return accept(cutPage(rows, page.limit, (row) => row.jti));
}

interface Direction {
  readonly marketplaceId: string | undefined;
  readonly towards: "bases" | "derived";
}

/** Level by level; a model that was met before is not followed again, so that a circle ends. */
async function readRelatives(
  ctx: Context,
  fingerprint: string,
  { marketplaceId, towards }: Direction,
): Promise<Relatives> {
  const read = towards === "bases" ? readBases : readDerived;
  const nextOf = (row: Derivation): string => (towards === "bases" ? row.base_fingerprint : row.fingerprint);
  const seen = new Set([fingerprint]);
  const rows: Relative[] = [];
  let asked: readonly string[] = [fingerprint];
  for (let level = 1; asked.length > 0; level += 1) {
    const found = await read(ctx.db, asked, { limit: MAX_NAMED - rows.length + 1, marketplaceId });
    const isOver = level > MAX_LEVELS || rows.length + found.length > MAX_NAMED;
    if (level <= MAX_LEVELS) rows.push(...found.slice(0, MAX_NAMED - rows.length).map((row) => ({ ...row, level })));
    if (isOver) return { rows, isComplete: found.length === 0 };
    asked = [...new Set(found.map(nextOf))].filter((next) => !seen.has(next));
    for (const next of asked) seen.add(next);
  }
  return { rows, isComplete: true };
}

/** What receipts say of a dataset's versions, added up. */
export interface DatasetUse {
  readonly dataset_id: string;
  readonly versions: readonly number[];
  readonly receipts: bigint;
}

export function usesByDataset(uses: readonly ModelUseRow[]): readonly DatasetUse[] {
  return [...Map.groupBy(uses, (use) => use.dataset_id)].map(([dataset_id, rows]) => ({
    dataset_id,
    versions: [...new Set(rows.map((row) => row.dataset_version))],
    receipts: sumOf(rows, "receipts"),
  }));
}

/** Counts and amounts of rows together. */
export function sumOf(rows: readonly ModelUseRow[], column: "receipts" | "units" | "charged_micros"): bigint {
  return rows.reduce((sum, row) => sum + BigInt(row[column]), 0n);
}

/** When use begins or ends that several rows tell of. */
export function periodOf(uses: readonly ModelUseRow[]): { readonly from: string; readonly to: string } | undefined {
  return uses.length === 0
    ? undefined
    : {
        from: formatInstant(uses.reduce((first, use) => Math.min(first, use.first_from), Number.MAX_SAFE_INTEGER)),
        to: formatInstant(uses.reduce((last, use) => Math.max(last, use.last_to), 0)),
      };
}
