import { type Result, accept, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { cutPage } from "../http/parameters.ts";
import type { Principal } from "../http/principal.ts";
import { type FindingFilter, type FindingRow, type ListRow, readFindings, readLists } from "./finding-store.ts";

export interface FindingPage {
  readonly rows: readonly FindingRow[];
  readonly next: string | null;
  readonly lists: readonly ListRow[];
}

/** What is wrong with the lists of models: the platform sees all, a marketplace its own. Refuses `not_yours`. */
export async function listFindings(
  ctx: Context,
  principal: Principal,
  query: FindingFilter,
): Promise<Result<FindingPage>> {
  const own = principal.kind === "marketplace" ? principal.marketplaceId : undefined;
  const marketplaceId = query.marketplaceId ?? own;
  if (own !== undefined && marketplaceId !== own)
    return refuse("not_yours", `expected your own models, got ${marketplaceId}`);
  const found = await readFindings(ctx.db, { ...query, marketplaceId });
  const page = cutPage(found, query.limit, (row) => `${row.marketplace_id}/${row.fingerprint}/${row.kind}`);
  const named = [
    ...new Set([
      ...page.rows.map((row) => row.marketplace_id),
      ...(marketplaceId === undefined ? [] : [marketplaceId]),
    ]),
  ];
  return accept({ ...page, lists: await readLists(ctx.db, named) });
}
