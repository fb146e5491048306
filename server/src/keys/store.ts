import { type PlatformKey, type PublicJwk, formatInstant } from "@licet/protocol";
import type { Insertable, Selectable } from "kysely";
import type { Db, Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";

export type SigningKeyRow = Selectable<Tables["signing_key"]>;

export async function insertSigningKey(trx: Trx, row: Insertable<Tables["signing_key"]>): Promise<void> {
  await trx.insertInto("signing_key").values(row).execute();
}

export async function readSigningKeys(db: Db | Trx): Promise<readonly SigningKeyRow[]> {
  return db.selectFrom("signing_key").selectAll().orderBy("not_before").orderBy("kid").execute();
}

/** The public half of a row, as it is published. */
export function platformKeyOf(row: SigningKeyRow): PlatformKey {
  const jwk: PublicJwk = JSON.parse(row.public_jwk);
  return {
    kid: row.kid,
    alg: row.alg,
    jwk,
    purpose: row.purpose,
    status: row.status,
    not_before: formatInstant(row.not_before),
    not_after: formatInstant(row.not_after),
    ...(row.revoked_at === null ? {} : { revoked_at: formatInstant(row.revoked_at) }),
    ...(row.compromised_since === null ? {} : { compromised_since: formatInstant(row.compromised_since) }),
  };
}
