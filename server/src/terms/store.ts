import type { Insertable, Selectable } from "kysely";
import type { Db, Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";

export type TermsRow = Selectable<Tables["terms"]>;

export async function insertTerms(trx: Trx, row: Insertable<Tables["terms"]>): Promise<void> {
  await trx.insertInto("terms").values(row).execute();
}

export async function findTerms(db: Db | Trx, license: string, language: string): Promise<TermsRow | undefined> {
  return db
    .selectFrom("terms")
    .selectAll()
    .where("license", "=", license)
    .where("language", "=", language)
    .executeTakeFirst();
}

export async function languagesOf(db: Db | Trx, license: string): Promise<readonly string[]> {
  const rows = await db
    .selectFrom("terms")
    .select("language")
    .where("license", "=", license)
    .orderBy("is_default", "desc")
    .orderBy("language")
    .execute();
  return rows.map((row) => row.language);
}
