import { type AiprefLabel, type ConsentClaims, isMining, modalityOf, openLabels } from "@licet/protocol";
import { claimsOf, findConsents } from "../consents/lookup.ts";
import type { Context } from "../context.ts";
import { type DatasetRow, type OfferedWork, type VersionRow, offerOf, readOfferedWorks } from "../datasets/lookup.ts";
import { documentPaths } from "../documents/document-paths.ts";
import { ON_OFFER } from "./publish-texts.ts";
import { licenseXml } from "./rsl-document.ts";
import type { SignalDatasetRow, SignalWorkRow } from "./store.ts";
import { placeOf } from "./work-place.ts";

/** Works of a dataset that signals name; the license is for all of them all the same. */
export const MAX_WORKS = 1_000;

export interface DescribedDataset {
  readonly dataset: SignalDatasetRow;
  readonly works: readonly SignalWorkRow[];
}

/** What signals say of a version of a dataset; undefined when nothing of it is on offer, or RSL and TDMRep have no words for it. */
export async function describeDataset(
  ctx: Context,
  { dataset_id, state }: DatasetRow,
  version: VersionRow,
): Promise<DescribedDataset | undefined> {
  const { scope, price, priceText, currency, terms } = offerOf(version);
  const license = licenseXml({ datasetId: dataset_id, origin: ctx.origin, scope, price, priceText, currency });
  if (license === "" || !ON_OFFER.includes(state)) return undefined;
  const offered = await readOfferedWorks(ctx.db, version, MAX_WORKS);
  const isFree = price.scaled === 0n;
  const claims = isFree ? await readClaims(ctx, offered) : new Map<string, ConsentClaims>();
  const works = offered.flatMap((work): SignalWorkRow[] => {
    const place = placeOf(work.url);
    if (place === undefined) return [];
    const open = openOf(work, scope, claims.get(work.jti)).join(" ");
    const { position, content_id, jti } = work;
    return [{ dataset_id, position, content_id, jti, host: place.host, url: place.pattern, open }];
  });
  return {
    dataset: {
      dataset_id,
      version: version.version,
      license_xml: license,
      terms_url: ctx.origin + documentPaths.terms(terms),
      is_mining: isMining(scope),
    },
    works,
  };
}

/**
 * What a work is open for to everybody: what its dataset offers for nothing and its consent grants without a
 * condition. A preference can name no marketplace and carries no prohibition, so a consent that does opens nothing.
 */
function openOf(
  { mime_type }: OfferedWork,
  scope: readonly string[],
  claims: ConsentClaims | undefined,
): readonly AiprefLabel[] {
  const modality = modalityOf(mime_type);
  if (claims === undefined || modality === undefined) return [];
  if (claims.aud !== undefined || (claims.prohibitions ?? []).length > 0) return [];
  const granted = openLabels(claims.scope, modality);
  return openLabels(scope, modality).filter((label) => granted.includes(label));
}

async function readClaims(ctx: Context, works: readonly OfferedWork[]): Promise<ReadonlyMap<string, ConsentClaims>> {
  const consents = await findConsents(ctx.db, [...new Set(works.map((work) => work.jti))]);
  return new Map(consents.map((row) => [row.jti, claimsOf(row)]));
}
