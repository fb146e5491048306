import {
  type KeyPurpose,
  type PrivateJwk,
  type Signer,
  canonicalize,
  generatePrivateJwk,
  publicJwkOf,
  signerOf,
  thumbprint,
} from "@licet/protocol";
import { sql } from "kysely";
import type { Clock, SigningKeys } from "../context.ts";
import type { Db, Trx } from "../db/open-database.ts";
import type { Sealer } from "../db/sealing.ts";
import { type SigningKeyRow, insertSigningKey, readSigningKeys } from "./store.ts";

/** The purposes that something signs for today; each has one active key. */
const PURPOSES = ["consent", "document", "receipt"] as const satisfies readonly KeyPurpose[];

/** A key may sign for two years; what it signed stays verifiable for good. */
const LIFETIME_SECONDS = 2 * 366 * 86_400;
/** Serialises the first start of several servers on one database. */
const FIRST_KEYS_LOCK = 7_265_379;

export interface KeyParts {
  readonly db: Db;
  readonly sealer: Sealer;
  readonly clock: Clock;
}

/** Opens the platform's signing keys, and makes the ones that are missing. */
export async function loadSigningKeys(parts: KeyParts): Promise<SigningKeys> {
  const rows = await parts.db.transaction().execute((trx) => ensureKeys(parts, trx));
  const signers = new Map<KeyPurpose, Signer>();
  for (const row of rows) {
    if (row.status === "active") signers.set(row.purpose, await signerOf(openKey(parts.sealer, row)));
  }
  return {
    signerFor: (purpose) => {
      const signer = signers.get(purpose);
      if (signer === undefined) throw new TypeError(`there is no active key for ${purpose}`);
      return signer;
    },
  };
}

/** False before the very first start. */
export async function hasSigningKeys(db: Db): Promise<boolean> {
  return (await readSigningKeys(db)).length > 0;
}

async function ensureKeys(parts: KeyParts, trx: Trx): Promise<readonly SigningKeyRow[]> {
  await sql`select pg_advisory_xact_lock(${FIRST_KEYS_LOCK}::bigint)`.execute(trx);
  const active = new Set(
    (await readSigningKeys(trx)).filter((row) => row.status === "active").map((row) => row.purpose),
  );
  for (const purpose of PURPOSES) {
    if (!active.has(purpose)) await createKey(parts, trx, purpose);
  }
  return readSigningKeys(trx);
}

async function createKey({ sealer, clock }: KeyParts, trx: Trx, purpose: KeyPurpose): Promise<void> {
  const jwk = await generatePrivateJwk("EdDSA");
  const kid = thumbprint(jwk);
  const now = Math.floor(clock.nowMs() / 1_000);
  await insertSigningKey(trx, {
    kid,
    purpose,
    alg: "EdDSA",
    public_jwk: canonicalize({ ...publicJwkOf(jwk) }),
    sealed_jwk: sealer.seal(sealLabel(kid), JSON.stringify(jwk)),
    status: "active",
    not_before: now,
    not_after: now + LIFETIME_SECONDS,
    revoked_at: null,
    compromised_since: null,
  });
}

function openKey(sealer: Sealer, row: SigningKeyRow): PrivateJwk {
  return JSON.parse(sealer.open(sealLabel(row.kid), row.sealed_jwk));
}

function sealLabel(kid: string): string {
  return `signing_key/${kid}`;
}
