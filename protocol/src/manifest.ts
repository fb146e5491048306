import { licenseShape } from "./content-item.ts";
import { isJti } from "./consent-token.ts";
import { CLOCKS } from "./freshness.ts";
import type { JsonObject } from "./json.ts";
import { leafHash } from "./merkle.ts";
import { MAX_FEE_BPS, SPLIT_MEASURES } from "./money.ts";
import { parsePrice } from "./pricing.ts";
import { type Result, refuse } from "./refusal.ts";
import {
  anyObject,
  count,
  countUpTo,
  exactly,
  flag,
  identifier,
  instant,
  listOf,
  matching,
  objectOf,
  oneOf,
  origin,
  readShape,
  sha256,
  textUpTo,
  webUrl,
  type Shape,
} from "./shape.ts";
import { statusReferenceShape } from "./status-list.ts";

/** `withdrawn` and `revoked_jtis` name at most this many, the newest; beyond that the reader uses the status lists. */
export const MAX_NAMED_WITHDRAWN = 1_000;

const CURRENCY = /^[A-Z]{3}$/;
export const currencyShape: Shape<string> = matching((text) => CURRENCY.test(text), "an ISO 4217 currency such as USD");
export const priceShape: Shape<string> = matching(
  (text) => parsePrice(text) !== undefined,
  "a price such as per-token:0.0001",
);
export const jtiShape: Shape<string> = matching(isJti, "a jti");
const revenueSplitShape = objectOf({ by: oneOf(...SPLIT_MEASURES), platform_fee_bps: countUpTo(MAX_FEE_BPS) });

const MANIFEST_MEMBERS = {
  iss: origin,
  dataset_id: identifier,
  name: textUpTo(256),
  version: count,
  items_count: count,
  items_root: sha256,
  items_url: webUrl,
  consents_count: count,
  consents_root: sha256,
  consents_url: webUrl,
  scope: listOf(textUpTo(64), { min: 1, max: 40 }),
  pricing: objectOf({ model_use: priceShape }),
  currency: currencyShape,
  license: licenseShape,
  status: anyObject,
  published_at: instant,
} as const;

const MANIFEST = objectOf(
  { ...MANIFEST_MEMBERS, type: exactly("manifest"), status: statusReferenceShape },
  { previous_manifest_sha256: sha256, revenue_split: revenueSplitShape },
);

/**
 * `/datasets/{id}/versions/{n}/manifest.json`: immutable. `items_root` is the dataset fingerprint;
 * `revenue_split` says how what the version earns is shared out.
 */
export type Manifest = ReturnType<typeof MANIFEST>;

export type DatasetState = "active" | "partially_revoked" | "suspended" | "revoked" | "expired";
export const DATASET_STATES = [
  "active",
  "partially_revoked",
  "suspended",
  "revoked",
  "expired",
] as const satisfies readonly DatasetState[];
export const datasetStateShape: Shape<DatasetState> = oneOf(...DATASET_STATES);

const WITHDRAWN = objectOf({ at: instant }, { jti: jtiShape, content_id: identifier });

/** What no longer stands: a token, by its jti, with every work it covered; or one work. */
export type Withdrawn = ReturnType<typeof WITHDRAWN>;

const CURRENT_MANIFEST = objectOf(
  {
    ...MANIFEST_MEMBERS,
    ...CLOCKS,
    type: exactly("current-manifest"),
    status: datasetStateShape,
    status_reference: statusReferenceShape,
    withdrawn: listOf(WITHDRAWN, { max: MAX_NAMED_WITHDRAWN }),
    withdrawn_complete: flag,
    withdrawn_count: count,
    seq: count,
    manifest_sha256: sha256,
  },
  { previous_manifest_sha256: sha256, revenue_split: revenueSplitShape },
);

/** `/datasets/{id}/manifest.json`: the current version, and what no longer stands of it. */
export type CurrentManifest = ReturnType<typeof CURRENT_MANIFEST>;

export function readManifest(document: JsonObject): Result<Manifest> {
  return readShape(MANIFEST, document, "manifest", "document_invalid");
}

export function readCurrentManifest(document: JsonObject): Result<CurrentManifest> {
  const manifest = readShape(CURRENT_MANIFEST, document, "current-manifest", "document_invalid");
  const nameless =
    manifest.ok && manifest.value.withdrawn.some((entry) => entry.jti === undefined && entry.content_id === undefined);
  return nameless
    ? refuse(
        "document_invalid",
        "current-manifest.withdrawn: expected jti or content_id in every entry, got an entry with neither",
      )
    : manifest;
}

const ITEM_LINE = objectOf(
  { position: count },
  { item: anyObject, jti: jtiShape, leaf_hash: sha256, withdrawn: exactly(true) },
);

/** A line of the items NDJSON: the item and the token that covers it, or only its leaf hash when it no longer stands. */
export type ItemLine = ReturnType<typeof ITEM_LINE>;

export function readItemLine(line: JsonObject): Result<ItemLine> {
  const read = readShape(ITEM_LINE, line, "items line", "document_invalid");
  if (!read.ok) return read;
  const { item, jti, leaf_hash, withdrawn } = read.value;
  const present = [item, jti, leaf_hash, withdrawn].map((member) => member !== undefined).join();
  const isOneForm = present === "true,true,false,false" || present === "false,false,true,true";
  return isOneForm
    ? read
    : refuse(
        "document_invalid",
        `items line ${read.value.position}: expected item and jti, or leaf_hash and withdrawn`,
      );
}

/** Tokens are at most this long; see MAX_JWS_LENGTH. */
const TOKEN = textUpTo(16_384);
const CONSENT_LINE = objectOf(
  { position: count, jti: jtiShape, token: TOKEN, acceptance: anyObject },
  { key: anyObject },
);

/** A line of the consents NDJSON: the token, the platform's acceptance and, when a creator signed, the creator's key. */
export type ConsentLine = ReturnType<typeof CONSENT_LINE>;

export function readConsentLine(line: JsonObject): Result<ConsentLine> {
  return readShape(CONSENT_LINE, line, "consents line", "document_invalid");
}

/** The leaf hash of a token in `consents_root`: SHA-256(0x00 ‖ token). */
export function consentLeafHash(token: string): Uint8Array<ArrayBuffer> {
  return leafHash(new TextEncoder().encode(token));
}
