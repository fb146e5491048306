import { type KeyObject, createHash, createPrivateKey, createPublicKey, sign, verify } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import testKeys from "../../vectors/keys.json" with { type: "json" };

/*
 * Makes vectors with node:crypto alone. Nothing here imports the implementation, so a vector that
 * the implementation accepts is agreement between two, not one program's opinion of itself.
 */

export type Json = null | boolean | number | string | readonly Json[] | JsonMembers;
export interface JsonMembers {
  readonly [member: string]: Json;
}

/** One vector: its inputs, and what is to come out. */
export interface Vector extends JsonMembers {
  readonly name: string;
  readonly expect:
    | { readonly ok: true; readonly [answer: string]: Json }
    | { readonly ok: false; readonly code: string };
}

export type KeyName = keyof typeof testKeys.keys;

export interface TestKey {
  readonly kid: string;
  readonly alg: string;
  readonly publicJwk: JsonMembers;
  readonly privateKey: KeyObject;
}

export const WEBHOOK_SECRETS = testKeys.webhook_secrets;

export function testKey(name: KeyName): TestKey {
  const { kid, alg, jwk } = testKeys.keys[name];
  const { d: _secret, ...publicJwk } = jwk;
  return { kid, alg, publicJwk, privateKey: createPrivateKey({ key: jwk, format: "jwk" }) };
}

const VECTORS = new URL("../../vectors/", import.meta.url);

/** ES256 signatures are random. Those that are committed are used again, so that writing twice changes nothing. */
const committedSignatures = new Set<string>(
  readdirSync(VECTORS).flatMap(
    (file) =>
      readFileSync(new URL(file, VECTORS), "utf8").match(
        /(?<![A-Za-z0-9_+/-])[A-Za-z0-9_+/-]{86}(?![A-Za-z0-9_+/-])/g,
      ) ?? [],
  ),
);

/** Signs text or bytes: Ed25519, or ECDSA on P-256 with SHA-256 as r‖s. */
export function signatureBytes(content: string | Uint8Array, key: TestKey): Buffer {
  const bytes = Buffer.from(content);
  if (key.alg === "EdDSA") return sign(null, bytes, key.privateKey);
  const publicKey = { key: createPublicKey(key.privateKey), dsaEncoding: "ieee-p1363" as const };
  const committed = [...committedSignatures]
    .map((text) => Buffer.from(text, "base64url"))
    .find((signature) => verify("sha256", bytes, publicKey, signature));
  if (committed !== undefined) return committed;
  const signature = sign("sha256", bytes, { key: key.privateKey, dsaEncoding: "ieee-p1363" });
  committedSignatures.add(signature.toString("base64url"));
  return signature;
}

export function base64url(content: string | Uint8Array): string {
  return Buffer.from(content).toString("base64url");
}

export function sha256Hex(content: string | Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

/** A compact JWS of exactly these header and payload texts, malformed ones included. */
export function compact(header: string, payload: string, key: TestKey): string {
  const input = `${base64url(header)}.${base64url(payload)}`;
  return `${input}.${base64url(signatureBytes(input, key))}`;
}

/** A compact JWS with the header `{alg, kid, typ}`. */
export function token(typ: string, claims: JsonMembers, key: TestKey, header: JsonMembers = {}): string {
  return compact(sortedJson({ alg: key.alg, kid: key.kid, typ, ...header }), sortedJson(claims), key);
}

/** JSON with sorted members: RFC 8785 for what the vectors hold. */
export function sortedJson(value: Json): string {
  return JSON.stringify(value, (_name, inner: Json) =>
    isMembers(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([left], [right]) => (left < right ? -1 : 1)))
      : inner,
  );
}

function isMembers(value: Json): value is JsonMembers {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What is signed: the first line, then the members without those that carry signatures. */
export function signedText(type: string, document: JsonMembers): string {
  const { signatures: _1, signature: _2, countersignature: _3, log_proof: _4, ...covered } = document;
  return `licet/v1/${type}\n${sortedJson(covered)}`;
}

export function documentSha256(document: JsonMembers): string {
  const { signatures: _, ...covered } = document;
  return sha256Hex(sortedJson(covered));
}

/** An entry of `signatures`, over the document as a document of `type`. */
export function signatureOf(
  document: JsonMembers,
  key: TestKey,
  type = String(document["type"]),
): { readonly key_id: string; readonly alg: string; readonly sig: string } {
  return { key_id: key.kid, alg: key.alg, sig: base64url(signatureBytes(signedText(type, document), key)) };
}

export function signed(document: JsonMembers, ...keys: readonly TestKey[]): JsonMembers {
  return { ...document, signatures: keys.map((key) => signatureOf(document, key)) };
}

/** The one signature of a durable document that was signed again at `signedAt`, later than it was made. */
export function signedAgain(document: JsonMembers, key: TestKey, signedAt: string): JsonMembers {
  const { sig, ...entry } = signatureOf(document, key, `${String(document["type"])};signed_at=${signedAt}`);
  return { ...document, signatures: [{ ...entry, sig, signed_at: signedAt }] };
}

export function accepted(name: string, input: JsonMembers, answer: JsonMembers = {}): Vector {
  return { name, ...input, expect: { ok: true, ...answer } };
}

export function refused(name: string, code: string, input: JsonMembers): Vector {
  return { name, ...input, expect: { ok: false, code } };
}

export function writeVectors(
  file: string,
  description: string,
  cases: readonly Vector[],
  shared: JsonMembers = {},
): void {
  const names = cases.map((vector) => vector.name);
  const repeated = names.find((name, index) => names.indexOf(name) !== index);
  if (repeated !== undefined) throw new Error(`${file}: expected each name once, got "${repeated}" twice`);
  writeFileSync(new URL(file, VECTORS), `${JSON.stringify({ description, ...shared, cases }, null, 2)}\n`);
}
