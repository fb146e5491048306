import { decodeBase64url } from "./base64url.ts";
import { type JsonObject, canonicalBytes } from "./json.ts";
import { isIdentifier, isQualifiedIdentifier } from "./identifiers.ts";
import { isMimeType } from "./media-type.ts";
import { leafHash } from "./merkle.ts";
import type { Result } from "./refusal.ts";
import {
  isWebUrl,
  count,
  identifier,
  instant,
  listOf,
  matching,
  objectOf,
  readShape,
  sha256,
  textUpTo,
  webUrl,
  type Shape,
} from "./shape.ts";
import { statusReferenceShape } from "./status-list.ts";

/** `paid_training:1.0`: a name and the version of its terms. */
const LICENSE = /^[a-z][a-z0-9_]{0,63}:(0|[1-9]\d{0,3})\.(0|[1-9]\d{0,3})$/;

export function isLicense(text: string): boolean {
  return LICENSE.test(text);
}

export const licenseShape: Shape<string> = matching(isLicense, "a license such as paid_training:1.0");

/** Ancestors of a work, at most this many. */
export const MAX_LINEAGE = 64;

/** True for `content:<id>`, `dataset:<id>` or a web address elsewhere. */
export function isLineage(text: string): boolean {
  if (text.startsWith("content:") || text.startsWith("dataset:")) return isIdentifier(text.slice("content:".length));
  return isWebUrl(text);
}

/**
 * One work as a dataset pins it: the brief's record and what we add. `length_seconds` is rounded
 * up, `length_ms` exact, both absent when unknown. `salt` (16 random bytes, base64url) keeps a
 * leaf hash from being guessed; `token_count` is the platform's count of a text's tokens, which a
 * pool can be split by; `revision` counts the contents that its URL has had.
 */
const CONTENT_ITEM = objectOf(
  {
    content_id: identifier,
    canonical_url: webUrl,
    sha256,
    mime_type: matching(isMimeType, "a MIME type"),
    creator_id: matching(isQualifiedIdentifier, "a creator id"),
    license: licenseShape,
    created_at: instant,
    registered_at: instant,
    revision: count,
    lineage: listOf(matching(isLineage, "content:<id>, dataset:<id> or a URL"), { max: MAX_LINEAGE }),
    status: statusReferenceShape,
    salt: matching((text) => (decodeBase64url(text)?.length ?? 0) >= 16, "at least 16 bytes in base64url"),
  },
  {
    length_seconds: count,
    length_ms: count,
    size_bytes: count,
    token_count: count,
    p_hash: textUpTo(8192),
    p_hash_alg: textUpTo(64),
    creator_public_key: textUpTo(1024),
  },
);

export type ContentItem = ReturnType<typeof CONTENT_ITEM>;

export function readContentItem(value: JsonObject): Result<ContentItem> {
  return readShape(CONTENT_ITEM, value, "item", "document_invalid");
}

/** The leaf hash of an item as it stands in a dataset: SHA-256(0x00 ‖ its canonical JSON, unknown members included). */
export function itemLeafHash(item: JsonObject): Uint8Array<ArrayBuffer> {
  return leafHash(canonicalBytes(item));
}
