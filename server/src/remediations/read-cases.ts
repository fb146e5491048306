import { type Result, accept, refuse } from "@licet/protocol";
import { type Context, nowSeconds } from "../context.ts";
import { eventsOf } from "../events/store.ts";
import { type Page, cutPage } from "../http/parameters.ts";
import type { Principal } from "../http/principal.ts";
import {
  type CaseFilter,
  type CaseRow,
  type MessageRow,
  findCase,
  readCases,
  readGrounds,
  readMessages,
  readOffers,
} from "./store.ts";

/** Grounds that one answer names. */
const MAX_GROUNDS = 1_000;

/** A case, to a side in it. Refuses `not_found` and `not_yours`. */
export function checkSide(row: CaseRow | undefined, caseId: string, principal: Principal): Result<CaseRow> {
  if (row === undefined) return refuse("not_found", `there is no remediation ${caseId}`);
  const isOthers =
    (principal.kind === "creator" && principal.creatorId !== row.creator_id) ||
    (principal.kind === "marketplace" && principal.marketplaceId !== row.marketplace_id);
  return isOthers ? refuse("not_yours", `the remediation ${caseId} is between others`) : accept(row);
}

export type CaseQuery = Omit<CaseFilter, "overdueAt"> & { readonly isOverdue: boolean };

/** The cases that the caller is a side in; to the platform all. Refuses `not_yours`. */
export async function listCases(
  ctx: Context,
  principal: Principal,
  { isOverdue, ...query }: CaseQuery,
): Promise<Result<{ readonly rows: readonly CaseRow[]; readonly next: string | null }>> {
  if (principal.kind === "marketplace" && query.creatorId !== undefined)
    return refuse("not_yours", "creators are not known to marketplaces by name");
  const creatorId = ownOnly(query.creatorId, principal.kind === "creator" ? principal.creatorId : undefined);
  if (!creatorId.ok) return creatorId;
  const marketplaceId = ownOnly(
    query.marketplaceId,
    principal.kind === "marketplace" ? principal.marketplaceId : undefined,
  );
  if (!marketplaceId.ok) return marketplaceId;
  const found = await readCases(ctx.db, {
    ...query,
    creatorId: creatorId.value,
    marketplaceId: marketplaceId.value,
    overdueAt: isOverdue ? nowSeconds(ctx) : undefined,
  });
  return accept(cutPage(found, query.limit, (row) => row.case_id));
}

function ownOnly(asked: string | undefined, own: string | undefined): Result<string | undefined> {
  if (own === undefined || asked === undefined || asked === own) return accept(own ?? asked);
  return refuse("not_yours", `expected your own remediations, got ${asked}'s`);
}

/** One case: what was taken back, what was offered, and every step. */
export async function readCase(ctx: Context, principal: Principal, caseId: string) {
  const row = checkSide(await findCase(ctx.db, caseId), caseId, principal);
  if (!row.ok) return row;
  return accept({
    row: row.value,
    grounds: await readGrounds(ctx.db, caseId, MAX_GROUNDS),
    offers: await readOffers(ctx.db, caseId),
    history: await eventsOf(ctx.db, caseId),
  });
}

/** A case as {@link readCase} answers it. */
export type WholeCase = Extract<Awaited<ReturnType<typeof readCase>>, { ok: true }>["value"];

export async function listMessages(
  ctx: Context,
  principal: Principal,
  { caseId, ...page }: Page & { readonly caseId: string },
): Promise<Result<{ readonly rows: readonly MessageRow[]; readonly next: string | null }>> {
  const row = checkSide(await findCase(ctx.db, caseId), caseId, principal);
  if (!row.ok) return row;
  return accept(cutPage(await readMessages(ctx.db, caseId, page), page.limit, (message) => message.message_id));
}
