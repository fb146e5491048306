import { type KeyPurpose, type Signer, signerOf } from "@licet/protocol";
import type { Mode } from "../config.ts";
import type { Clock, SigningKeys } from "../context.ts";
import type { Db, Trx } from "../db/open-database.ts";
import type { Sealer } from "../db/sealing.ts";
import { PURPOSES, createKey, openKey } from "./create-key.ts";
import {
  type SigningKeyRow,
  holdSigningKeys,
  lockSigningKeys,
  readActiveKeys,
  readSigningKeys,
  signingKeyAt,
} from "./store.ts";

export interface KeyParts {
  readonly db: Db;
  readonly sealer: Sealer;
  readonly clock: Clock;
  readonly mode: Mode;
}

/** Opens the platform's signing keys, and makes the ones that are missing. */
export async function loadSigningKeys(parts: KeyParts): Promise<SigningKeys> {
  const { db, clock } = parts;
  const signers = new Map<string, Signer>();
  await db.transaction().execute((trx) => ensureKeys(parts, trx));
  let rows = await readOpened(parts, signers);

  async function signerOfRow(row: SigningKeyRow): Promise<Signer> {
    const signer = signers.get(row.kid) ?? (await openSigner(parts, row));
    signers.set(row.kid, signer);
    return signer;
  }

  return {
    signerFor: (purpose) => {
      const row = signingKeyAt(rows, purpose, Math.floor(clock.nowMs() / 1_000));
      const signer = row === undefined ? undefined : signers.get(row.kid);
      return signer ?? missing(purpose);
    },
    signerIn: async (trx, purpose, now) => {
      const row = signingKeyAt(await holdSigningKeys(trx), purpose, now);
      return row === undefined ? missing(purpose) : signerOfRow(row);
    },
    signerOfKey: async (trx, kid) => {
      const row = (await holdSigningKeys(trx)).find((candidate) => candidate.kid === kid);
      return row === undefined ? undefined : signerOfRow(row);
    },
    reload: async () => {
      rows = await readOpened(parts, signers);
    },
  };
}

function missing(purpose: KeyPurpose): never {
  throw new TypeError(`there is no active key for ${purpose}`);
}

/** False before the very first start. */
export async function hasSigningKeys(db: Db): Promise<boolean> {
  return (await readSigningKeys(db)).length > 0;
}

/** The keys that may sign, each opened once; what may sign no more is forgotten. */
async function readOpened(parts: KeyParts, signers: Map<string, Signer>): Promise<readonly SigningKeyRow[]> {
  const rows = await readActiveKeys(parts.db);
  for (const row of rows) if (!signers.has(row.kid)) signers.set(row.kid, await openSigner(parts, row));
  for (const kid of signers.keys()) if (!rows.some((row) => row.kid === kid)) signers.delete(kid);
  return rows;
}

function openSigner({ sealer, mode }: KeyParts, row: SigningKeyRow): Promise<Signer> {
  return signerOf(openKey(sealer, row), { test: mode === "test" });
}

/** Under the lock, so that of several servers that start at once one makes the keys. */
async function ensureKeys({ sealer, clock }: KeyParts, trx: Trx): Promise<void> {
  await lockSigningKeys(trx);
  const active = new Set((await readActiveKeys(trx)).map((row) => row.purpose));
  const now = Math.floor(clock.nowMs() / 1_000);
  for (const purpose of PURPOSES) {
    if (!active.has(purpose)) await createKey(sealer, trx, { purpose, alg: "EdDSA", now, signsFrom: 0 });
  }
}
