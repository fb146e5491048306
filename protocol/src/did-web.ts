import { isOrigin } from "./identifiers.ts";
import { type JsonObject, isJsonObject } from "./json.ts";
import type { KeySet, PlatformKey } from "./key-set.ts";
import { type PublicJwk, parsePublicJwk } from "./keys.ts";
import { type Result, accept, refuse } from "./refusal.ts";
import { anyObject, anything, exactly, listOf, objectOf, readShape, textUpTo } from "./shape.ts";

const MAX_DID_WEB_LENGTH = 512;
/** More verification methods than this are refused. */
const MAX_METHODS = 256;

const DID_WEB = /^did:web:([a-z0-9._-]+(?:%3A\d{1,5})?)((?::[A-Za-z0-9._~-]+)*)$/;

/** The `did:web` of an origin: its host, with a port percent-encoded. */
export function didWebOf(origin: string): string {
  return `did:web:${new URL(origin).host.replace(":", "%3A")}`;
}

/**
 * Where a `did:web` keeps its document: always https, `/.well-known/did.json` of the host, or
 * `did.json` below the path that the DID spells with colons. Refuses `did_malformed`.
 *
 * @example didWebUrl("did:web:platform.example") // → { ok: true, value: "https://platform.example/.well-known/did.json" }
 */
export function didWebUrl(did: string): Result<string> {
  const [, host, path] = (did.length <= MAX_DID_WEB_LENGTH && DID_WEB.exec(did)) || [];
  const segments = path?.split(":").slice(1) ?? [];
  const origin = `https://${host?.replace("%3A", ":")}`;
  if (host === undefined || !isOrigin(origin) || segments.some((segment) => /^\.{1,2}$/.test(segment)))
    return refuse("did_malformed", "expected did:web: and a host in lower case, its port after %3A, and path segments");
  return accept(`${origin}/${segments.length === 0 ? ".well-known" : segments.join("/")}/did.json`);
}

/** A verification method with a key that we can verify with. */
export interface DidKey {
  /** A DID URL: the DID and a fragment. */
  readonly id: string;
  readonly jwk: PublicJwk;
}

/** What a reader keeps of a DID document: keys that may make assertions. */
export interface DidDocument {
  readonly id: string;
  readonly keys: readonly DidKey[];
}

const DID_DOCUMENT = objectOf(
  { id: textUpTo(MAX_DID_WEB_LENGTH) },
  {
    verificationMethod: listOf(anyObject, { max: MAX_METHODS }),
    assertionMethod: listOf(anything, { max: MAX_METHODS }),
  },
);

/**
 * Reads a DID document (W3C DID Core 1.0) that was found for `did`. Its `id` must be that DID; keys
 * are the `assertionMethod`s of it, by reference or embedded, that carry an Ed25519 or P-256
 * `publicKeyJwk`, are controlled by the same DID and are not revoked. Others are left out, but a
 * private member refuses the whole.
 *
 * Refuses `document_invalid` and `key_malformed`.
 */
export function readDidDocument(document: JsonObject, did: string): Result<DidDocument> {
  const read = readShape(DID_DOCUMENT, document, "did-document", "document_invalid");
  if (!read.ok) return read;
  const matching = readShape(objectOf({ id: exactly(did) }), document, "did-document", "document_invalid");
  if (!matching.ok) return matching;
  const { verificationMethod: methods = [], assertionMethod: assertions = [] } = read.value;
  const keys: DidKey[] = [];
  for (const assertion of assertions) {
    const method = isJsonObject(assertion)
      ? assertion
      : methods.find(({ id }) => absolute(id, did) === absolute(assertion, did));
    const key = method === undefined ? undefined : readMethod(method, did);
    if (key?.ok === false) return key;
    if (key !== undefined) keys.push(key.value);
  }
  return accept({ id: did, keys });
}

/** A relative reference is one of the document's own. */
function absolute(id: unknown, did: string): unknown {
  return typeof id === "string" && id.startsWith("#") ? did + id : id;
}

function readMethod(method: JsonObject, did: string): Result<DidKey> | undefined {
  const id = absolute(method["id"], did);
  const { publicKeyJwk, controller, revoked } = method;
  if (typeof id !== "string" || !id.startsWith(`${did}#`) || controller !== did || revoked !== undefined)
    return undefined;
  if (!isJsonObject(publicKeyJwk)) return undefined;
  if (Object.hasOwn(publicKeyJwk, "d"))
    return refuse("key_malformed", `${id}: expected a public key, got private members`);
  const jwk = parsePublicJwk(publicKeyJwk);
  return jwk.ok ? accept({ id, jwk: jwk.value }) : undefined;
}

/**
 * The DID document of a platform, from its key set: every key that is not revoked is a verification
 * method of type `JsonWebKey` named by its `kid`; those that are active may make assertions. The
 * documents that a platform signs are judged by its key set, which says more (purpose, lifetime).
 */
export function didDocument({ iss, keys }: Pick<KeySet, "iss" | "keys">): JsonObject {
  const id = didWebOf(iss);
  const standing = keys.filter(({ status }) => status !== "revoked");
  const idOf = ({ kid }: PlatformKey): string => `${id}#${kid}`;
  return {
    "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/jwk/v1"],
    id,
    verificationMethod: standing.map((key) => ({
      id: idOf(key),
      type: "JsonWebKey",
      controller: id,
      publicKeyJwk: { ...key.jwk, kid: key.kid, alg: key.alg, use: "sig" },
    })),
    assertionMethod: standing.filter(({ status }) => status === "active").map(idOf),
  };
}
