import {
  type AiprefLabel,
  type ConsentClaims,
  MODALITIES,
  type Modality,
  isMining,
  modalityOf,
  openLabels,
} from "@licet/protocol";
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
  const offer = { datasetId: dataset_id, origin: ctx.origin, scope, price, priceText, currency };
  const licenses = new Map(MODALITIES.map((modality) => [modality, licenseXml({ ...offer, modality })]));
  if (![...licenses.values()].some((license) => license !== "") || !ON_OFFER.includes(state)) return undefined;
  const offered = await readOfferedWorks(ctx.db, version, MAX_WORKS);
  const isFree = price.scaled === 0n;
  const claims = isFree ? await readClaims(ctx, offered) : new Map<string, ConsentClaims>();
  const works = offered.flatMap((work): SignalWorkRow[] => {
    const [place, modality] = [placeOf(work.url), modalityOf(work.mime_type)];
    if (place === undefined || modality === undefined) return [];
    const granted = claims.get(work.jti);
    const isNamed = !isFree || isUnconditional(granted);
    const license_xml = isNamed ? (licenses.get(modality) ?? "") : "";
    const is_mining = isNamed && isMining(scope, modality);
    const open = granted === undefined || !isNamed ? [] : openOf(modality, scope, granted);
    const { position, content_id, jti } = work;
    const named = { dataset_id, position, content_id, jti, host: place.host, url: place.pattern };
    return [{ ...named, open: open.join(" "), license_xml, is_mining }];
  });
  return {
    dataset: {
      dataset_id,
      version: version.version,
      terms_url: ctx.origin + documentPaths.terms(terms),
      is_mining: MODALITIES.some((modality) => isMining(scope, modality)),
    },
    works,
  };
}

/**
 * Neither a preference nor a license that says `free` can name a marketplace or carry a prohibition: a work whose
 * consent does is offered by none where its dataset costs nothing, and stays reserved.
 */
function isUnconditional(claims: ConsentClaims | undefined): boolean {
  return claims !== undefined && claims.aud === undefined && (claims.prohibitions ?? []).length === 0;
}

/** What a work is open for to everybody: what its dataset offers for nothing and its consent grants without a condition. */
function openOf(modality: Modality, scope: readonly string[], claims: ConsentClaims): readonly AiprefLabel[] {
  const granted = openLabels(claims.scope, modality);
  return openLabels(scope, modality).filter((label) => granted.includes(label));
}

async function readClaims(ctx: Context, works: readonly OfferedWork[]): Promise<ReadonlyMap<string, ConsentClaims>> {
  const consents = await findConsents(ctx.db, [...new Set(works.map((work) => work.jti))]);
  return new Map(consents.map((row) => [row.jti, claimsOf(row)]));
}
