import { parseSubject } from "@licet/protocol";
import { readSubjects } from "../consents/lookup.ts";
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
    jtis,
    contentIds,
  }: { readonly creatorId: string; readonly jtis: readonly string[]; readonly contentIds: readonly string[] },
): Promise<readonly string[]> {
  if (contentIds.length > 0) return [];
  const subjects = new Set((await readSubjects(trx, { jtis })).map((row) => row.subject));
  const standing = await readSubjects(trx, { standingOf: creatorId });
  return standing
    .filter((row) => [...subjects].some((subject) => overlaps(subject, row.subject)))
    .map((row) => row.jti);
}

/** Two subjects of one creator overlap unless both name a single thing and not the same one. */
function overlaps(left: string, right: string): boolean {
  const [first, second] = [parseSubject(left), parseSubject(right)];
  if (first === undefined || second === undefined) return false;
  return first.kind !== second.kind || first.id === second.id;
}
