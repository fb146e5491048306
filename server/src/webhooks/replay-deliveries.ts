import { type Result, accept, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { type EndpointName, type EndpointRow, findOwnEndpoint } from "../marketplaces/lookup.ts";
import { addTestDelivery } from "./fan-out.ts";
import { type DeliveryState, type ReadDelivery, countWaiting, makeDue, readDeliveries } from "./store.ts";

/** Which of an endpoint's deliveries to send again. */
export interface ReplayRange {
  readonly datasetId: string | undefined;
  readonly sinceMs: number | undefined;
  readonly untilMs: number | undefined;
  readonly states: readonly DeliveryState[];
}

export interface Replayed {
  readonly count: number;
  /** Where another replay goes on when this one was full; milliseconds since the epoch. */
  readonly nextSinceMs: number | undefined;
}

/** Deliveries in one replay. */
const MAX_REPLAY = 10_000;
/** Test messages that one endpoint may have waiting. */
const MAX_TESTS = 10;

/** A delivery of this marketplace's, or of anybody's for the operator. Refuses `not_found`. */
export async function findOwnDelivery(
  ctx: Pick<Context, "db">,
  messageId: string,
  marketplaceId: string | undefined,
): Promise<Result<ReadDelivery>> {
  const [delivery] = await readDeliveries(ctx.db, { messageId, marketplaceId }, { after: undefined, limit: 1 });
  return delivery === undefined ? refuse("not_found", `there is no delivery ${messageId}`) : accept(delivery);
}

/** Sends one delivery again: the same event_id, sequence and body. Refuses `not_found` and `conflict`. */
export async function replayDelivery(
  ctx: Context,
  messageId: string,
  marketplaceId: string | undefined,
): Promise<Result<ReadDelivery>> {
  const delivery = await findOwnDelivery(ctx, messageId, marketplaceId);
  if (!delivery.ok) return delivery;
  const endpoint = await findEnabled(ctx, { endpointId: delivery.value.endpoint_id, marketplaceId });
  if (!endpoint.ok) return endpoint;
  await makeDue(ctx.db, { messageId, marketplaceId }, { nowMs: ctx.clock.nowMs(), limit: 1 });
  return findOwnDelivery(ctx, messageId, marketplaceId);
}

/**
 * Sends a range again, oldest first, each under its own event_id and sequence. Refuses `not_found`
 * and `conflict`.
 */
export async function replayRange(ctx: Context, name: EndpointName, range: ReplayRange): Promise<Result<Replayed>> {
  const endpoint = await findEnabled(ctx, name);
  if (!endpoint.ok) return endpoint;
  const filter = { ...range, marketplaceId: name.marketplaceId, endpointId: name.endpointId };
  const replayed = await makeDue(ctx.db, filter, { nowMs: ctx.clock.nowMs(), limit: MAX_REPLAY });
  const last = replayed.reduce((latest, createdAtMs) => Math.max(latest, createdAtMs), 0);
  return accept({ count: replayed.length, nextSinceMs: replayed.length < MAX_REPLAY ? undefined : last });
}

/** Sends a test message and answers its event_id. Refuses `not_found` and `conflict`. */
export async function sendTest(ctx: Context, name: EndpointName): Promise<Result<string>> {
  const endpoint = await findEnabled(ctx, name);
  if (!endpoint.ok) return endpoint;
  if ((await countWaiting(ctx.db, name.endpointId, "test")) >= MAX_TESTS)
    return refuse("conflict", `expected at most ${MAX_TESTS} test messages waiting for ${name.endpointId}`);
  return accept(await addTestDelivery(ctx, name.endpointId));
}

async function findEnabled(ctx: Context, name: EndpointName): Promise<Result<EndpointRow>> {
  const endpoint = await findOwnEndpoint(ctx, name);
  if (!endpoint.ok || endpoint.value.disabled_at === null) return endpoint;
  return refuse("conflict", `the endpoint ${name.endpointId} is disabled: enable it first`);
}
