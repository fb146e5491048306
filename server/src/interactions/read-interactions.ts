import { type Result, accept, formatInstant, parseInstant, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { readVersionsOfCreator } from "../datasets/lookup.ts";
import { requireOwn } from "../creators/own.ts";
import { type Page, cutPage } from "../http/parameters.ts";
import type { Principal } from "../http/principal.ts";
import { type InteractionCursor, type InteractionFilter, type InteractionRow, readInteractions } from "./store.ts";

/** A call as the API shows it. Members that do not apply are absent. */
export interface InteractionView {
  readonly request_id: string;
  readonly at: string;
  readonly caller: {
    readonly kind: InteractionRow["caller_kind"];
    readonly client_id?: string;
    readonly marketplace_id?: string;
    readonly creator_id?: string;
    readonly upstream_id?: string;
  };
  readonly method: string;
  readonly route: string;
  readonly dataset_id?: string;
  readonly dataset_version?: number;
  readonly status: number;
  readonly code?: string;
  readonly duration_ms: number;
}

export interface InteractionPage {
  readonly interactions: readonly InteractionView[];
  readonly next: string | null;
}

export interface InteractionQuery extends Page {
  readonly clientId?: string | undefined;
  readonly marketplaceId?: string | undefined;
  readonly datasetId?: string | undefined;
  readonly from?: string | undefined;
  readonly until?: string | undefined;
}

/** Every call, newest first. Refuses (`input_invalid`) cursors and instants that are none. */
export async function listInteractions(ctx: Context, query: InteractionQuery): Promise<Result<InteractionPage>> {
  const { clientId, marketplaceId, datasetId } = query;
  const datasetIds = datasetId === undefined ? undefined : [datasetId];
  return readPage(ctx, query, { clientId, marketplaceId, datasetIds });
}

/**
 * The calls that concern datasets with works of a creator, newest first: those about a version only
 * when a work of theirs is in it. What other creators did is left out. Refuses also `not_yours`, of a dataset that holds no work of theirs too.
 */
export async function listCreatorsInteractions(
  ctx: Context,
  principal: Principal,
  query: InteractionQuery & { readonly creatorId: string },
): Promise<Result<InteractionPage>> {
  const { creatorId, datasetId, marketplaceId } = query;
  const own = requireOwn(principal, creatorId);
  if (!own.ok) return own;
  const all = await readVersionsOfCreator(ctx.db, creatorId);
  const versions = datasetId === undefined ? all : all.filter((version) => version.dataset_id === datasetId);
  if (datasetId !== undefined && versions.length === 0)
    return refuse("not_yours", `the dataset ${datasetId} holds no work of ${creatorId}`);
  const datasetIds = [...new Set(versions.map((version) => version.dataset_id))];
  return readPage(ctx, query, { datasetIds, marketplaceId, seenBy: { creatorId, versions } });
}

async function readPage(
  ctx: Context,
  query: InteractionQuery,
  filter: Omit<InteractionFilter, "limit">,
): Promise<Result<InteractionPage>> {
  const before = cursorOf(query.after);
  if (!before.ok) return before;
  const fromMs = instantOf("from", query.from);
  if (!fromMs.ok) return fromMs;
  const untilMs = instantOf("until", query.until);
  if (!untilMs.ok) return untilMs;
  const times = { before: before.value, fromMs: fromMs.value, untilMs: untilMs.value };
  const found = await readInteractions(ctx.db, { ...filter, ...times, limit: query.limit });
  const { rows, next } = cutPage(found, query.limit, (row) => `${row.at_ms}-${row.request_id}`);
  return accept({ interactions: rows.map(viewOf), next });
}

function cursorOf(cursor: string | undefined): Result<InteractionCursor | undefined> {
  if (cursor === undefined) return accept(undefined);
  const [, atMs, requestId] = /^(\d{1,15})-(req_[0-9A-Z]{26})$/.exec(cursor) ?? [];
  return atMs === undefined || requestId === undefined
    ? refuse("input_invalid", `query.after: expected a cursor that a page named as next, got ${JSON.stringify(cursor)}`)
    : accept({ atMs: Number(atMs), requestId });
}

function instantOf(name: string, text: string | undefined): Result<number | undefined> {
  if (text === undefined) return accept(undefined);
  const seconds = parseInstant(text);
  return seconds === undefined
    ? refuse("input_invalid", `query.${name}: expected an instant such as 2026-01-18T12:05:00Z, got ${text}`)
    : accept(seconds * 1_000);
}

function viewOf(row: InteractionRow): InteractionView {
  const { client_id, marketplace_id, creator_id, upstream_id, dataset_id, dataset_version, code } = row;
  return {
    request_id: row.request_id,
    at: formatInstant(Math.floor(row.at_ms / 1_000)),
    caller: {
      kind: row.caller_kind,
      ...(client_id === null ? {} : { client_id }),
      ...(marketplace_id === null ? {} : { marketplace_id }),
      ...(creator_id === null ? {} : { creator_id }),
      ...(upstream_id === null ? {} : { upstream_id }),
    },
    method: row.method,
    route: row.route,
    ...(dataset_id === null ? {} : { dataset_id }),
    ...(dataset_version === null ? {} : { dataset_version }),
    status: row.status,
    ...(code === null ? {} : { code }),
    duration_ms: row.duration_ms,
  };
}
