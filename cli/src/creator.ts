import {
  type Algorithm,
  type JsonObject,
  type PrivateJwk,
  type PublicJwk,
  type Signer,
  anyObject,
  canonicalize,
  decodeBase64url,
  exactly,
  generatePrivateJwk,
  instant,
  listOf,
  objectOf,
  origin,
  parseJsonObject,
  publicJwkOf,
  qualifiedIdentifier,
  sha256,
  signCompactJws,
  signJwsInput,
  signerOf,
  termsSha256,
  textUpTo,
  webUrl,
} from "@licet/protocol";
import { type LicetClient, createClient } from "@licet/sdk";
import { call } from "./call-api.ts";
import { claim } from "./command-error.ts";

/** A creator in front of their own device: a session with the server, and a key that stays here. */
export interface Creator {
  readonly creatorId: string;
  readonly issuer: string;
  readonly token: string;
  readonly client: LicetClient;
  /** The public half. */
  readonly jwk: PublicJwk;
  readonly signer: Signer;
}

const CREATED = objectOf({ creator_id: qualifiedIdentifier, issuer: webUrl });
const SESSION = objectOf({ creator_token: textUpTo(512) });
const CHALLENGE = objectOf({ challenge: textUpTo(256), audience: origin });
const KEY = objectOf({ kid: textUpTo(128) });

/** The platform registers a creator under a pseudonym, opens a session for them, and they make a key. */
export async function enterCreator(operator: LicetClient, creatorId: string, alg: Algorithm): Promise<Creator> {
  await call(operator, { method: "POST", path: "/api/v1/creators", body: { creator_id: creatorId } }, CREATED);
  const token = await openSession(operator, creatorId);
  const creator = await creatorWith(
    createClient({ origin: operator.origin, token }),
    creatorId,
    await generatePrivateJwk(alg),
  );
  await enrolKey(creator);
  return { ...creator, token };
}

/** A session for a creator, as the platform opens it once it knows who is in front of it. */
export async function openSession(operator: LicetClient, creatorId: string): Promise<string> {
  const session = await call(operator, { method: "POST", path: `${pathOf(creatorId)}/sessions` }, SESSION);
  return session.creator_token;
}

/** A creator whose session and key are there already. */
export async function creatorWith(
  client: LicetClient,
  creatorId: string,
  jwk: PrivateJwk,
): Promise<Omit<Creator, "token">> {
  const { issuer } = await call(client, { method: "GET", path: pathOf(creatorId) }, CREATED);
  return { creatorId, issuer, client, jwk: publicJwkOf(jwk), signer: await signerOf(jwk) };
}

type Holder = Omit<Creator, "token">;

const KEYS = objectOf({ keys: listOf(objectOf({ kid: textUpTo(128) }, { not_after: instant }), { max: 10_000 }) });

/** Whether the server knows the creator's key already. */
export async function isEnrolled({ creatorId, client, signer }: Holder): Promise<boolean> {
  const { keys } = await call(client, { method: "GET", path: `${pathOf(creatorId)}/keys` }, KEYS);
  return keys.some(({ kid }) => kid === signer.kid);
}

/** Only the public half is sent, with a proof that the private half is held. */
export async function enrolKey({ creatorId, issuer, client, signer, jwk }: Holder): Promise<void> {
  const { challenge, audience } = await call(
    client,
    { method: "POST", path: `${pathOf(creatorId)}/key-challenges` },
    CHALLENGE,
  );
  const iat = Math.floor(Date.now() / 1_000);
  const proof = await signCompactJws("key-proof+jwt", { iss: issuer, aud: audience, nonce: challenge, iat }, signer);
  const { kid } = await call(
    client,
    { method: "POST", path: `${pathOf(creatorId)}/keys`, body: { jwk: { ...jwk }, proof } },
    KEY,
  );
  claim(kid === signer.kid, `expected the server to enrol the key ${signer.kid}, got ${kid}`);
}

const DRAFT = objectOf({
  jti: textUpTo(64),
  signing_input: textUpTo(16_384),
  text: textUpTo(262_144),
  terms_sha256: sha256,
  claims: anyObject,
});

/** What a creator is asked to agree to, and what they would sign for it. */
export type Draft = ReturnType<typeof DRAFT>;

/** What a creator is asked for, in the words of `POST /api/v1/consents/drafts`. */
export type ConsentWish = JsonObject;

export async function draftConsent({ client }: Pick<Creator, "client">, wish: ConsentWish): Promise<Draft> {
  const draft = await call(client, { method: "POST", path: "/api/v1/consents/drafts", body: wish }, DRAFT);
  const shown = termsSha256(draft.text);
  claim(
    shown === draft.terms_sha256 && shown === draft.claims["terms_sha256"],
    `expected the consent to name the words that are shown (${shown}), got ${JSON.stringify(draft.claims["terms_sha256"])}`,
  );
  claim(
    signedClaims(draft.signing_input) === canonicalize(draft.claims),
    "expected the bytes to sign to hold the claims that are shown, got others",
  );
  return draft;
}

/** What would really be signed, as canonical JSON. */
function signedClaims(signingInput: string): string | undefined {
  const bytes = decodeBase64url(signingInput.split(".")[1] ?? "");
  const parsed = bytes === undefined ? undefined : parseJsonObject(new TextDecoder().decode(bytes));
  return parsed?.ok === true ? canonicalize(parsed.value) : undefined;
}

const CONSENT = objectOf({ jti: textUpTo(64), state: textUpTo(32), signed_by: textUpTo(128) });

/** Signs a draft with the creator's key and hands it in. Answers the consent's jti. */
export async function signConsent({ creatorId, client, signer }: Holder, draft: Draft): Promise<string> {
  const token = await signJwsInput(draft.signing_input, signer);
  const consent = await call(client, { method: "POST", path: "/api/v1/consents", body: { token } }, CONSENT);
  const isOurs = consent.jti === draft.jti && consent.signed_by === "creator" && consent.state === "active";
  claim(
    isOurs,
    `expected the active consent ${draft.jti}, signed by the creator ${creatorId}, got ${consent.jti}, ${consent.state}, signed by the ${consent.signed_by}`,
  );
  return consent.jti;
}

const REVOCATION = objectOf({ revoked: exactly(true), revoked_at: instant, jti: textUpTo(64) });

/** Takes a consent back. It needs no key: whoever lost theirs may change their mind too. */
export async function revokeConsent(
  { client }: Creator,
  { datasetId, jti }: { readonly datasetId: string; readonly jti: string },
): Promise<void> {
  const request = {
    method: "POST",
    path: `/api/v1/datasets/${encodeURIComponent(datasetId)}/consent/revoke`,
    body: { consent_jwt_id: jti, reason: "creator_requested_revocation" },
  } as const;
  const revocation = await call(client, request, REVOCATION);
  claim(revocation.jti === jti, `expected the consent ${jti} to be revoked, got ${revocation.jti}`);
}

function pathOf(creatorId: string): string {
  return `/api/v1/creators/${encodeURIComponent(creatorId)}`;
}
