import {
  type JsonObject,
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
} from "./store.ts";

const KEY_PROOF_TYP = "key-proof+jwt";
const CHALLENGE_SECONDS = 600;
const CHALLENGE_BYTES = 24;
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

const PROOF_CLAIMS = objectOf({ iss: textUpTo(512), aud: textUpTo(512), nonce: textUpTo(128), iat: numericDate });

/**
 * Enrols a creator's public key after its holder has signed our challenge with it. Refuses
 * `key_malformed`, the gate's codes, `signature_invalid`, `proof_invalid` and `key_exists`.
 */
export async function enrolKey(
  ctx: Context,
  { creatorId, jwk, proof }: { readonly creatorId: string; readonly jwk: JsonObject; readonly proof: string },
): Promise<Result<SignedDocument>> {
  const key = parsePublicJwk(jwk);
  if (!key.ok) return key;
  const nonce = await checkProof(ctx, { creatorId, key: key.value, proof });
  if (!nonce.ok) return nonce;
  const kid = thumbprint(key.value);
  return writeFact(ctx, async (fact) => {
    const creator = await findCreator(fact.trx, creatorId);
    if (creator === undefined) return refuse("not_found", `there is no creator ${creatorId}`);
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

async function checkProof(
  ctx: Context,
  { creatorId, key, proof }: { readonly creatorId: string; readonly key: PublicJwk; readonly proof: string },
): Promise<Result<string>> {
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
  if (claims.value.iss !== issuer || claims.value.aud !== ctx.origin)
    return refuse(
      "proof_invalid",
      `expected iss ${issuer} and aud ${ctx.origin}, got ${claims.value.iss} and ${claims.value.aud}`,
    );
  return accept(claims.value.nonce);
}

/** The `creator-key` document for a key, signed now. */
async function signCreatorKey(ctx: Context, row: CreatorKeyRow): Promise<SignedDocument> {
  return signDocument("creator-key", ctx.origin, creatorKeyContent(row), ctx.signingKeys.signerFor("document"));
}

/** The `creator-key` document of an enrolled key; undefined when there is none. */
export async function creatorKeyDocument(ctx: Context, kid: string): Promise<SignedDocument | undefined> {
  const row = await findCreatorKey(ctx.db, kid);
  return row === undefined ? undefined : signCreatorKey(ctx, row);
}
