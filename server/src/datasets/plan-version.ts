import {
  type JsonObject,
  type Offence,
  type Result,
  type RevenueSplit,
  type WorkMeasures,
  accept,
  canonicalize,
  itemLeafHash,
  readManifest,
  refuse,
  sha256Hex,
  splitWeightOf,
} from "@licet/protocol";
import { setImmediate as pause } from "node:timers/promises";
import { type Context, nowSeconds } from "../context.ts";
import { type CoveredItem, coverItems } from "./cover-items.ts";
import { type DatasetInput, itemReferencesOf } from "./dataset-input.ts";
import { manifestOf } from "./render-dataset.ts";
import type { VersionRow } from "./store.ts";
import { offerOf } from "./version-offer.ts";
import type { ConsentLine, ItemLine } from "./version-store.ts";

/** What a version offers, beside its works. */
export interface VersionTerms {
  readonly name: string;
  readonly scope: readonly string[];
  readonly pricing: { readonly model_use: string };
  readonly currency: string;
  readonly license: string;
  readonly revenueSplit: RevenueSplit;
}

/** A version as it would be, found without any lock: committing it checks what it rests on once more. */
export interface VersionPlan {
  readonly datasetId: string;
  readonly terms: VersionTerms;
  readonly items: readonly ItemLine[];
  readonly consents: readonly (ConsentLine & { readonly token: string })[];
  /** Works that are no part of it but that hold it back should they fall. */
  readonly ancestorIds: readonly string[];
  readonly offeredTo: readonly string[];
  readonly previous: VersionRow | undefined;
  /** Of what it offers and holds, so that the same content again is the same version. */
  readonly contentSha256: string;
  /** What was suspended may stay in: it may stand again. The versions before are no longer valid. */
  readonly isCompaction: boolean;
}

/** Lines that are made between two pauses, in which others have their turn. */
const BATCH = 100;

/** Plans what a request to publish asks for. Refuses `currency_wrong`, `items_not_covered`, `conflict` and `split_measure_missing`. */
export async function planVersion(
  ctx: Context,
  input: DatasetInput,
  { datasetId, previous }: { readonly datasetId: string; readonly previous: VersionRow | undefined },
): Promise<Result<VersionPlan>> {
  const { name, scope, pricing, currency, license } = input;
  const kept = checkCurrency(currency, previous);
  if (!kept.ok) return kept;
  const offer = { datasetId, scope, license, price: pricing.model_use };
  const covered = await coverItems(ctx.db, itemReferencesOf(input), { offer, now: nowSeconds(ctx) });
  if (!covered.ok) return covered;
  const { items, ancestorIds, offeredTo } = covered.value;
  const provenance = checkProvenance(input, datasetId, items);
  if (!provenance.ok) return provenance;
  const revenueSplit = {
    by: input.revenue_split?.by ?? "items",
    platform_fee_bps: input.revenue_split?.platform_fee_bps ?? ctx.config.money.platformFeeBps,
  };
  const measured = checkMeasures(items, revenueSplit);
  if (!measured.ok) return measured;
  const terms = { name, scope, pricing: { model_use: pricing.model_use }, currency, license, revenueSplit };
  const consents = [...new Map(items.map(({ consent }) => [consent.jti, consent])).values()];
  return accept({
    datasetId,
    terms,
    items: await linesOf(items),
    consents: consents.map(({ jti, token }, position) => ({ position, jti, token })),
    ancestorIds,
    offeredTo,
    previous,
    contentSha256: contentHash(
      terms,
      items.map(({ content, consent }) => [content.content_id, content.revision, consent.jti]),
    ),
    isCompaction: false,
  });
}

/** A dataset has one currency for good: its licenses and pools count in it, and nothing is converted. */
function checkCurrency(currency: string, previous: VersionRow | undefined): Result<true> {
  const before = previous === undefined ? currency : offerOf(previous).currency;
  return before === currency
    ? accept(true)
    : refuse(
        "currency_wrong",
        `currency: expected ${before}, which the versions before are offered in, got ${currency}`,
      );
}

/** A pool that is split by a measure needs the measure of every work, and something to measure. */
function checkMeasures(items: readonly CoveredItem[], { by }: RevenueSplit): Result<true> {
  const weights = items.map(({ content, record }) => ({
    contentId: content.content_id,
    weight: splitWeightOf(measuresOf(record), by),
  }));
  const offences: readonly Offence[] = weights
    .filter((entry) => entry.weight === undefined)
    .map(({ contentId }) => ({ at: contentId, code: "split_measure_missing", detail: `${contentId} has no ${by}` }));
  if (offences.length > 0)
    return refuse(
      "split_measure_missing",
      `revenue_split.by: expected the ${by} of every work, got ${offences.length} of ${items.length} without`,
      offences,
    );
  return weights.some((entry) => entry.weight !== 0n)
    ? accept(true)
    : refuse("split_measure_missing", `revenue_split.by: expected works that count something by ${by}, got none`);
}

function measuresOf(record: JsonObject): WorkMeasures {
  const numberOf = (member: string) => (typeof record[member] === "number" ? record[member] : undefined);
  return {
    token_count: numberOf("token_count"),
    length_ms: numberOf("length_ms"),
    size_bytes: numberOf("size_bytes"),
  };
}

/** What the request says of its provenance beside the works must be so. */
function checkProvenance({ provenance }: DatasetInput, datasetId: string, items: readonly CoveredItem[]): Result<true> {
  const { dataset_id, consent_token_id } = provenance ?? {};
  if (dataset_id !== undefined && dataset_id !== datasetId)
    return refuse("conflict", `provenance.dataset_id: expected ${datasetId}, got ${dataset_id}`);
  if (consent_token_id !== undefined && !items.some((item) => item.consent.jti === consent_token_id)) {
    return refuse(
      "conflict",
      `provenance.consent_token_id: expected a consent that the works stand on, got ${consent_token_id}`,
    );
  }
  return accept(true);
}

/** What a published version offers. */
export function termsOf(version: VersionRow): VersionTerms {
  const manifest = readManifest(manifestOf(version));
  if (!manifest.ok) throw new TypeError(`${version.dataset_id}: ${manifest.refusal.detail}`);
  const { name, scope, pricing, currency, license } = manifest.value;
  const { revenueSplit } = offerOf(version);
  return { name, scope, pricing, currency, license, revenueSplit };
}

/** The SHA-256 of what a version offers and holds: each work with the revision it pins and the consent it stands on. */
export function contentHash(
  terms: VersionTerms,
  items: readonly (readonly [contentId: string, revision: number, jti: string])[],
): string {
  const { name, scope, pricing, currency, license, revenueSplit } = terms;
  return sha256Hex(
    canonicalize({ name, scope, pricing, currency, license, revenue_split: { ...revenueSplit }, items }),
  );
}

/** The items as this version pins them, each with the public key its consent was signed with. */
async function linesOf(items: readonly CoveredItem[]): Promise<readonly ItemLine[]> {
  const lines: ItemLine[] = [];
  for (const [position, { content, record, consent, publicKey }] of items.entries()) {
    if (position % BATCH === BATCH - 1) await pause();
    const item = { ...record, creator_public_key: publicKey };
    lines.push({
      position,
      content_id: content.content_id,
      creator_id: content.creator_id,
      jti: consent.jti,
      item: canonicalize(item),
      leaf_hash: Buffer.from(itemLeafHash(item)).toString("hex"),
    });
  }
  return lines;
}
