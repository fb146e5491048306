import { type JsonObject, type Result, accept, algorithmOf, parsePublicJwk, refuse, thumbprint } from "@licet/protocol";
import type { Fact } from "../events/write-fact.ts";
import { sealKey } from "./create-key.ts";
import { republishKeySet } from "./publish-key-set.ts";
import { type SigningKeyRow, insertSigningKey, lockSigningKeys, readSigningKeys } from "./store.ts";

export interface LostKey {
  readonly publicJwk: JsonObject;
  readonly purpose: SigningKeyRow["purpose"];
  readonly notBefore: number;
  readonly notAfter: number;
  /** Since when somebody else may have signed with it, seconds since the epoch. */
  readonly compromisedSince: number | undefined;
  readonly by: string;
}

/**
 * Lists a revoked key that is lost as revoked, in this fact, so that nobody takes what it signed for
 * ours. Its private half is gone: what is sealed in its place is the public one, and nothing signs
 * with it. Refuses `conflict` for a key that is there, and what is no key.
 */
export async function restoreRevokedKey(fact: Fact, lost: LostKey): Promise<Result<SigningKeyRow>> {
  const jwk = parsePublicJwk(lost.publicJwk);
  if (!jwk.ok) return jwk;
  const kid = thumbprint(jwk.value);
  await lockSigningKeys(fact.trx);
  if ((await readSigningKeys(fact.trx)).some((row) => row.kid === kid))
    return refuse("conflict", `the key ${kid} is there already`);
  const { purpose, notBefore, notAfter, compromisedSince, by } = lost;
  const row: SigningKeyRow = {
    kid,
    purpose,
    alg: algorithmOf(jwk.value),
    public_jwk: JSON.stringify(jwk.value),
    sealed_jwk: sealKey(fact.ctx.sealer, kid, jwk.value),
    status: "revoked",
    not_before: notBefore,
    not_after: notAfter,
    revoked_at: fact.now,
    compromised_since: compromisedSince ?? null,
    signs_from: 0,
    retire_at: null,
  };
  await insertSigningKey(fact.trx, row);
  fact.record({
    type: "key.revoked",
    aggregate: kid,
    body: {
      ...revokedKeyBody(row),
      since: compromisedSince ?? fact.now,
      compromised: compromisedSince !== undefined,
      by,
    },
  });
  await republishKeySet(fact, [kid]);
  return accept(row);
}

/** What a restore needs to list the key as revoked although its row is lost. */
export function revokedKeyBody({ kid, purpose, public_jwk, not_before, not_after }: SigningKeyRow): JsonObject {
  return { kid, purpose, public_jwk, not_before, not_after };
}
