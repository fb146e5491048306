import { type Result, accept, formatInstant, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { readStatesForWebhooks } from "../datasets/lookup.ts";
import { readLastPosition } from "../events/feed-store.ts";
import { readersOf } from "../events/event-readers.ts";
import { readEventBody } from "../events/store.ts";
import { type Page, cutPage } from "../http/parameters.ts";
import { type Principal, callerKey } from "../http/principal.ts";
import { readOwnJson } from "../db/own-json.ts";
import { describeChange, findSentBodies } from "../webhooks/lookup.ts";
import { type FeedRow, type Range, readAllEvents, readCreatorsEvents, readMarketplacesEvents } from "./store.ts";
import type { WaitingReaders } from "./waiting-readers.ts";

/** An event as the platform and creators read it, and marketplaces what is about themselves; `body` is absent once it was erased, or is not for the reader. */
export interface EventView {
  readonly position: string;
  readonly event_id: string;
  readonly type: string;
  readonly at: string;
  readonly aggregate: string;
  readonly body?: Readonly<Record<string, unknown>>;
}

/** An event in an offered dataset as a marketplace reads it: the body of a webhook. */
export interface WebhookView {
  readonly position: string;
  readonly at: string;
  readonly webhook: Readonly<Record<string, unknown>>;
}

export interface EventPage {
  readonly events: readonly (EventView | WebhookView)[];
  readonly next: string | null;
  /** Nothing that the reader may see is, or will be, at or below this position and not shown. */
  readonly up_to: string;
}

export interface EventQuery extends Page {
  readonly waitSeconds: number;
  /** Aborted when the reader has gone. */
  readonly signal: AbortSignal;
}

/** What asks for the feed's end instead of its beginning. */
export const LATEST = "latest";

/**
 * What happened that the caller may see, in the order of its positions; with `waitSeconds`, an empty
 * page is held back until there is something. Refuses `input_invalid`, and what {@link WaitingReaders} refuses.
 */
export async function readEvents(
  ctx: Context,
  readers: WaitingReaders,
  { principal, query }: { readonly principal: Principal; readonly query: EventQuery },
): Promise<Result<EventPage>> {
  const last = await readLastPosition(ctx.db);
  const after = query.after === LATEST ? accept(last) : positionOf(query.after);
  if (!after.ok) return after;
  if (query.waitSeconds === 0)
    return accept(await readPage(ctx, principal, { after: after.value, limit: query.limit }));
  const wait = { caller: callerKey(principal), seconds: query.waitSeconds, signal: query.signal };
  return readers.untilSomething(wait, async () => {
    const page = await readPage(ctx, principal, { after: after.value, limit: query.limit });
    return accept({ isSomething: page.events.length > 0, value: page });
  });
}

async function readPage(ctx: Context, principal: Principal, range: Range): Promise<EventPage> {
  // Read first: what comes up to here is committed, so the next look sees all of it.
  const last = await readLastPosition(ctx.db);
  const found = await readRows(ctx, principal, { ...range, limit: range.limit + 1 });
  const { rows, next } = cutPage(found, range.limit, (row) => String(row.position));
  const upTo = next ?? String(Math.max(last, range.after, rows.at(-1)?.position ?? 0));
  return { events: await viewsOf(ctx, principal, rows), next, up_to: upTo };
}

async function readRows(ctx: Context, principal: Principal, range: Range): Promise<readonly FeedRow[]> {
  switch (principal.kind) {
    case "operator":
    case "platform":
      return readAllEvents(ctx.db, range);
    case "marketplace":
      return readMarketplacesEvents(ctx.db, principal.marketplaceId, range);
    case "creator":
      return readCreatorsEvents(ctx.db, principal.creatorId, range);
    case "upstream":
    case "anonymous":
      return [];
  }
}

async function viewsOf(
  ctx: Context,
  principal: Principal,
  rows: readonly FeedRow[],
): Promise<readonly (EventView | WebhookView)[]> {
  if (principal.kind === "marketplace") {
    const told = await webhookViews(
      ctx,
      principal.marketplaceId,
      rows.filter((row) => row.audience === "offer"),
    );
    const own = rows.filter((row) => row.audience !== "offer").map((row) => eventView(principal, row));
    return [...told, ...own].sort((left, right) => Number(left.position) - Number(right.position));
  }
  return rows.map((row) => eventView(principal, row));
}

function eventView(principal: Principal, row: FeedRow): EventView {
  return {
    position: String(row.position),
    event_id: row.event_id,
    type: row.type,
    at: instantOf(row),
    aggregate: row.aggregate,
    ...bodyFor(principal, row),
  };
}

/** What creators read of a dataset that holds their works: not who did it, nor in which words. */
const FOR_HELD = ["dataset_id", "version", "manifest_sha256", "items_root", "at"];

/** Bodies hold pseudonyms, and reasons in free words, so each reader gets what they could read elsewhere too. */
function bodyFor(principal: Principal, { event_id, type, audience, body: text }: FeedRow): Pick<EventView, "body"> {
  if (text === null || (principal.kind === "platform" && readersOf(type).platform === "bare")) return {};
  const body = readEventBody(event_id, text);
  if (audience === "marketplace") {
    const { by: _whoDecided, ...own } = body;
    return { body: own };
  }
  if (audience !== "dataset") return { body };
  return { body: Object.fromEntries(Object.entries(body).filter(([member]) => FOR_HELD.includes(member))) };
}

/** The webhook that was sent, where one was, so that it is known by its `event_id`; otherwise what it would say. */
async function webhookViews(
  ctx: Context,
  marketplaceId: string,
  rows: readonly FeedRow[],
): Promise<readonly WebhookView[]> {
  if (rows.length === 0) return [];
  const named = rows.map((row) => ({ row, eventId: row.event_id, datasetId: row.audience_id }));
  const sentBodyOf = await findSentBodies(ctx.db, marketplaceId, named);
  const states = await readStatesForWebhooks(
    ctx.db,
    named.map(({ datasetId }) => datasetId),
  );
  return named.flatMap(({ row, ...name }) => {
    const shown = { position: String(row.position), at: instantOf(row) };
    const sent = sentBodyOf(name);
    if (sent !== undefined) return [{ ...shown, webhook: readOwnJson(sent, `the webhook of ${row.event_id}`) }];
    const dataset = states.get(name.datasetId);
    const event = { type: row.type, aggregate: row.aggregate, atMs: row.at_ms };
    const messageId = row.message_id ?? row.event_id;
    const told =
      dataset === undefined ? undefined : describeChange(ctx, event, { datasetId: name.datasetId, messageId, dataset });
    return told === undefined ? [] : [{ ...shown, webhook: { ...told } }];
  });
}

function positionOf(cursor: string | undefined): Result<number> {
  const position = cursor === undefined ? 0 : Number(/^\d{1,16}$/.exec(cursor)?.[0] ?? Number.NaN);
  return Number.isSafeInteger(position)
    ? accept(position)
    : refuse(
        "input_invalid",
        `query.after: expected a position that a page named, or ${LATEST}, got ${JSON.stringify(cursor)}`,
      );
}

function instantOf({ at_ms }: FeedRow): string {
  return formatInstant(Math.floor(at_ms / 1_000));
}
