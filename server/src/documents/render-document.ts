import {
  CONTENT_STATUS_TRUST_SECONDS,
  type DocumentType,
  type JsonObject,
  STATUS_LIST_TYP,
  type Signer,
  TRUST_SECONDS,
  TTL_SECONDS,
  canonicalBytes,
  clocksAt,
  contentStatusClocksAt,
  signDocument,
  signDocumentAgain,
  signStatusList,
  testMark,
} from "@licet/protocol";
import { createHash } from "node:crypto";

/** What a document says, before `seq`, the clocks and the signature. */
export type DocumentContent =
  | {
      readonly kind: DocumentType;
      readonly content: JsonObject;
      readonly tags: readonly string[];
      /** An instant: what was durable stays what it was, and gets a signature of now. */
      readonly signedAgainAt?: string;
    }
  | {
      readonly kind: typeof STATUS_LIST_TYP;
      readonly content: { readonly uri: string; readonly lst: string };
      readonly tags: readonly string[];
    }
  | {
      /** Unsigned, as DID documents are: whoever reads it trusts the host it came from. */
      readonly kind: typeof DID_DOCUMENT;
      readonly content: JsonObject;
      readonly tags: readonly string[];
    }
  | {
      /** Unsigned, in a format of others that has no signature: robots.txt, RSL, TDMRep. */
      readonly kind: typeof UNSIGNED_TEXT;
      readonly content: { readonly content_type: string; readonly text: string };
      readonly tags: readonly string[];
    };

export const DID_DOCUMENT = "did-document";
export const UNSIGNED_TEXT = "unsigned-text";

/** A document as it is served. Times are seconds since the epoch. */
export interface ServedDocument {
  readonly path: string;
  readonly seq: number;
  readonly bytes: Uint8Array;
  readonly etag: string;
  readonly contentType: string;
  readonly cacheControl: string;
  readonly cacheTag: string;
  /** Absent in documents that never grow old. */
  readonly lifetime: { readonly checkedAt: number; readonly expiresAt: number } | undefined;
}

interface Policy {
  readonly clocked: boolean;
  readonly changes: boolean;
}

const STATUS: Policy = { clocked: true, changes: true };
const IMMUTABLE: Policy = { clocked: false, changes: false };

/** How each public document ages. */
const POLICIES: Partial<Record<DocumentContent["kind"], Policy>> = {
  "key-set": STATUS,
  "consent-revocations": STATUS,
  "dataset-status": STATUS,
  "content-status": STATUS,
  "current-manifest": STATUS,
  propagation: STATUS,
  [STATUS_LIST_TYP]: STATUS,
  [DID_DOCUMENT]: { clocked: false, changes: true },
  [UNSIGNED_TEXT]: { clocked: false, changes: true },
  manifest: IMMUTABLE,
  terms: IMMUTABLE,
  agreement: IMMUTABLE,
};

const REVALIDATE = `public, max-age=${TTL_SECONDS}`;
const FOREVER = "public, max-age=31536000, immutable";

/** True for a document whose bytes were promised to stay as they are. */
export function isImmutable({ cacheControl }: ServedDocument): boolean {
  return cacheControl === FOREVER;
}

/**
 * True for a document that outlives the time in which a key that was handed over is still believed:
 * it is signed again as soon as another key signs.
 */
export function outlivesKeys({ lifetime }: ServedDocument): boolean {
  return lifetime !== undefined && lifetime.expiresAt - lifetime.checkedAt > TRUST_SECONDS;
}

export function isSignedBy({ bytes }: ServedDocument, kid: string): boolean {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes(kid);
}

export interface RenderFrame {
  readonly path: string;
  readonly seq: number;
  /** Seconds since the epoch. */
  readonly now: number;
  readonly origin: string;
  readonly signer: Signer;
}

/** Completes, signs and encodes a document. */
export async function renderDocument(document: DocumentContent, frame: RenderFrame): Promise<ServedDocument> {
  const policy = POLICIES[document.kind];
  if (policy === undefined) throw new TypeError(`${document.kind} is not a document that is served by path`);
  const bytes = await signContent(document, policy, frame);
  return {
    path: frame.path,
    seq: frame.seq,
    bytes,
    etag: `"${createHash("sha256").update(bytes).digest("base64url")}"`,
    contentType: contentTypeOf(document),
    cacheControl: policy.changes ? REVALIDATE : FOREVER,
    cacheTag: document.tags.join(","),
    lifetime: policy.clocked
      ? { checkedAt: frame.now, expiresAt: frame.now + trustSecondsOf(document.kind) }
      : undefined,
  };
}

/** How long a document with clocks is trusted. */
function trustSecondsOf(kind: DocumentContent["kind"]): number {
  return kind === "content-status" ? CONTENT_STATUS_TRUST_SECONDS : TRUST_SECONDS;
}

function contentTypeOf(document: DocumentContent): string {
  if (document.kind === UNSIGNED_TEXT) return document.content.content_type;
  if (document.kind === STATUS_LIST_TYP) return `application/${STATUS_LIST_TYP}`;
  return document.kind === DID_DOCUMENT ? "application/did+json" : "application/json";
}

async function signContent(
  document: DocumentContent,
  policy: Policy,
  { seq, now, origin, signer }: RenderFrame,
): Promise<Uint8Array> {
  if (document.kind === STATUS_LIST_TYP) {
    return Buffer.from(await signStatusList({ ...document.content, iss: origin, seq, iat: now }, signer));
  }
  if (document.kind === UNSIGNED_TEXT) return Buffer.from(document.content.text);
  if (document.kind === DID_DOCUMENT) return canonicalBytes(document.content);
  if (document.signedAgainAt !== undefined) {
    const again = { ...document.content, ...testMark(signer), type: document.kind, iss: origin };
    return canonicalBytes(await signDocumentAgain(again, document.signedAgainAt, signer));
  }
  const clocks = document.kind === "content-status" ? contentStatusClocksAt : clocksAt;
  const members = { ...document.content, ...(policy.changes ? { seq } : {}), ...(policy.clocked ? clocks(now) : {}) };
  return canonicalBytes(await signDocument(document.kind, origin, members, signer));
}
