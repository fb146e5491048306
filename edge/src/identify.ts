import { MAX_JWS_LENGTH, type Refusal, type Result, type Use, accept, refuse } from "@licet/protocol";
import type { EdgeConfig } from "./config.ts";
import { verifyDpopProof } from "./dpop-proof.ts";
import type { FindKey } from "./key-directory.ts";
import type { ProofUse } from "./memory.ts";
import type { EdgePorts, EdgeRequest } from "./ports.ts";
import { findCrawler } from "./product-tokens.ts";
import { type SigningAgent, verifyAgentSignatures } from "./web-bot-auth.ts";

/** Who asks, as far as anything says so; the strongest sign first. */
export interface Agent {
  readonly kind: "license" | "signature" | "certificate" | "token" | "unverified";
  readonly name: string;
}

/** What a request shows of whoever sent it. */
export interface Identity {
  /** Why the credentials cannot be used. */
  readonly refused?: Refusal;
  readonly license?: {
    readonly token: string;
    /** The key that was shown to be held and by what, or why the proof of it does not hold. */
    readonly proof: Result<ProofUse> | undefined;
  };
  readonly agent?: Agent;
  readonly purpose?: Use;
}

export interface IdentifyParts {
  readonly config: EdgeConfig;
  readonly ports: EdgePorts;
  readonly findKey: FindKey;
}

/** One scheme and one token; in a list of several, which duplicate headers become, any may be ours. */
const LICENSE = /^license +([A-Za-z0-9_.~+/=-]+)$/i;
const NAMES_LICENSE = /(?:^|,)\s*license(?:\s|,|$)/i;

/** Reads who asks. Does no work beyond a few looks at headers for whoever shows nothing. */
export async function identify(request: EdgeRequest, parts: IdentifyParts): Promise<Identity> {
  const { config, ports } = parts;
  const token = readLicense(request.headers.get("authorization"));
  if (token !== undefined && !token.ok) return { refused: token.refusal };
  const now = Math.floor(ports.nowMs() / 1_000);
  const signing = await verifyAgentSignatures(request, { now, findKey: parts.findKey });
  if (signing !== undefined && !signing.ok) return { refused: signing.refusal, agent: UNVERIFIED };
  const crawler = findCrawler(request.headers.get("user-agent") ?? "", config.exempt);
  const purpose = crawler?.purpose === undefined ? {} : { purpose: crawler.purpose };
  const certified = certifiedAgent(request, config);
  if (certified !== undefined && !certified.ok) return { refused: certified.refusal };
  const agent =
    signingAgent(signing?.value, config) ??
    certified?.value ??
    (crawler === undefined ? undefined : { kind: "token" as const, name: crawler.token });
  const shown = agent === undefined ? purpose : { ...purpose, agent };
  if (token === undefined) return shown;
  const proof = await readProof(request, { token: token.value, signed: signing?.value.proof, now });
  if (proof?.ok === false && proof.refusal.code !== "dpop_proof_invalid") return { ...shown, refused: proof.refusal };
  return { ...shown, license: { token: token.value, proof } };
}

const UNVERIFIED: Agent = { kind: "unverified", name: "web-bot-auth" };

/** The license in `Authorization`, undefined when it holds none; other schemes are the site's. Refuses `credentials_malformed` and `credentials_contradictory`. */
function readLicense(authorization: string | null): Result<string> | undefined {
  if (authorization === null || !NAMES_LICENSE.test(authorization)) return undefined;
  if (authorization.includes(","))
    return refuse("credentials_contradictory", "expected one Authorization header with one license, got several");
  const token = LICENSE.exec(authorization.trim())?.[1];
  return token === undefined || token.length > MAX_JWS_LENGTH
    ? refuse("credentials_malformed", `expected License and a token of at most ${MAX_JWS_LENGTH} characters`)
    : accept(token);
}

/** Who signed, unless the operator exempts all of them; a set of keys somewhere at an exempt host is not the host's word. */
function signingAgent(signing: SigningAgent | undefined, { exempt }: EdgeConfig): Agent | undefined {
  if (signing === undefined) return undefined;
  if (signing.directories.length === 0) return UNVERIFIED;
  const others = signing.directories.filter(({ url, isOfOrigin }) => {
    const { host, origin } = new URL(url);
    return !isOfOrigin || !(exempt.includes(origin) || exempt.includes(host));
  });
  return others[0] === undefined ? undefined : { kind: "signature", name: new URL(others[0].url).host };
}

/** A certificate says something of those that the operator lists. A revoked one still verifies: both are asked. */
function certifiedAgent({ certificate }: EdgeRequest, { agentCertificates }: EdgeConfig): Result<Agent> | undefined {
  if (certificate === undefined || !agentCertificates.includes(certificate.sha256)) return undefined;
  if (!certificate.isVerified || certificate.isRevoked)
    return refuse(
      "agent_certificate_invalid",
      `the certificate ${certificate.sha256} ${certificate.isRevoked ? "is revoked" : "does not verify"}`,
    );
  return accept({ kind: "certificate", name: certificate.sha256 });
}

interface Shown {
  readonly token: string;
  readonly signed: ProofUse | undefined;
  readonly now: number;
}

/** How whoever sends the license shows to hold a key: by a DPoP proof, or by a signature that covers the license. */
async function readProof(request: EdgeRequest, { token, signed, now }: Shown): Promise<Result<ProofUse> | undefined> {
  const proof = request.headers.get("dpop");
  if (proof === null) return signed === undefined ? undefined : accept(signed);
  const shown = await verifyDpopProof(proof, request, { token, now });
  if (!shown.ok || signed === undefined || signed.holder === shown.value.holder) return shown;
  return refuse("credentials_contradictory", "expected a DPoP proof and a signature by one key, got two");
}
