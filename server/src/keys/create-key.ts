import {
  type Algorithm,
  type KeyPurpose,
  type PrivateJwk,
  type PublicJwk,
  canonicalize,
  generatePrivateJwk,
  publicJwkOf,
  thumbprint,
} from "@licet/protocol";
import type { Trx } from "../db/open-database.ts";
import type { Sealer } from "../db/sealing.ts";
import { type SigningKeyRow, insertSigningKey } from "./store.ts";

/** The purposes that something signs for today; each has a key that signs. */
export const PURPOSES = [
  "consent",
  "document",
  "license",
  "receipt",
  "webhook",
] as const satisfies readonly KeyPurpose[];
export type SigningPurpose = (typeof PURPOSES)[number];

/** A key may sign for two years; what it signed stays verifiable for good. */
const LIFETIME_SECONDS = 2 * 366 * 86_400;
/** A key counts from a little before it was made, so that a reader whose clock is behind ours does not refuse it. */
const BACKDATE_SECONDS = 300;

export interface NewKey {
  readonly purpose: KeyPurpose;
  readonly alg: Algorithm;
  /** Seconds since the epoch. */
  readonly now: number;
  /** When it begins to sign, seconds since the epoch; 0 means at once, whatever a clock says. */
  readonly signsFrom: number;
}

/** Makes a key of the platform; its private half is in the database sealed, and nowhere else. */
export async function createKey(
  sealer: Sealer,
  trx: Trx,
  { purpose, alg, now, signsFrom }: NewKey,
): Promise<SigningKeyRow> {
  const jwk = await generatePrivateJwk(alg);
  const kid = thumbprint(jwk);
  const row: SigningKeyRow = {
    kid,
    purpose,
    alg,
    public_jwk: canonicalize({ ...publicJwkOf(jwk) }),
    sealed_jwk: sealKey(sealer, kid, jwk),
    status: "active",
    not_before: now - BACKDATE_SECONDS,
    not_after: now + LIFETIME_SECONDS,
    revoked_at: null,
    compromised_since: null,
    signs_from: signsFrom,
    retire_at: null,
  };
  await insertSigningKey(trx, row);
  return row;
}

/** A key as it is kept. */
export function sealKey(sealer: Sealer, kid: string, jwk: PrivateJwk | PublicJwk): Uint8Array {
  return sealer.seal(sealLabel(kid), JSON.stringify(jwk));
}

export function openKey(sealer: Sealer, row: SigningKeyRow): PrivateJwk {
  return JSON.parse(sealer.open(sealLabel(row.kid), row.sealed_jwk));
}

function sealLabel(kid: string): string {
  return `signing_key/${kid}`;
}
