import { accept, formatInstant } from "@licet/protocol";
import type { Context } from "../context.ts";
import { writeFact } from "../events/write-fact.ts";
import { identityOf, recordDisabled } from "./change-endpoint.ts";
import { type EndpointRow, lockEndpoint, updateEndpoint } from "./endpoint-store.ts";

/*
 * The disable policy. An endpoint at which every attempt failed for two days is announced as
 * failing, with the time at which it will be disabled; after five days it is disabled. 410 Gone
 * disables it at once. One message that is taken starts all of this anew.
 */
const DAY_MS = 86_400_000;
const WARN_AFTER_MS = 2 * DAY_MS;
export const DISABLE_AFTER_MS = 5 * DAY_MS;

/** When an endpoint that goes on failing will be disabled, in milliseconds since the epoch. */
export function disableAtMs(failingSinceMs: number): number {
  return failingSinceMs + DISABLE_AFTER_MS;
}

/** True when something has to be done about an endpoint that has failed since then. */
export function isDueForJudgement(
  endpoint: Pick<EndpointRow, "failing_since_ms" | "warned_at_ms">,
  nowMs: number,
): boolean {
  const { failing_since_ms, warned_at_ms } = endpoint;
  if (failing_since_ms === null) return false;
  return nowMs - failing_since_ms >= (warned_at_ms === null ? WARN_AFTER_MS : DISABLE_AFTER_MS);
}

/** Announces or disables an endpoint that keeps failing, whichever is due. */
export async function judgeEndpoint(ctx: Context, endpointId: string): Promise<void> {
  await writeFact(ctx, async (fact) => {
    const endpoint = await lockEndpoint(fact.trx, endpointId);
    const nowMs = ctx.clock.nowMs();
    if (endpoint === undefined || endpoint.disabled_at !== null || endpoint.failing_since_ms === null)
      return accept(undefined);
    if (nowMs >= disableAtMs(endpoint.failing_since_ms)) {
      recordDisabled(fact, endpoint, "failing");
      await updateEndpoint(fact.trx, endpointId, { disabled_at: fact.now, disabled_reason: "failing" });
      fact.afterCommit(() =>
        ctx.log.warn(identityOf(endpoint), "a webhook endpoint is disabled, because every attempt at it failed"),
      );
    } else if (isDueForJudgement(endpoint, nowMs)) {
      const disableAt = formatInstant(Math.floor(disableAtMs(endpoint.failing_since_ms) / 1_000));
      fact.record({
        type: "webhook-endpoint.failing",
        aggregate: endpointId,
        body: { ...identityOf(endpoint), reason: "failing", disable_at: disableAt },
      });
      await updateEndpoint(fact.trx, endpointId, { warned_at_ms: nowMs });
      fact.afterCommit(() =>
        ctx.log.warn(
          { ...identityOf(endpoint), disable_at: disableAt },
          "every attempt at a webhook endpoint fails, and it will be disabled",
        ),
      );
    }
    return accept(undefined);
  });
}

/** The receiver at a URL said 410: nobody listens there, and nobody will. An endpoint that has moved on meanwhile stays. */
export async function disableGoneEndpoint(
  ctx: Context,
  { endpoint_id: endpointId, url }: Pick<EndpointRow, "endpoint_id" | "url">,
): Promise<void> {
  await writeFact(ctx, async (fact) => {
    const endpoint = await lockEndpoint(fact.trx, endpointId);
    if (endpoint === undefined || endpoint.disabled_at !== null || endpoint.url !== url) return accept(undefined);
    recordDisabled(fact, endpoint, "gone");
    await updateEndpoint(fact.trx, endpointId, { disabled_at: fact.now, disabled_reason: "gone" });
    fact.afterCommit(() =>
      ctx.log.warn(identityOf(endpoint), "a webhook endpoint is disabled, because it answered 410 Gone"),
    );
    return accept(undefined);
  });
}
