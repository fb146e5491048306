import type { Leg } from "../db/propagation-tables.ts";
import { type Result, accept, formatInstant, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { type Page, cutPage } from "../http/parameters.ts";
import { type Principal, isPlatform } from "../http/principal.ts";
import { type FoundRevocation, findRevocation } from "./find-revocation.ts";
import { type LegRow, type LegSum, readLegPage, sumLegs } from "./store.ts";

/** A refusal, before its legs. Times ending in `_ms` are milliseconds: `at_ms` since the epoch, the others since the refusal. */
export interface RevocationHead {
  readonly revocation_id: string;
  readonly type: string;
  /** What it is about: a jti, a work, a dataset, a license. */
  readonly aggregate: string;
  readonly at: string;
  readonly at_ms: number;
  readonly done: boolean;
  readonly timeline_url: string;
}

/** The legs of one kind, added up. */
export interface LegSumView {
  readonly leg: Leg;
  readonly targets: number;
  readonly done: number;
  readonly waiting: number;
  readonly failed: number;
  readonly first_ms?: number;
  readonly last_ms?: number;
}

/** One leg: a cache, an edge, an endpoint, a marketplace. */
export interface LegView {
  readonly leg: Leg;
  /** As it is configured; to a creator the kind and a number, such as `purge 1`. */
  readonly target: string;
  readonly marketplace_id?: string;
  readonly dataset_id?: string;
  readonly state: LegRow["state"];
  readonly at_ms?: number;
  readonly took_ms?: number;
  readonly attempts: number;
  readonly last_error?: string;
}

export interface Timeline extends RevocationHead {
  readonly legs: readonly LegSumView[];
  readonly entries: readonly LegView[];
  readonly next: string | null;
}

/** Legs whose targets are addresses and names of endpoints. */
const INTERNAL: readonly Leg[] = ["purge", "edge", "webhook"];

/** The legs in the order in which a refusal takes them. */
const ORDER = ["committed", "purge", "edge", "webhook", "acknowledgement"] as const satisfies readonly Leg[];

/** How far a refusal has come, with a page of its legs. Refuses `not_found` and `input_invalid`. */
export async function readTimeline(
  ctx: Context,
  id: string,
  { principal, page }: { readonly principal: Principal; readonly page: Page },
): Promise<Result<Timeline>> {
  const after = cursorOf(page.after);
  if (!after.ok) return after;
  const found = await findRevocation(ctx, id, principal);
  if (!found.ok) return found;
  const { row, filter } = found.value;
  const sums = await sumLegs(ctx.db, filter);
  const legs = await readLegPage(ctx.db, filter, { after: after.value, limit: page.limit });
  const { rows, next } = cutPage(legs, page.limit, ({ leg, number }) => `${leg}/${number}`);
  return accept({
    ...headOf(ctx, found.value),
    legs: ORDER.flatMap((name) => sums.filter(({ leg }) => leg === name).map((sum) => sumView(sum, row.at_ms))),
    entries: rows.map((leg) => legView(leg, { principal, atMs: row.at_ms })),
    next,
  });
}

export function headOf(ctx: Context, { row, event }: FoundRevocation): RevocationHead {
  return {
    revocation_id: row.event_id,
    type: row.type,
    aggregate: event.aggregate,
    at: formatInstant(Math.floor(row.at_ms / 1_000)),
    at_ms: row.at_ms,
    done: row.is_done,
    timeline_url: `${ctx.origin}/api/v1/revocations/${row.event_id}`,
  };
}

/**
 * Where a cache or an endpoint is, and why it did not answer, is for whoever runs it, and for the platform: to a
 * creator it is one of its kind, with a number that stays.
 */
export function legView(
  { leg, target, number, marketplace_id, dataset_id, state, at_ms, attempts, last_error }: LegRow,
  { principal, atMs }: { readonly principal: Principal; readonly atMs: number },
): LegView {
  const isTold = isPlatform(principal) || principal.kind === "marketplace";
  return {
    leg,
    target: isTold || !INTERNAL.includes(leg) ? target : `${leg} ${number}`,
    ...(marketplace_id === null ? {} : { marketplace_id }),
    ...(dataset_id === null ? {} : { dataset_id }),
    state,
    ...(at_ms === null ? {} : { at_ms, took_ms: Math.max(0, at_ms - atMs) }),
    attempts,
    ...(last_error === null || !isTold ? {} : { last_error }),
  };
}

function sumView({ leg, targets, done, failed, first_at_ms, last_at_ms }: LegSum, atMs: number): LegSumView {
  return {
    leg,
    targets,
    done,
    waiting: targets - done - failed,
    failed,
    ...(first_at_ms === null ? {} : { first_ms: Math.max(0, first_at_ms - atMs) }),
    ...(last_at_ms === null ? {} : { last_ms: Math.max(0, last_at_ms - atMs) }),
  };
}

function cursorOf(cursor: string | undefined): Result<Pick<LegRow, "leg" | "number"> | undefined> {
  if (cursor === undefined) return accept(undefined);
  const leg = ORDER.find((name) => cursor.startsWith(`${name}/`));
  const number = /^\d{1,9}$/.exec(cursor.slice((leg?.length ?? 0) + 1))?.[0];
  return leg === undefined || number === undefined
    ? refuse("input_invalid", `query.after: expected a cursor that a page named as next, got ${JSON.stringify(cursor)}`)
    : accept({ leg, number: Number(number) });
}
