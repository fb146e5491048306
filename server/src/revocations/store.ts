import type { Db, Trx } from "../db/open-database.ts";
import { REVOCATIONS_PER_PAGE } from "@licet/protocol";

export interface NewRevocation {
  readonly jti: string;
  readonly revokedAt: number;
  readonly listedUntil: number;
}

/** Rows that one statement inserts; their parameters stay far below the protocol's 65 535. */
const INSERT_BATCH = 1_000;

/** Appends to the view after its last sequence. The caller holds the view's lock, so that sequences come one after the other; none was in it before. */
export async function appendRevocations(trx: Trx, last: number, revocations: readonly NewRevocation[]): Promise<void> {
  const rows = revocations.map(({ jti, revokedAt, listedUntil }, index) => ({
    sequence: last + index + 1,
    jti,
    revoked_at: revokedAt,
    listed_until: listedUntil,
  }));
  for (let at = 0; at < rows.length; at += INSERT_BATCH)
    await trx
      .insertInto("revocation")
      .values(rows.slice(at, at + INSERT_BATCH))
      .execute();
}

export async function lastSequence(db: Db | Trx): Promise<number> {
  const row = await db
    .selectFrom("revocation")
    .select("sequence")
    .orderBy("sequence", "desc")
    .limit(1)
    .executeTakeFirst();
  return row?.sequence ?? 0;
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
