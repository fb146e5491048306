import {
  type Algorithm,
  type JsonObject,
  type Signer,
  anyObject,
  exactly,
  generatePrivateJwk,
  instant,
  objectOf,
  origin,
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
import { bodyOf, call } from "./call-api.ts";
import { claim } from "./narrate.ts";

/** A creator in front of their own device: a session with the server, and a key that stays here. */
export interface Creator {
  readonly creatorId: string;
  readonly issuer: string;
  readonly token: string;
  readonly client: LicetClient;
  readonly signer: Signer;
}

const CREATED = objectOf({ creator_id: qualifiedIdentifier, issuer: webUrl });
const SESSION = objectOf({ creator_token: textUpTo(512) });
const CHALLENGE = objectOf({ challenge: textUpTo(256), audience: origin });
const KEY = objectOf({ kid: textUpTo(128) });

/** The platform registers a creator under a pseudonym and opens a session for them. */
export async function enterCreator(operator: LicetClient, creatorId: string, alg: Algorithm): Promise<Creator> {
  const { issuer } = await call(
    operator,
    { method: "POST", path: "/api/v1/creators", body: { creator_id: creatorId } },
    CREATED,
  );
  const { creator_token: token } = await call(
    operator,
    { method: "POST", path: `${pathOf(creatorId)}/sessions` },
    SESSION,
  );
  const jwk = await generatePrivateJwk(alg);
  const creator = {
    creatorId,
    issuer,
    token,
    client: createClient({ origin: operator.origin, token }),
    signer: await signerOf(jwk),
  };
  await enrolKey(creator, { ...publicJwkOf(jwk) });
  return creator;
}

/** Only the public half is sent, with a proof that the private half is held. */
async function enrolKey({ creatorId, issuer, client, signer }: Creator, jwk: JsonObject): Promise<void> {
  const { challenge, audience } = await call(
    client,
    { method: "POST", path: `${pathOf(creatorId)}/key-challenges` },
    CHALLENGE,
  );
  const iat = Math.floor(Date.now() / 1_000);
  const proof = await signCompactJws("key-proof+jwt", { iss: issuer, aud: audience, nonce: challenge, iat }, signer);
  const { kid } = await call(client, { method: "POST", path: `${pathOf(creatorId)}/keys`, body: { jwk, proof } }, KEY);
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

const CONSENT_DAYS = 365;

export async function draftConsent({ creatorId, client }: Creator): Promise<Draft> {
  const body = bodyOf({
    subject: `creator:${creatorId}`,
    scope: ["training", "commercial"],
    price_floor: "per-token:0.00005",
    duration_days: CONSENT_DAYS,
  });
  const draft = await call(client, { method: "POST", path: "/api/v1/consents/drafts", body }, DRAFT);
  const shown = termsSha256(draft.text);
  claim(
    shown === draft.terms_sha256 && shown === draft.claims["terms_sha256"],
    `expected the consent to name the words that are shown (${shown}), got ${JSON.stringify(draft.claims["terms_sha256"])}`,
  );
  return draft;
}

const CONSENT = objectOf({ jti: textUpTo(64), state: textUpTo(32), signed_by: textUpTo(128) });

/** Signs a draft with the creator's key and hands it in. Answers the consent's jti. */
export async function signConsent({ creatorId, client, signer }: Creator, draft: Draft): Promise<string> {
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
