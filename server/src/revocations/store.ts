import { sql } from "kysely";
import { ADVISORY_LOCKS } from "../db/advisory-locks.ts";
import type { Db, Trx } from "../db/open-database.ts";
import { REVOCATIONS_PER_PAGE } from "@licet/protocol";

export interface NewRevocation {
  readonly jti: string;
  readonly listedUntil: number;
}

/** Appends to the view, of which none was in it before, and answers the last sequence before them. */
export async function appendRevocations(
  trx: Trx,
  revocations: readonly NewRevocation[],
  revokedAt: number,
): Promise<number> {
  const { rows } = await sql<{ last: number }>`
    select append_revocations(
      ${ADVISORY_LOCKS.revocationView}::bigint, ${revocations.map((row) => row.jti)}::text[], ${revokedAt}::bigint,
      ${revocations.map((row) => row.listedUntil)}::bigint[]) as last`.execute(trx);
  return rows[0]?.last ?? 0;
}

/** A page holds the sequences page × size + 1 to (page + 1) × size. */
export async function readRevocationPage(
  db: Db | Trx,
  page: number,
  now: number,
): Promise<readonly { readonly jti: string; readonly revoked_at: number }[]> {
  return db
    .selectFrom("revocation")
    .select(["jti", "revoked_at"])
    .where("sequence", ">", page * REVOCATIONS_PER_PAGE)
    .where("sequence", "<=", (page + 1) * REVOCATIONS_PER_PAGE)
    .where("listed_until", ">", now)
    .orderBy("sequence")
    .execute();
}
