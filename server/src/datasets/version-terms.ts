import { parseJsonObject, readManifest } from "@licet/protocol";
import type { VersionRow } from "./store.ts";

/** What a version offers, and at what price. */
export interface VersionTerms {
  readonly scope: readonly string[];
  /** `per-token:0.0001` */
  readonly price: string;
  /** ISO 4217. */
  readonly currency: string;
  /** `paid_training:1.0` */
  readonly license: string;
}

/** The terms of a published version, from its manifest. */
export function termsOfVersion({ dataset_id, version, manifest }: VersionRow): VersionTerms {
  const parsed = parseJsonObject(manifest);
  const read = parsed.ok ? readManifest(parsed.value) : parsed;
  if (!read.ok) throw new TypeError(`dataset ${dataset_id}, version ${version}: expected a manifest that we wrote`);
  const { scope, pricing, currency, license } = read.value;
  return { scope, price: pricing.model_use, currency, license };
}
