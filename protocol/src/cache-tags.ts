import { sha256Hex } from "./digest.ts";

/** Characters of a tag's hash: 128 bits, so that no two things share a tag by accident. */
const HASH_LENGTH = 32;

/**
 * Tags by which caches are told to forget (`Cache-Tag`; `Surrogate-Key` at Fastly). Lower-case
 * letters, digits and hyphens alone: identifiers hold characters that a cache's rules could take for
 * more than a name, and caches differ about case, so identifiers are hashed.
 */
export const cacheTags = {
  /** Every document of a platform. */
  all: "licet",
  /** The status lists and the revocation view. */
  revocations: "licet-revocations",
  keys: "licet-keys",
  terms: "licet-terms",
  agreements: "licet-agreements",
  /** What is said in the formats of others: robots.txt, tdmrep.json and its policies, RSL documents. */
  signals: "licet-signals",
  /** The documents of one dataset. Responses that hold works do not carry it. */
  dataset: (datasetId: string) => `licet-dataset-${hashOf(datasetId)}`,
  /** Every response that holds a registered work. */
  contents: "licet-content",
  /**
   * A response that holds this work, together with {@link cacheTags.contents}: what a site or an edge puts on it, so
   * that it is forgotten when the work is withdrawn or suspended, or its consent is.
   */
  content: (contentId: string) => `licet-content-${hashOf(contentId)}`,
} as const;

const TAG = /^[a-z0-9-]{1,128}$/;

/** True for a tag that can be sent to any cache: nothing in it is syntax anywhere. */
export function isCacheTag(text: string): boolean {
  return TAG.test(text);
}

function hashOf(identifier: string): string {
  return sha256Hex(identifier.toLowerCase()).slice(0, HASH_LENGTH);
}
