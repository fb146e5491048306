import type { Trx } from "../db/open-database.ts";
import type { DatasetRow } from "./store.ts";

/** A number that no version ever had, also none that a restore lost: its manifest is kept by caches for a year. */
export async function nextVersion(
  trx: Trx,
  { dataset_id, current_version }: Pick<DatasetRow, "dataset_id" | "current_version">,
): Promise<number> {
  const lost = await trx
    .selectFrom("lost_version")
    .select("version")
    .where("dataset_id", "=", dataset_id)
    .executeTakeFirst();
  return Math.max(current_version, lost?.version ?? 0) + 1;
}
