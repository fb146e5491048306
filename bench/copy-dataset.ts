import { sql } from "kysely";
import type { Db } from "../server/src/db/open-database.ts";

/**
 * Adds copies of a published dataset, row by row as it stands in the database: publishing as many
 * would take longer than what is measured. Their documents are the original's until they are signed
 * again.
 */
export async function copyDataset(db: Db, datasetId: string, count: number): Promise<void> {
  const copies = sql`generate_series(1, ${count}::int) as copy`;
  const name = sql`${datasetId}::text || '-' || copy`;
  for (const table of ["dataset", "dataset_version", "dataset_item", "dataset_consent"])
    await sql`
      insert into ${sql.table(table)}
      select made.*
        from ${sql.table(table)} as original, ${copies},
             jsonb_populate_record(original, jsonb_build_object('dataset_id', ${name})) as made
       where original.dataset_id = ${datasetId}`.execute(db);
  await sql`
    insert into document
    select made.*
      from document as original, ${copies},
           jsonb_populate_record(original, jsonb_build_object(
             'path', replace(original.path, ${datasetId}, ${name}),
             'content', replace(original.content, ${datasetId}, ${name}))) as made
     where position(${datasetId} in original.path) > 0`.execute(db);
  await sql`analyze`.execute(db);
}
