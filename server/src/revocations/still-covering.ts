import { readOverlapping } from "../consents/lookup.ts";
import type { Trx } from "../db/open-database.ts";

/**
 * The creator's standing consents that reach works of the ones just taken back: said in the
 * answer, so that nobody believes a work is out that another consent still covers. A work that was
 * withdrawn is out, whatever consent there is.
 */
export async function readStillCovering(
  trx: Trx,
  {
    creatorId,
    subjects,
    contentIds,
  }: { readonly creatorId: string; readonly subjects: readonly string[]; readonly contentIds: readonly string[] },
): Promise<readonly string[]> {
  if (contentIds.length > 0 || subjects.length === 0) return [];
  return readOverlapping(trx, creatorId, [...new Set(subjects)]);
}
