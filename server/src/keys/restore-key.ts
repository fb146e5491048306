import { type JsonObject, type Result, accept, algorithmOf, parsePublicJwk, refuse, thumbprint } from "@licet/protocol";
import type { Fact } from "../events/write-fact.ts";
import { sealKey } from "./create-key.ts";
import { republishKeySet } from "./publish-key-set.ts";
import { type SigningKeyRow, insertSigningKey, keyBody, lockSigningKeys, readSigningKeys } from "./store.ts";

export interface LostKey {
  readonly kid: string;
  readonly publicJwk: JsonObject;
  readonly purpose: SigningKeyRow["purpose"];
  readonly notBefore: number;
  readonly notAfter: number;
}

export interface LostRevokedKey extends LostKey {
  /** Since when somebody else may have signed with it, seconds since the epoch. */
  readonly compromisedSince: number | undefined;
  readonly by: string;
}

/**
 * Lists a revoked key that is lost as revoked, in this fact, so that nobody takes what it signed for
 * ours. Its private half is gone: what is sealed in its place is the public one, and nothing signs
 * with it. Refuses `conflict` for a key that is there, and what is no key.
 */
export async function restoreRevokedKey(fact: Fact, lost: LostRevokedKey): Promise<Result<SigningKeyRow>> {
  const { compromisedSince, by } = lost;
  const inserted = await insertLostKey(fact, lost, {
    status: "revoked",
    revoked_at: fact.now,
    compromised_since: compromisedSince ?? null,
  });
  if (!inserted.ok) return inserted;
  const row = inserted.value;
  const { kid } = row;
  fact.record({
    type: "key.revoked",
    aggregate: kid,
    body: {
      ...keyBody(row),
      since: compromisedSince ?? fact.now,
      compromised: compromisedSince !== undefined,
      by,
    },
  });
  await republishKeySet(fact, [kid]);
  return accept(row);
}

/**
 * Lists a key that is lost as retired, in this fact: what it signed goes on verifying. Refuses
 * `conflict` for a key that is there, and what is no key. Whoever calls publishes the key set.
 */
export async function restoreRetiredKey(fact: Fact, lost: LostKey): Promise<Result<SigningKeyRow>> {
  const notAfter = Math.min(lost.notAfter, fact.now);
  const ended = { status: "retired", revoked_at: null, compromised_since: null } as const;
  return insertLostKey(fact, { ...lost, notAfter }, ended);
}

async function insertLostKey(
  fact: Fact,
  { publicJwk, purpose, notBefore, notAfter }: LostKey,
  ended: Pick<SigningKeyRow, "status" | "revoked_at" | "compromised_since">,
): Promise<Result<SigningKeyRow>> {
  const jwk = parsePublicJwk(publicJwk);
  if (!jwk.ok) return jwk;
  const kid = thumbprint(jwk.value);
  await lockSigningKeys(fact.trx);
  if ((await readSigningKeys(fact.trx)).some((row) => row.kid === kid))
    return refuse("conflict", `the key ${kid} is there already`);
  const row: SigningKeyRow = {
    kid,
    purpose,
    alg: algorithmOf(jwk.value),
    public_jwk: JSON.stringify(jwk.value),
    sealed_jwk: sealKey(fact.ctx.sealer, kid, jwk.value),
    ...ended,
    not_before: notBefore,
    not_after: notAfter,
    signs_from: 0,
    retire_at: null,
  };
  await insertSigningKey(fact.trx, row);
  return accept(row);
}
