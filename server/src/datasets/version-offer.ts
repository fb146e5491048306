import { type Price, type RevenueSplit, parsePrice, readManifest } from "@licet/protocol";
import { manifestOf } from "./render-dataset.ts";
import type { VersionRow } from "./store.ts";

/** What a version costs, what for, and how what it earns is shared out. */
export interface VersionOffer {
  readonly scope: readonly string[];
  /** The name and version of the terms: `paid_training:1.0`. */
  readonly terms: string;
  /** `per-token:0.0001` */
  readonly priceText: string;
  readonly price: Price;
  readonly currency: string;
  readonly revenueSplit: RevenueSplit;
}

/** Of a version that says nothing of it. */
const DEFAULT_SPLIT: RevenueSplit = { by: "items", platform_fee_bps: 0 };

/** A version's offer, as its signed manifest says it. */
export function offerOf(row: VersionRow): VersionOffer {
  const manifest = readManifest(manifestOf(row));
  const price = manifest.ok ? parsePrice(manifest.value.pricing.model_use) : undefined;
  if (!manifest.ok || price === undefined)
    throw new TypeError(`dataset ${row.dataset_id}, version ${row.version}: expected a manifest that we wrote`);
  const { scope, license, pricing, currency, revenue_split } = manifest.value;
  return {
    scope,
    terms: license,
    priceText: pricing.model_use,
    price,
    currency,
    revenueSplit: revenue_split ?? DEFAULT_SPLIT,
  };
}

/** True when two versions ask the same for the same: whoever may use the one may use the other. */
export function isSameOffer(left: VersionOffer, right: VersionOffer): boolean {
  const scopeOf = ({ scope }: VersionOffer): string => [...scope].sort().join(" ");
  return (
    scopeOf(left) === scopeOf(right) &&
    left.priceText === right.priceText &&
    left.currency === right.currency &&
    left.terms === right.terms
  );
}
