import { type JsonObject, type PlatformKey, type PublicJwk, formatInstant } from "@licet/protocol";
import { type Insertable, type Selectable, type Updateable, sql } from "kysely";
import { ADVISORY_LOCKS } from "../db/advisory-locks.ts";
import type { Db, Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";

export type SigningKeyRow = Selectable<Tables["signing_key"]>;

/** The keys that may sign, held by whoever signs, together, until the commit. Of two who come later, the one who changes keys is not passed by. */
export async function holdSigningKeys(trx: Trx): Promise<readonly SigningKeyRow[]> {
  const { rows } =
    await sql<SigningKeyRow>`select * from hold_signing_keys(${ADVISORY_LOCKS.signingKeys}::bigint)`.execute(trx);
  return rows;
}

/** Held alone by whoever makes, hands over, retires or revokes keys: nobody signs meanwhile. */
export async function lockSigningKeys(trx: Trx): Promise<void> {
  await sql`select pg_advisory_xact_lock(${ADVISORY_LOCKS.signingKeys}::bigint)`.execute(trx);
}

export async function insertSigningKey(trx: Trx, row: Insertable<Tables["signing_key"]>): Promise<void> {
  await trx.insertInto("signing_key").values(row).execute();
}

export async function updateSigningKey(
  trx: Trx,
  kid: string,
  change: Updateable<Tables["signing_key"]>,
): Promise<void> {
  await trx.updateTable("signing_key").set(change).where("kid", "=", kid).execute();
}

export async function readSigningKeys(db: Db | Trx): Promise<readonly SigningKeyRow[]> {
  return db.selectFrom("signing_key").selectAll().orderBy("not_before").orderBy("kid").execute();
}

/** The keys that may sign. */
export async function readActiveKeys(db: Db | Trx): Promise<readonly SigningKeyRow[]> {
  return db.selectFrom("signing_key").selectAll().where("status", "=", "active").execute();
}

/**
 * The key that signs for a purpose at `now`: the newest if its time has come, otherwise the latest
 * of those that are being replaced. Where a clock is behind that of the server which made the only
 * key, it is that one all the same.
 */
export function signingKeyAt<T extends Pick<SigningKeyRow, "purpose" | "status" | "signs_from" | "retire_at">>(
  rows: readonly T[],
  purpose: SigningKeyRow["purpose"],
  now: number,
): T | undefined {
  const active = rows
    .filter((row) => row.purpose === purpose && row.status === "active")
    .toSorted((left, right) => left.signs_from - right.signs_from);
  const come = active.filter((row) => row.signs_from <= now);
  return come.findLast((row) => row.retire_at === null) ?? come.at(-1) ?? active[0];
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

/** What an event says of a key: as much as a restore needs to list it although its row is lost. */
export function keyBody({ kid, purpose, public_jwk, not_before, not_after }: SigningKeyRow): JsonObject {
  return { kid, purpose, public_jwk, not_before, not_after };
}
