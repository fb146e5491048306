import { CLOCK_SKEW_SECONDS, TRUST_SECONDS } from "./freshness.ts";
import { parseInstant } from "./instant.ts";
import { type JsonObject, parseJsonObject } from "./json.ts";
import type { KeySet } from "./key-set.ts";
import { type Result, accept, refuse } from "./refusal.ts";
import { anything, count, exactly, instant, listOf, matching, objectOf, origin, readShape } from "./shape.ts";
import { type SignedDocument, isTest, signDocument, verifyDocument } from "./signed-document.ts";
import type { Signer } from "./signature.ts";

/** Where an edge takes a refresh: `POST`, `application/json`. */
export const EDGE_REFRESH_PATH = "/.well-known/licet-refresh";
/** Documents that one refresh names at most. */
export const MAX_REFRESH_DOCUMENTS = 500;
/** A longer refresh is not read. */
export const MAX_REFRESH_BYTES = 262_144;
/** An older one is refused; whoever sends signs again. */
export const REFRESH_TOLERANCE_SECONDS = TRUST_SECONDS;

/** A document's path as the platform serves it: no query, nothing escaped, no dot segments. */
const DOCUMENT_PATH = /^(?:\/[A-Za-z0-9_~-][A-Za-z0-9._~-]*|\/\.well-known){1,8}$/;
const MAX_PATH_LENGTH = 256;

const EDGE_REFRESH = objectOf(
  {
    type: exactly("edge-refresh"),
    iss: origin,
    seq: count,
    issued_at: instant,
    documents: listOf(
      objectOf({
        path: matching(
          (text) => text.length <= MAX_PATH_LENGTH && DOCUMENT_PATH.test(text),
          "a document's path such as /status-lists/1",
        ),
        seq: count,
      }),
      { min: 1, max: MAX_REFRESH_DOCUMENTS },
    ),
  },
  { test: anything },
);

/** A document that changed, and the `seq` that a copy of it must have at least; 0 for one that has none, or is no more. */
export interface RefreshedDocument {
  readonly path: string;
  readonly seq: number;
}

/**
 * What the platform tells an edge when documents have changed: fetch these again at once, and hold
 * none that has a lower `seq`. The refresh's own `seq` tells one refresh from another; the same again
 * changes nothing. Two may arrive in another order than they were sent in, and both are followed,
 * because what is asked for is the least and not what is there.
 */
export type EdgeRefresh = ReturnType<typeof EDGE_REFRESH>;

/** Signs a refresh with a key of purpose `document`. */
export async function signEdgeRefresh(
  iss: string,
  content: { readonly seq: number; readonly issued_at: string; readonly documents: readonly RefreshedDocument[] },
  signer: Signer,
): Promise<SignedDocument> {
  const { seq, issued_at } = content;
  const documents = content.documents.map((document) => ({ path: document.path, seq: document.seq }));
  return signDocument("edge-refresh", iss, { seq, issued_at, documents }, signer);
}

export interface EdgeRefreshCheck {
  readonly keys: KeySet;
  /** Seconds since the epoch. */
  readonly now: number;
}

/**
 * Reads and verifies a refresh as it came: JSON, members, test, signature, age.
 *
 * Refuses what {@link parseJsonObject} and {@link verifyDocument} refuse, and `document_invalid`,
 * `document_expired` (older than five minutes, or from the future).
 */
export async function verifyEdgeRefresh(
  bytes: string | Uint8Array,
  { keys, now }: EdgeRefreshCheck,
): Promise<Result<EdgeRefresh>> {
  if (bytes.length > MAX_REFRESH_BYTES)
    return refuse("document_invalid", `expected at most ${MAX_REFRESH_BYTES} bytes, got ${bytes.length}`);
  const document = parseJsonObject(bytes);
  if (!document.ok) return document;
  const refresh = readEdgeRefresh(document.value);
  if (!refresh.ok) return refresh;
  if (isTest(refresh.value.test) && keys.allowsTest !== true)
    return refuse("test_document", "edge-refresh says test: true");
  const verified = await verifyDocument(document.value, { type: "edge-refresh", keys, madeAt: now });
  if (!verified.ok) return verified;
  const age = now - (parseInstant(refresh.value.issued_at) ?? 0);
  return age > REFRESH_TOLERANCE_SECONDS || age < -CLOCK_SKEW_SECONDS
    ? refuse(
        "document_expired",
        `expected a refresh of the last ${REFRESH_TOLERANCE_SECONDS} seconds, got one of ${refresh.value.issued_at}`,
      )
    : accept(refresh.value);
}

/** Reads a refresh without checking its signature. */
function readEdgeRefresh(document: JsonObject): Result<EdgeRefresh> {
  return readShape(EDGE_REFRESH, document, "edge-refresh", "document_invalid");
}
