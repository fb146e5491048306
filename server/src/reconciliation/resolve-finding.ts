import { type Result, accept, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { writeFact } from "../events/write-fact.ts";
import { type FindingRow, holdFinding, resolveFinding } from "./store.ts";

/**
 * Says of an open finding that a person has dealt with it, and how. It stays so for as long as its
 * cause is there; if the cause goes and comes back, the finding is open again. Refuses `not_found`,
 * and `conflict` unless it is open.
 */
export async function resolve(
  ctx: Context,
  findingId: string,
  { note, by }: { readonly note: string; readonly by: string },
): Promise<Result<FindingRow>> {
  return writeFact<FindingRow>(ctx, async (fact) => {
    const row = await holdFinding(fact.trx, findingId);
    if (row === undefined) return refuse("not_found", `there is no finding ${findingId}`);
    if (row.state === "resolved" && row.note === note) return accept(row);
    if (row.state !== "open")
      return refuse("conflict", `expected an open finding, got ${findingId}, which is ${row.state}`);
    const resolved = await resolveFinding(fact.trx, findingId, { resolved_at: fact.now, resolved_by: by, note });
    const body = { finding_id: findingId, kind: row.kind, subject: row.subject, note, by };
    fact.record({ type: "finding.resolved", aggregate: findingId, body });
    return accept(resolved);
  });
}
