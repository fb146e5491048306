import {
  type JsonObject,
  MAX_DID_LENGTH,
  type PublicJwk,
  type Result,
  type SignedDocument,
  accept,
  algorithmOf,
  canonicalize,
  creatorIssuer,
  formatInstant,
  numericDate,
  objectOf,
  parseCompactJws,
  parseDid,
  parsePublicJwk,
  readShape,
  refuse,
  signDocument,
  textUpTo,
  thumbprint,
  verifyCompactJws,
} from "@licet/protocol";
import { randomBytes } from "node:crypto";
import type { Context } from "../context.ts";
import { nowSeconds } from "../context.ts";
import { writeFact } from "../events/write-fact.ts";
import {
  type CreatorKeyRow,
  consumeChallenge,
  creatorKeyContent,
  findCreator,
  findCreatorKey,
  insertChallenge,
  insertCreatorKey,
  readCreatorKeys,
} from "./store.ts";

const KEY_PROOF_TYP = "key-proof+jwt";
const CHALLENGE_SECONDS = 600;
const CHALLENGE_BYTES = 24;
/** A proof is made for the moment; a device's clock may be wrong by this much. */
const PROOF_TOLERANCE_SECONDS = 600;
/** A key for each device, and those that went before. */
const MAX_KEYS = 100;
/** A creator's key may sign for ten years unless it is retired before. */
const KEY_LIFETIME_SECONDS = 10 * 366 * 86_400;

export interface KeyChallenge {
  readonly challenge: string;
  readonly audience: string;
  readonly expires_at: string;
}

/** A nonce for one proof of possession, good for ten minutes. */
export async function challengeKey(ctx: Context, creatorId: string): Promise<KeyChallenge> {
  const challenge = randomBytes(CHALLENGE_BYTES).toString("base64url");
  const expiresAt = nowSeconds(ctx) + CHALLENGE_SECONDS;
  await ctx.db
    .transaction()
    .execute((trx) => insertChallenge(trx, { challenge, creator_id: creatorId, expires_at: expiresAt }));
  return { challenge, audience: ctx.origin, expires_at: formatInstant(expiresAt) };
}

const PROOF_CLAIMS = objectOf({
  iss: textUpTo(MAX_DID_LENGTH),
  aud: textUpTo(512),
  nonce: textUpTo(128),
  iat: numericDate,
});

export interface KeyEnrolment {
  readonly creatorId: string;
  /** The public key as a JWK, or the DID that holds it. */
  readonly key: JsonObject | string;
  readonly proof: string;
  /** What the creator calls the device the key is on. It is shown to them alone. */
  readonly name: string | undefined;
}

/**
 * Enrols a creator's public key after its holder has signed our challenge with it. Refuses
 * `key_malformed`, `did_malformed`, the gate's codes, `signature_invalid`, `proof_invalid`, `key_exists` and `conflict`
 * (too many keys).
 */
export async function enrolKey(
  ctx: Context,
  { creatorId, key: given, proof, name }: KeyEnrolment,
): Promise<Result<SignedDocument>> {
  const did = typeof given === "string" ? given : null;
  const key = typeof given === "string" ? parseDid(given) : parsePublicJwk(given);
  if (!key.ok) return key;
  const nonce = await checkProof(ctx, { creatorId, key: key.value, did, proof });
  if (!nonce.ok) return nonce;
  const kid = thumbprint(key.value);
  return writeFact(ctx, async (fact) => {
    const creator = await findCreator(fact.trx, creatorId);
    if (creator === undefined) return refuse("not_found", `there is no creator ${creatorId}`);
    const held = await readCreatorKeys(fact.trx, [creatorId]);
    if (held.length >= MAX_KEYS)
      return refuse("conflict", `expected at most ${MAX_KEYS} keys of one creator, retired ones included`);
    const isOpen = await consumeChallenge(fact.trx, { challenge: nonce.value, creatorId, now: fact.now });
    if (!isOpen) return refuse("proof_invalid", "proof.nonce: expected an open challenge of this creator");
    const row: CreatorKeyRow = {
      kid,
      creator_id: creatorId,
      alg: algorithmOf(key.value),
      public_jwk: canonicalize({ ...key.value }),
      not_before: fact.now,
      not_after: fact.now + KEY_LIFETIME_SECONDS,
      revoked_at: null,
      compromised_since: null,
      name: name ?? null,
      did,
    };
    if (!(await insertCreatorKey(fact.trx, row))) return refuse("key_exists", `the key ${kid} is enrolled already`);
    fact.record({
      type: "creator-key.enrolled",
      aggregate: creator.aggregate,
      body: { creator_id: creatorId, kid, alg: row.alg },
    });
    return accept(await signCreatorKey(ctx, row));
  });
}

interface ProofToCheck {
  readonly creatorId: string;
  readonly key: PublicJwk;
  readonly did: string | null;
  readonly proof: string;
}

/** Whoever enrols a DID may speak as it, or as our URL for them. */
async function checkProof(ctx: Context, { creatorId, key, did, proof }: ProofToCheck): Promise<Result<string>> {
  const jws = parseCompactJws(proof, KEY_PROOF_TYP);
  if (!jws.ok) return jws;
  if (jws.value.header.kid !== thumbprint(key))
    return refuse(
      "proof_invalid",
      `expected kid ${thumbprint(key)}, the thumbprint of the key, got ${jws.value.header.kid}`,
    );
  const verified = await verifyCompactJws(jws.value, key);
  if (!verified.ok) return verified;
  const claims = readShape(PROOF_CLAIMS, verified.value.payload, "proof", "proof_invalid");
  if (!claims.ok) return claims;
  const issuer = creatorIssuer(ctx.origin, creatorId);
  if ((claims.value.iss !== issuer && claims.value.iss !== did) || claims.value.aud !== ctx.origin)
    return refuse(
      "proof_invalid",
      `expected iss ${issuer} and aud ${ctx.origin}, got ${claims.value.iss} and ${claims.value.aud}`,
    );
  const now = nowSeconds(ctx);
  if (Math.abs(claims.value.iat - now) > PROOF_TOLERANCE_SECONDS)
    return refuse(
      "proof_invalid",
      `proof.iat: expected within ${PROOF_TOLERANCE_SECONDS} seconds of ${now}, got ${claims.value.iat}; is the device's clock right?`,
    );
  return accept(claims.value.nonce);
}

/** The `creator-key` document for a key, signed now. */
export async function signCreatorKey(ctx: Context, row: CreatorKeyRow): Promise<SignedDocument> {
  return signDocument("creator-key", ctx.origin, creatorKeyContent(row), ctx.signingKeys.signerFor("document"));
}

/** The `creator-key` document of an enrolled key; undefined when there is none. */
export async function creatorKeyDocument(ctx: Context, kid: string): Promise<SignedDocument | undefined> {
  const row = await findCreatorKey(ctx.db, kid);
  return row === undefined ? undefined : signCreatorKey(ctx, row);
}
