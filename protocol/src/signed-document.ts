import { encodeBase64url } from "./base64url.ts";
import { type JsonObject, type JsonValue, canonicalBytes, canonicalize } from "./json.ts";
import { type Algorithm, ALGORITHMS, type KeyPurpose } from "./keys.ts";
import type { KeySet, PlatformKey } from "./key-set.ts";
import { isInForce } from "./keys.ts";
import { type Result, accept, refuse } from "./refusal.ts";
import { parseInstant } from "./instant.ts";
import { instant, listOf, objectOf, oneOf, origin, readShape, textUpTo } from "./shape.ts";
import { type Signer, verifySignature } from "./signature.ts";
import { sha256Hex } from "./digest.ts";

/**
 * The signed JSON documents. `durable` ones hold for good if they were made while the key was in
 * force; the others speak of the present and hold only under a key that is active.
 */
export const DOCUMENT_TYPES = {
  "key-set": { purpose: "document", durable: false },
  "creator-key": { purpose: "document", durable: false },
  terms: { purpose: "document", durable: true },
  agreement: { purpose: "document", durable: true },
  "consent-acceptance": { purpose: "document", durable: true },
  manifest: { purpose: "document", durable: true },
  "current-manifest": { purpose: "document", durable: false },
  "dataset-status": { purpose: "document", durable: false },
  "content-status": { purpose: "document", durable: false },
  "edge-refresh": { purpose: "document", durable: false },
  "consent-revocations": { purpose: "document", durable: false },
  propagation: { purpose: "document", durable: false },
  provenance: { purpose: "document", durable: false },
  "receipt-countersignature": { purpose: "receipt", durable: true },
} as const satisfies Record<string, { purpose: KeyPurpose; durable: boolean }>;

export type DocumentType = keyof typeof DOCUMENT_TYPES;

export interface DocumentSignature {
  readonly key_id: string;
  readonly alg: Algorithm;
  readonly sig: string;
  /** There when a durable document was signed again, later than it was made: the key is judged by this instant. */
  readonly signed_at?: string;
}

/** What every signed document carries; `iss` is the origin that speaks. */
export interface SignedDocument extends JsonObject {
  readonly type: DocumentType;
  readonly iss: string;
  readonly signatures: readonly (DocumentSignature & JsonObject)[];
}

/** More signatures than this are refused unread. */
const MAX_SIGNATURES = 16;

/**
 * The bytes that are signed: `licet/v1/<type>`, a line feed, and the canonical JSON of the document
 * without `signatures`. The first line keeps a signature from being taken for one of another type.
 */
export function signedBytes(
  type: string,
  document: JsonObject,
  excluded: readonly string[] = ["signatures"],
): Uint8Array<ArrayBuffer> {
  const covered = without(document, excluded);
  return new TextEncoder().encode(`licet/v1/${type}\n${canonicalize(covered)}`);
}

/** What a signature made later covers: the first line also says when it was made, so that nobody can move it. */
function signedAgainBytes(type: string, document: JsonObject, signedAt: string): Uint8Array<ArrayBuffer> {
  return signedBytes(`${type};signed_at=${signedAt}`, document);
}

/** SHA-256 (hex) of a document's canonical bytes without `signatures`: how documents name each other. */
export function documentSha256(document: JsonObject): string {
  return sha256Hex(canonicalBytes(without(document, ["signatures"])));
}

export function without(document: JsonObject, excluded: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(document).filter(([member]) => !excluded.includes(member)));
}

/** Signs a document. `type` and `iss` become members, and `test: true` with a test key; the result is ready to be canonicalized and served. */
export async function signDocument<T extends JsonObject>(
  type: DocumentType,
  iss: string,
  content: T,
  signer: Signer,
): Promise<T & SignedDocument> {
  const document = { ...content, ...testMark(signer), type, iss };
  const sig = encodeBase64url(await signer.sign(signedBytes(type, document)));
  return { ...document, signatures: [{ key_id: signer.kid, alg: signer.alg, sig }] };
}

/**
 * Replaces the signatures of a durable document whose key can no longer be relied on. The document
 * and its hash stay what they were; `signedAt` (an instant) says since when the new signature is there.
 */
export async function signDocumentAgain(
  document: JsonObject & { readonly type: DocumentType },
  signedAt: string,
  signer: Signer,
): Promise<JsonObject> {
  const sig = encodeBase64url(await signer.sign(signedAgainBytes(document.type, document, signedAt)));
  return { ...document, signatures: [{ key_id: signer.kid, alg: signer.alg, sig, signed_at: signedAt }] };
}

/** The member that everything signed with a test key carries. */
export function testMark({ test }: { readonly test?: boolean }): { readonly test?: true } {
  return test === true ? { test: true } : {};
}

const SIGNATURES = listOf(
  objectOf({ key_id: textUpTo(128), alg: oneOf(...ALGORITHMS), sig: textUpTo(128) }, { signed_at: instant }),
  { min: 1, max: MAX_SIGNATURES },
);

export interface DocumentCheck {
  readonly type: DocumentType;
  /** The key set of the issuer the reader trusts; its `iss` must be the document's. */
  readonly keys: KeySet;
  /** When the document was made, seconds since the epoch. Durable documents are judged by it, others by the key's present status. */
  readonly madeAt: number;
  /** Documents that say `test: true` are refused unless this, or the key set, allows them. */
  readonly allowTest?: boolean;
}

/**
 * Verifies a document's type, issuer and signatures. At least one signature must be by a key of
 * the set, and none by a key of the set may be wrong.
 *
 * Refuses `document_invalid`, `test_document`, `signature_missing`, `signature_invalid`,
 * `key_purpose_wrong`, `key_alg_mismatch`, `key_not_in_force`.
 */
export async function verifyDocument(document: JsonObject, check: DocumentCheck): Promise<Result<JsonObject>> {
  const head = readShape(
    objectOf({ type: oneOf(check.type), iss: origin, signatures: SIGNATURES }),
    document,
    check.type,
    "document_invalid",
  );
  if (!head.ok) return head;
  const { iss, signatures } = head.value;
  if (iss !== check.keys.iss) return refuse("document_invalid", `expected iss ${check.keys.iss}, got ${iss}`);
  if (isTest(document["test"]) && !(check.allowTest ?? check.keys.allowsTest ?? false))
    return refuse("test_document", `${check.type} says test: true`);
  let known = 0;
  for (const signature of signatures) {
    const key = check.keys.keys.find((candidate) => candidate.kid === signature.key_id);
    if (key === undefined) continue;
    const verified = await verifyOne(key, signature, document, check);
    if (!verified.ok) return verified;
    known += 1;
  }
  return known > 0
    ? accept(document)
    : refuse(
        "signature_missing",
        `expected a signature on ${check.type} by a key of ${iss}, got ${signatures.map((entry) => entry.key_id).join(", ")}`,
      );
}

async function verifyOne(
  key: PlatformKey,
  signature: Omit<DocumentSignature, "signed_at"> & { readonly signed_at?: string | undefined },
  document: JsonObject,
  check: DocumentCheck,
): Promise<Result<true>> {
  const { purpose, durable } = DOCUMENT_TYPES[check.type];
  if (key.purpose !== purpose)
    return refuse("key_purpose_wrong", `expected a key of purpose ${purpose} on ${check.type}, got ${key.purpose}`);
  if (key.alg !== signature.alg)
    return refuse("key_alg_mismatch", `expected ${key.alg} by the key ${key.kid}, got ${signature.alg}`);
  const signedAt = readSignedAt(signature.signed_at, check);
  if (!signedAt.ok) return signedAt;
  const inForce = isInForce(key, signedAt.value) && (durable || key.status === "active");
  if (!inForce) return refuse("key_not_in_force", `the key ${key.kid} was not in force when ${check.type} was signed`);
  const bytes =
    signature.signed_at === undefined
      ? signedBytes(check.type, document)
      : signedAgainBytes(check.type, document, signature.signed_at);
  const verified = await verifySignature(key.jwk, bytes, signature.sig);
  return verified
    ? accept(true)
    : refuse("signature_invalid", `the signature on ${check.type} is not by the key ${key.kid}`);
}

/** When a signature was made: with the document, or later where a durable one says so. */
function readSignedAt(signedAt: string | undefined, { type, madeAt }: DocumentCheck): Result<number> {
  if (signedAt === undefined) return accept(madeAt);
  const at = parseInstant(signedAt) ?? 0;
  if (!DOCUMENT_TYPES[type].durable)
    return refuse("document_invalid", `expected no signed_at on ${type}, which speaks of the present`);
  return at >= madeAt
    ? accept(at)
    : refuse("document_invalid", `expected signed_at not before ${type} was made at ${madeAt}, got ${signedAt}`);
}

/** Anything but an absent or false `test` counts as a test: the safe reading. */
export function isTest(test: JsonValue | undefined): boolean {
  return test !== undefined && test !== false;
}
