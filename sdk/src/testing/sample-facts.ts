import {
  type Algorithm,
  type ConsentClaims,
  type DatasetState,
  type JsonObject,
  type KeyPurpose,
  type PlatformKey,
  type PrivateJwk,
  type Signer,
  CONSENT_TYP,
  CONSENT_VERSION,
  STATUS,
  STATUS_LIST_BYTES,
  creatorIssuer,
  datasetStateOf,
  encodeBase64url,
  formatInstant,
  generatePrivateJwk,
  publicJwkOf,
  setStatusAt,
  sha256Hex,
  signCompactJws,
  signDocument,
  signerOf,
  statusAt,
} from "@licet/protocol";

/** One work of the sample platform: the item as it is listed, and its bytes. */
export interface SampleWork {
  readonly item: JsonObject;
  readonly contentId: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly jti: string;
}

export interface SampleConsent {
  readonly jti: string;
  readonly token: string;
  readonly acceptance: JsonObject;
  readonly key?: JsonObject;
  readonly idx: number;
}

/** What the sample platform knows. Tests change it, or the documents made of it. */
export interface SampleFacts {
  readonly origin: string;
  readonly datasetId: string;
  readonly startedAt: number;
  readonly keys: readonly PlatformKey[];
  readonly signers: Readonly<Record<"document" | "consent" | "receipt", Signer>>;
  readonly works: SampleWork[];
  readonly consents: SampleConsent[];
  readonly bits: Uint8Array<ArrayBuffer>;
  readonly revocations: { jti: string; revoked_at: string }[];
  readonly withdrawn: { at: string; jti?: string; content_id?: string }[];
  seq: number;
}

const SAMPLE_DATASET_ID = "ds_sample";
export const DATASET_INDEX = 7;
const DAY = 86_400;
const LICENSE = "paid_training:1.0";

interface WorkPlan {
  readonly name: string;
  readonly creatorId: string;
  readonly mimeType: string;
  readonly text: string;
  readonly lengthSeconds?: number;
  readonly jti: string;
}

function sampleJti(letter: string): string {
  return `ctok_${letter.repeat(22)}`;
}

/** Ana signs for everything of hers; the platform signs on Bram's behalf, for one work. */
export const ANA = { creatorId: "user:ana", jti: sampleJti("a") } as const;
export const BRAM = { creatorId: "user:bram", jti: sampleJti("b") } as const;

const WORKS: readonly WorkPlan[] = [
  {
    name: "essay",
    creatorId: ANA.creatorId,
    mimeType: "text/markdown",
    text: "A map is a promise, kept.",
    jti: ANA.jti,
  },
  {
    name: "river",
    creatorId: ANA.creatorId,
    mimeType: "audio/mpeg",
    text: "the sound of a river",
    lengthSeconds: 42,
    jti: ANA.jti,
  },
  { name: "heron", creatorId: BRAM.creatorId, mimeType: "image/webp", text: "the look of a heron", jti: BRAM.jti },
];

export interface SampleOptions {
  readonly origin: string;
  /** Seconds since the epoch. */
  readonly now: () => number;
  /** Added to the claims of Ana's token before she signs. */
  readonly anaClaims?: JsonObject;
}

/** A platform with two creators, three works, two consents and one published dataset. */
export async function sampleFacts({ origin, now, anaClaims = {} }: SampleOptions): Promise<SampleFacts> {
  const startedAt = now() - 60;
  const [document, consent, receipt] = await Promise.all([
    platformKey("EdDSA", "document", startedAt),
    platformKey("ES256", "consent", startedAt),
    platformKey("EdDSA", "receipt", startedAt),
  ]);
  const facts: SampleFacts = {
    origin,
    datasetId: SAMPLE_DATASET_ID,
    startedAt,
    keys: [document.key, consent.key, receipt.key],
    signers: { document: document.signer, consent: consent.signer, receipt: receipt.signer },
    works: WORKS.map((plan, index) => sampleWork(origin, plan, { index, startedAt })),
    consents: [],
    bits: new Uint8Array(STATUS_LIST_BYTES),
    revocations: [],
    withdrawn: [],
    seq: 1,
  };
  facts.consents.push(await anaConsent(facts, anaClaims), await bramConsent(facts));
  return facts;
}

async function platformKey(
  alg: Algorithm,
  purpose: KeyPurpose,
  startedAt: number,
): Promise<{ key: PlatformKey; signer: Signer; jwk: PrivateJwk }> {
  const jwk = await generatePrivateJwk(alg);
  const signer = await signerOf(jwk);
  const lifetime = { not_before: formatInstant(startedAt - DAY), not_after: formatInstant(startedAt + 365 * DAY) };
  return { jwk, signer, key: { kid: signer.kid, alg, jwk: publicJwkOf(jwk), purpose, status: "active", ...lifetime } };
}

export function statusReference(
  origin: string,
  idx: number,
): { readonly status_list: { readonly idx: number; readonly uri: string } } {
  return { status_list: { idx, uri: `${origin}/status-lists/1` } };
}

function sampleWork(
  origin: string,
  plan: WorkPlan,
  { index, startedAt }: { readonly index: number; readonly startedAt: number },
): SampleWork {
  const bytes = new TextEncoder().encode(plan.text);
  const contentId = `content_${plan.name}`;
  const item = {
    content_id: contentId,
    canonical_url: `${origin}/works/${plan.name}`,
    sha256: sha256Hex(bytes),
    mime_type: plan.mimeType,
    creator_id: plan.creatorId,
    license: LICENSE,
    created_at: formatInstant(startedAt - 10 * DAY),
    registered_at: formatInstant(startedAt - 5 * DAY),
    revision: 1,
    lineage: [],
    size_bytes: bytes.length,
    status: statusReference(origin, 100 + index),
    salt: encodeBase64url(new Uint8Array(16).fill(index + 1)),
    ...(plan.lengthSeconds === undefined ? {} : { length_seconds: plan.lengthSeconds }),
  };
  return { item, contentId, bytes, jti: plan.jti };
}

function claimsOf(
  facts: SampleFacts,
  claims: Pick<ConsentClaims, "iss" | "sub" | "jti" | "sig_alg">,
  idx: number,
): JsonObject {
  return {
    ...claims,
    scope: ["training", "commercial"],
    consent_version: CONSENT_VERSION,
    iat: facts.startedAt,
    exp: facts.startedAt + 365 * DAY,
    status: statusReference(facts.origin, idx),
    license: LICENSE,
    terms_sha256: sha256Hex("the terms"),
    price_floor: "per-token:0.00005",
  };
}

async function anaConsent(facts: SampleFacts, extra: JsonObject): Promise<SampleConsent> {
  const { key, signer } = await platformKey("EdDSA", "consent", facts.startedAt);
  const { kid, alg, jwk, not_before, not_after } = key;
  const document = await signDocument(
    "creator-key",
    facts.origin,
    { creator_id: ANA.creatorId, kid, alg, jwk: { ...jwk }, not_before, not_after },
    facts.signers.document,
  );
  const claims = {
    ...claimsOf(
      facts,
      {
        iss: creatorIssuer(facts.origin, ANA.creatorId),
        sub: `creator:${ANA.creatorId}`,
        jti: ANA.jti,
        sig_alg: "EdDSA",
      },
      1,
    ),
    ...extra,
  };
  const token = await signCompactJws(CONSENT_TYP, claims, signer);
  return { jti: ANA.jti, token, acceptance: await acceptanceOf(facts, ANA.jti, token), key: document, idx: 1 };
}

async function bramConsent(facts: SampleFacts): Promise<SampleConsent> {
  const claims = {
    ...claimsOf(facts, { iss: facts.origin, sub: "content:content_heron", jti: BRAM.jti, sig_alg: "ES256" }, 2),
    act: { sub: BRAM.creatorId, evidence_sha256: sha256Hex("he clicked") },
  };
  const token = await signCompactJws(CONSENT_TYP, claims, facts.signers.consent);
  return { jti: BRAM.jti, token, acceptance: await acceptanceOf(facts, BRAM.jti, token), idx: 2 };
}

async function acceptanceOf(facts: SampleFacts, jti: string, token: string): Promise<JsonObject> {
  return signDocument(
    "consent-acceptance",
    facts.origin,
    { jti, token_sha256: sha256Hex(token), accepted_at: formatInstant(facts.startedAt + 1) },
    facts.signers.document,
  );
}

function bitOf(facts: SampleFacts, idx: number): number {
  const value = statusAt(facts.bits, idx);
  return value.ok ? value.value : STATUS.revoked;
}

function indexOf(work: SampleWork): number {
  return 100 + WORKS.findIndex(({ name }) => `content_${name}` === work.contentId);
}

/** True when the work's own entry and its consent's stand. */
export function isStanding(facts: SampleFacts, work: SampleWork): boolean {
  const consent = facts.consents.find(({ jti }) => jti === work.jti);
  return (
    bitOf(facts, indexOf(work)) === STATUS.valid && consent !== undefined && bitOf(facts, consent.idx) === STATUS.valid
  );
}

export function stateOf(facts: SampleFacts): DatasetState {
  const revoked = facts.works.filter((work) => !isStanding(facts, work)).length;
  return datasetStateOf({ total: facts.works.length, revoked, suspended: 0, expired: 0 });
}

/** Revokes a token, as the platform would: its bit, the view, the manifest's list; the dataset's own bit once nothing is left. */
export function revoke(facts: SampleFacts, jti: string, at: number): void {
  const consent = facts.consents.find((candidate) => candidate.jti === jti);
  if (consent === undefined) throw new RangeError(`no consent ${jti}`);
  setStatusAt(facts.bits, consent.idx, STATUS.revoked);
  facts.revocations.push({ jti, revoked_at: formatInstant(at) });
  facts.withdrawn.push({ at: formatInstant(at), jti });
  if (stateOf(facts) === "revoked") setStatusAt(facts.bits, DATASET_INDEX, STATUS.revoked);
  facts.seq += 1;
}

/** Withdraws one work from a wider consent. */
export function withdraw(facts: SampleFacts, contentId: string, at: number): void {
  const work = facts.works.find((candidate) => candidate.contentId === contentId);
  if (work === undefined) throw new RangeError(`no work ${contentId}`);
  setStatusAt(facts.bits, indexOf(work), STATUS.revoked);
  facts.withdrawn.push({ at: formatInstant(at), content_id: contentId });
  facts.seq += 1;
}
