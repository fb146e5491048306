import {
  CLOCK_SKEW_SECONDS,
  type PublicJwk,
  type Result,
  accept,
  algorithmOf,
  encodeBase64url,
  refuse,
  verifySignature,
} from "@licet/protocol";
import { type InnerList, type Item, isInnerList, parseItem } from "structured-headers";
import { type AgentMember, type Directory, type FindKey, directoryOf } from "./key-directory.ts";
import type { ProofUse } from "./memory.ts";
import type { EdgeRequest } from "./ports.ts";
import { type Component, parsedDictionary, readComponents, signatureBase, textOf } from "./signature-base.ts";

const TAG = "web-bot-auth";
/** Signatures with our tag that one request carries at most. */
const MAX_SIGNATURES = 4;
const MAX_LIFETIME_SECONDS = 86_400;
const MAX_NONCE_LENGTH = 256;
/** A signature that stands for a key was made this recently. */
const PROOF_SECONDS = 300;
const THUMBPRINT = /^[A-Za-z0-9_-]{43}$/;
/** The names of our algorithms in RFC 9421. */
const ALGORITHM_NAMES = { EdDSA: "ed25519", ES256: "ecdsa-p256-sha256" } as const;

/** One signature of a request, as its headers describe it. */
interface SignedBy {
  readonly input: InnerList;
  readonly components: readonly Component[];
  readonly signature: string;
  readonly keyId: string;
  readonly created: number;
  readonly expires: number;
  readonly nonce: string | undefined;
  readonly alg: string | undefined;
  /** Where its key is; undefined when the request names no place that is looked up here. */
  readonly directory: Directory | undefined;
}

/** Who signed: the directories that list the keys, once both are known. */
export interface SigningAgent {
  /** None where they could not be read: then nobody is identified. */
  readonly directories: readonly Directory[];
  /** Where the signature also covers `authorization`, has a nonce and is fresh: it shows that whoever asks holds the key. */
  readonly proof: ProofUse | undefined;
}

export interface SignatureCheck {
  /** Seconds since the epoch. */
  readonly now: number;
  readonly findKey: FindKey;
}

/**
 * Verifies the Web Bot Auth signatures of a request (RFC 9421, draft-ietf-webbotauth-httpsig-protocol-01):
 * tag, covered components, times, key by the directory that `Signature-Agent` names, signature.
 * Answers undefined when there is none with our tag.
 *
 * Refuses `credentials_malformed`, `credentials_contradictory`, `agent_signature_invalid`. A directory that
 * cannot be read refuses nobody and identifies nobody.
 */
export async function verifyAgentSignatures(
  request: EdgeRequest,
  check: SignatureCheck,
): Promise<Result<SigningAgent> | undefined> {
  const found = readSignatures(request);
  if (found === undefined || !found.ok) return found;
  const agents: SigningAgent[] = [];
  for (const signed of found.value) {
    const agent = await verifyOne(request, signed, check);
    if (!agent.ok) return agent;
    agents.push(agent.value);
  }
  const proofs = agents.flatMap(({ proof }) => proof ?? []);
  if (new Set(proofs.map(({ holder }) => holder)).size > 1)
    return refuse("credentials_contradictory", "expected signatures over Authorization by one key, got several");
  return accept({
    directories: agents.flatMap(({ directories }) => directories),
    proof: proofs[0],
  });
}

function malformed(detail: string) {
  return refuse("credentials_malformed", detail);
}

function invalid(detail: string) {
  return refuse("agent_signature_invalid", detail);
}

function readSignatures({ headers }: EdgeRequest): Result<readonly SignedBy[]> | undefined {
  const inputText = headers.get("signature-input");
  if (inputText === null) return undefined;
  const inputs = parsedDictionary(inputText);
  // Somebody else's signatures, written in another way, are not our affair.
  if (inputs === undefined)
    return inputText.includes(TAG) ? malformed("Signature-Input: expected a dictionary") : undefined;
  const tagged = [...inputs].filter(([, input]) => input[1].get("tag") === TAG);
  if (tagged.length === 0) return undefined;
  if (tagged.length > MAX_SIGNATURES)
    return malformed(`expected at most ${MAX_SIGNATURES} signatures, got ${tagged.length}`);
  const signatures = parsedDictionary(headers.get("signature") ?? "");
  if (signatures === undefined) return malformed("Signature: expected a dictionary");
  const members = agentMembers(headers.get("signature-agent"), tagged[0]?.[0] ?? "");
  if (members === undefined) return malformed("Signature-Agent: expected a dictionary of strings");
  const read: SignedBy[] = [];
  for (const [label, input] of tagged) {
    const one = readSignature(input, signatures.get(label), members);
    if (!one.ok) return one;
    read.push(one.value);
  }
  return accept(read);
}

/** The members of `Signature-Agent`; the bare string of earlier drafts counts as the member of the first signature. */
function agentMembers(text: string | null, firstLabel: string): ReadonlyMap<string, AgentMember> | undefined {
  if (text === null) return new Map();
  const bare = text.startsWith('"') ? parsedString(text) : undefined;
  if (bare !== undefined) return new Map([[firstLabel, { url: bare, type: "directory" }]]);
  const members = parsedDictionary(text);
  if (members === undefined) return undefined;
  const read = new Map<string, AgentMember>();
  for (const [key, member] of members) {
    const [url, parameters] = member;
    const type = parameters.has("type") ? textOf(parameters.get("type")) : "directory";
    if (typeof url !== "string" || type === undefined) return undefined;
    read.set(key, { url, type });
  }
  return read;
}

function parsedString(text: string): string | undefined {
  try {
    const [value] = parseItem(text);
    return typeof value === "string" ? value : undefined;
  } catch {
    return undefined;
  }
}

function readSignature(
  input: Item | InnerList,
  signature: Item | InnerList | undefined,
  members: ReadonlyMap<string, AgentMember>,
): Result<SignedBy> {
  if (!isInnerList(input)) return malformed("Signature-Input: expected a list of components");
  const bytes = signature?.[0];
  if (!(bytes instanceof ArrayBuffer))
    return malformed("Signature: expected the bytes of each signature that is listed");
  const components = readComponents(input);
  if (!components.ok) return components;
  const [created, expires] = ["created", "expires"].map((name) => input[1].get(name));
  const keyId = input[1].get("keyid");
  const nonce = input[1].get("nonce");
  if (!isTime(created) || !isTime(expires)) return invalid("expected created and expires in seconds");
  if (typeof keyId !== "string" || !THUMBPRINT.test(keyId)) return invalid("expected the key's thumbprint as keyid");
  if (nonce !== undefined && (typeof nonce !== "string" || nonce.length > MAX_NONCE_LENGTH))
    return malformed(`nonce: expected a string of at most ${MAX_NONCE_LENGTH} characters`);
  const covered = components.value.find(({ name }) => name === "signature-agent");
  const member = covered === undefined ? undefined : memberOf(covered, members);
  return accept({
    input,
    components: components.value,
    signature: encodeBase64url(new Uint8Array(bytes)),
    keyId,
    created,
    expires,
    nonce,
    alg: textOf(input[1].get("alg")),
    directory: member === undefined ? undefined : directoryOf(member),
  });
}

function isTime(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0;
}

/** The member that a signature covers, and no other: by its key, or the whole field where it is one string. */
function memberOf({ key }: Component, members: ReadonlyMap<string, AgentMember>): AgentMember | undefined {
  if (key !== undefined) return members.get(key);
  return members.size === 1 ? [...members.values()][0] : undefined;
}

async function verifyOne(request: EdgeRequest, signed: SignedBy, check: SignatureCheck): Promise<Result<SigningAgent>> {
  const usable = checkUse(signed, check.now);
  if (!usable.ok) return usable;
  if (signed.directory === undefined) return accept({ directories: [], proof: undefined });
  const search = await check.findKey(signed.directory.url, signed.keyId);
  if (search.kind === "unreachable") return accept({ directories: [], proof: undefined });
  if (search.kind === "unlisted") return invalid(`${signed.directory.url} lists no key ${signed.keyId}`);
  const verified = await verifyBytes(request, signed, search.jwk);
  if (!verified.ok) return verified;
  return accept({ directories: [signed.directory], proof: proofOf(signed, check.now) });
}

/** What is asked of every signature before its key is looked for. */
function checkUse({ components, created, expires }: SignedBy, now: number): Result<true> {
  const names = components.map(({ name }) => name);
  if (!names.includes("@authority") && !names.includes("@target-uri"))
    return invalid(
      `expected a signature over @authority or @target-uri, got one over ${names.join(", ") || "nothing"}`,
    );
  if (!names.includes("signature-agent"))
    return invalid("expected a signature over the member of Signature-Agent that says where its key is");
  if (created > now + CLOCK_SKEW_SECONDS) return invalid(`the signature was made at ${created}, it is ${now}`);
  if (now >= expires) return invalid(`the signature expired at ${expires}, it is ${now}`);
  return expires <= created || expires - created > MAX_LIFETIME_SECONDS
    ? invalid(`expected expires at most ${MAX_LIFETIME_SECONDS} seconds after created`)
    : accept(true);
}

async function verifyBytes(request: EdgeRequest, signed: SignedBy, jwk: PublicJwk): Promise<Result<true>> {
  const { alg, input, signature, keyId } = signed;
  const expected = ALGORITHM_NAMES[algorithmOf(jwk)];
  if (alg !== undefined && alg !== expected) return invalid(`expected ${expected} by the key ${keyId}, got ${alg}`);
  const base = signatureBase(request, input);
  if (!base.ok) return base;
  return (await verifySignature(jwk, new TextEncoder().encode(base.value), signature))
    ? accept(true)
    : invalid(`the signature is not by the key ${keyId} over this request`);
}

/** A captured signature must not lend its key to another license, or to anybody later. */
function proofOf({ components, created, keyId, nonce }: SignedBy, now: number): ProofUse | undefined {
  const coversLicense = components.some(({ name, key }) => name === "authorization" && key === undefined);
  if (!coversLicense || nonce === undefined || now - created > PROOF_SECONDS) return undefined;
  return { holder: keyId, nonce: `signature ${nonce}`, untilMs: (created + PROOF_SECONDS + 1) * 1_000 };
}
