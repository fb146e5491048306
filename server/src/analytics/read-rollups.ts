import { type Result, accept, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { readDatasetIdsOfCreator } from "../datasets/lookup.ts";
import { cutPage } from "../http/parameters.ts";
import type { Principal } from "../http/principal.ts";
import { type RollupName, afterOf, columnsOf, cursorOf, dayOf } from "./group-by.ts";
import {
  type EarningSums,
  type GroupKey,
  type RollupFilters,
  type RollupQuery,
  type UsageSums,
  sumEarnings,
  sumUsage,
} from "./query-store.ts";

/** What a caller asks of a rollup, as it came. */
export interface Asked {
  readonly groupBy: string | undefined;
  readonly from: string | undefined;
  readonly until: string | undefined;
  readonly filters: RollupFilters;
  readonly after: string | undefined;
  readonly limit: number;
}

export interface Groups<T> {
  readonly groups: readonly (GroupKey & T)[];
  readonly next: string | null;
}

/** Usage without units where they are not told apart: tokens and images do not add up. */
export type UsageGroup = Omit<UsageSums, "units"> & { readonly units?: string };

/**
 * Usage and what was charged for it, by group: to the platform all, to a marketplace its own, to a
 * creator that of versions with works of theirs, as receipts are. Refuses `input_invalid` and `not_yours`.
 */
export async function readUsage(ctx: Context, principal: Principal, asked: Asked): Promise<Result<Groups<UsageGroup>>> {
  const query = queryOf("usage", asked);
  if (!query.ok) return query;
  const visible = await visibleUsage(ctx, principal, asked.filters);
  if (!visible.ok) return visible;
  const found = await sumUsage(ctx.db, { ...query.value, ...visible.value });
  const { groups, next } = pageOfGroups(found, query.value);
  const hasUnits = query.value.columns.includes("unit");
  return accept({ groups: groups.map(({ units, ...group }) => (hasUnits ? { ...group, units } : group)), next });
}

/** What creators got, by group: to the platform all, to a creator their own. Refuses `input_invalid` and `not_yours`. */
export async function readEarnings(
  ctx: Context,
  principal: Principal,
  asked: Asked,
): Promise<Result<Groups<EarningSums>>> {
  const query = queryOf("earnings", asked);
  if (!query.ok) return query;
  const filters = ownOnly(asked.filters, "creator_id", principal.kind === "creator" ? principal.creatorId : undefined);
  if (!filters.ok) return filters;
  return accept(pageOfGroups(await sumEarnings(ctx.db, { ...query.value, filters: filters.value }), query.value));
}

function queryOf(rollup: RollupName, { groupBy, from, until, filters, after, limit }: Asked): Result<RollupQuery> {
  const columns = columnsOf(rollup, groupBy);
  if (!columns.ok) return columns;
  const first = dayOf("from", from);
  if (!first.ok) return first;
  const end = dayOf("until", until);
  if (!end.ok) return end;
  const last = afterOf(columns.value, after);
  if (!last.ok) return last;
  return accept({
    columns: columns.value,
    from: first.value,
    until: end.value,
    filters,
    creatorId: undefined,
    after: last.value,
    limit,
  });
}

function pageOfGroups<T>(found: readonly (GroupKey & T)[], { columns, limit }: RollupQuery): Groups<T> {
  const { rows, next } = cutPage(found, limit, (row) => cursorOf(columns, row));
  return { groups: rows, next };
}

async function visibleUsage(
  ctx: Context,
  principal: Principal,
  filters: RollupFilters,
): Promise<Result<Pick<RollupQuery, "filters" | "creatorId">>> {
  if (principal.kind === "creator") {
    const { dataset_id } = filters;
    const isOwn =
      dataset_id === undefined || (await readDatasetIdsOfCreator(ctx.db, principal.creatorId)).includes(dataset_id);
    return isOwn
      ? accept({ filters, creatorId: principal.creatorId })
      : refuse("not_yours", `the dataset ${dataset_id} holds no work of yours`);
  }
  const marketplaceId = principal.kind === "marketplace" ? principal.marketplaceId : undefined;
  const own = ownOnly(filters, "marketplace_id", marketplaceId);
  return own.ok ? accept({ filters: own.value, creatorId: undefined }) : own;
}

/** Keeps a caller to what is theirs; `own` is undefined for those who may see everything. */
function ownOnly(
  filters: RollupFilters,
  column: "creator_id" | "marketplace_id",
  own: string | undefined,
): Result<RollupFilters> {
  if (own === undefined) return accept(filters);
  const asked = filters[column] ?? own;
  return asked === own
    ? accept({ ...filters, [column]: own })
    : refuse("not_yours", `expected your own ${column}, got ${asked}`);
}
