import { jtiShape } from "./manifest.ts";
import { normaliseContentUrl } from "./content-url.ts";
import { sha256Hex } from "./digest.ts";
import { CLOCKS, type Clocks, TTL_SECONDS, checkFresh } from "./freshness.ts";
import { formatInstant } from "./instant.ts";
import { type JsonObject, parseJsonObject } from "./json.ts";
import type { KeySet } from "./key-set.ts";
import { MODALITIES } from "./media-type.ts";
import { type Result, accept, refuse } from "./refusal.ts";
import {
  anything,
  count,
  exactly,
  identifier,
  instant,
  listOf,
  objectOf,
  oneOf,
  origin,
  readShape,
  sha256,
  textUpTo,
  webUrl,
} from "./shape.ts";
import { isTest, verifyDocument } from "./signed-document.ts";
import { statusReferenceShape } from "./status-list.ts";

/** A content status is trusted this long: what it holds changes when a dataset is published, and a refusal is a bit elsewhere. */
export const CONTENT_STATUS_TRUST_SECONDS = 86_400;
/** Datasets that one content status names at most; of more, the newest. */
export const MAX_CONTENT_GRANTS = 500;
/** A longer one is not read. */
export const MAX_CONTENT_STATUS_BYTES = 524_288;

const MAX_SCOPE_ENTRIES = 40;

const GRANT = objectOf({
  dataset_id: identifier,
  version: count,
  scope: listOf(textUpTo(64), { max: MAX_SCOPE_ENTRIES }),
  jti: jtiShape,
  expires_at: instant,
  dataset_status: statusReferenceShape,
  consent_status: statusReferenceShape,
});

/**
 * One dataset that holds a work: `version` is the newest one that does, `scope` what the dataset
 * offers, `jti` the consent that covers the work there and `expires_at` its end, and the two places
 * in status lists say whether dataset and consent still stand.
 */
export type ContentGrant = ReturnType<typeof GRANT>;

const CONTENT_STATUS = objectOf(
  {
    type: exactly("content-status"),
    iss: origin,
    url: webUrl,
    url_sha256: sha256,
    content_id: identifier,
    seq: count,
    status: statusReferenceShape,
    grants: listOf(GRANT, { max: MAX_CONTENT_GRANTS }),
    ...CLOCKS,
  },
  { modality: oneOf(...MODALITIES), test: anything },
);

/**
 * `/.well-known/content-status/{base64url(SHA-256(url))}`: what the edge needs for one address.
 * `url` is normalised, `status` the work's own place in a status list, `modality` the kind of work,
 * absent where it is none that is licensed. A revocation changes no content status.
 */
export type ContentStatus = ReturnType<typeof CONTENT_STATUS>;

/** Reads a content status without checking its signature. Refuses `document_invalid`, also when `url` is not normalised or `url_sha256` is not its hash. */
export function readContentStatus(document: JsonObject): Result<ContentStatus> {
  const read = readShape(CONTENT_STATUS, document, "content-status", "document_invalid");
  if (!read.ok) return read;
  const { url, url_sha256 } = read.value;
  const normalised = normaliseContentUrl(url);
  if (!normalised.ok || normalised.value !== url)
    return refuse("document_invalid", `content-status.url: expected a normalised URL, got ${url}`);
  return sha256Hex(url) === url_sha256
    ? read
    : refuse("document_invalid", `content-status.url_sha256: expected ${sha256Hex(url)}, got ${url_sha256}`);
}

/** The clocks of a content status that is made now: asked again as often as any, trusted for a day. */
export function contentStatusClocksAt(now: number): Clocks {
  return {
    checked_at: formatInstant(now),
    ttl_seconds: TTL_SECONDS,
    expires_at: formatInstant(now + CONTENT_STATUS_TRUST_SECONDS),
  };
}

export interface ContentStatusCheck {
  /** The normalised URL that was asked about. */
  readonly url: string;
  readonly keys: KeySet;
  /** Seconds since the epoch. */
  readonly now: number;
}

/**
 * Reads and verifies a content status as it came: JSON, members, test, signature, that it is about
 * this URL, and the second clock.
 *
 * Refuses what {@link parseJsonObject} and {@link verifyDocument} refuse, and `document_invalid`,
 * `document_expired`.
 */
export async function verifyContentStatus(
  bytes: string | Uint8Array,
  { url, keys, now }: ContentStatusCheck,
): Promise<Result<ContentStatus>> {
  if (bytes.length > MAX_CONTENT_STATUS_BYTES)
    return refuse("document_invalid", `expected at most ${MAX_CONTENT_STATUS_BYTES} bytes, got ${bytes.length}`);
  const document = parseJsonObject(bytes);
  if (!document.ok) return document;
  const status = readContentStatus(document.value);
  if (!status.ok) return status;
  if (isTest(status.value.test) && keys.allowsTest !== true)
    return refuse("test_document", "content-status says test: true");
  const verified = await verifyDocument(document.value, { type: "content-status", keys, madeAt: now });
  if (!verified.ok) return verified;
  if (status.value.url !== url)
    return refuse("document_invalid", `expected the content status of ${url}, got that of ${status.value.url}`);
  const fresh = checkFresh(status.value, now, CONTENT_STATUS_TRUST_SECONDS);
  return fresh.ok ? accept(status.value) : fresh;
}
