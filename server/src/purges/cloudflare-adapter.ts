import { isJsonObject, parseJsonObject } from "@licet/protocol";
import type { Outbound, OutboundResponse } from "../http/outbound.ts";
import { attemptError } from "../jobs/attempt-error.ts";
import type { CloudflarePlan, CloudflareTarget } from "../purge-config.ts";
import {
  type PurgeAdapter,
  type PurgeCall,
  type PurgeOutcome,
  type Rates,
  isBelow,
  quoteAnswer,
} from "./purge-port.ts";
import { cacheName } from "./target-names.ts";

/**
 * developers.cloudflare.com/cache/how-to/purge-cache, "Availability and limits" (July 2026): per
 * account, token buckets for calls by tag, and URLs a second for single files; 100 of either in one call.
 */
const RATES: Readonly<Record<CloudflarePlan, Rates>> = {
  free: { calls: { perSecond: 5 / 60, burst: 25 }, urls: { perSecond: 800, burst: 800 } },
  pro: { calls: { perSecond: 5, burst: 25 }, urls: { perSecond: 1_500, burst: 1_500 } },
  business: { calls: { perSecond: 10, burst: 50 }, urls: { perSecond: 1_500, burst: 1_500 } },
  enterprise: { calls: { perSecond: 50, burst: 500 }, urls: { perSecond: 3_000, burst: 3_000 } },
};
const MAX_PER_CALL = 100;
const MAX_ERRORS = 3;

/** Purges a Cloudflare zone by tag and by URL. */
export function cloudflareAdapterOf(outbound: Pick<Outbound, "send">, settings: CloudflareTarget): PurgeAdapter {
  const { zone, domain, token, api, plan } = settings;
  const url = new URL(`/client/v4/zones/${zone}/purge_cache`, api).href;
  return {
    target: cacheName(settings),
    leg: "purge",
    limits: { tags: MAX_PER_CALL, urls: MAX_PER_CALL },
    meter: { account: "cloudflare", rates: RATES[plan] },
    mayHold: (held) => isBelow(domain, held),
    send: async ({ kind, items }: PurgeCall) => {
      const answer = await outbound.send(url, {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        body: JSON.stringify(kind === "tags" ? { tags: items } : { files: items }),
      });
      return answer.ok ? outcomeOf(answer.value) : { isConfirmed: false, error: attemptError(answer.refusal.detail) };
    },
  };
}

/** `{success, errors: [{code, message}]}`, also on errors; 429 says by Retry-After when to come again. */
function outcomeOf({ status, headers, body }: OutboundResponse): PurgeOutcome {
  const parsed = parseJsonObject(body);
  const { success, errors } = parsed.ok ? parsed.value : {};
  if (status === 200 && success === true) return { isConfirmed: true };
  const said = (Array.isArray(errors) ? errors : [])
    .filter(isJsonObject)
    .slice(0, MAX_ERRORS)
    .map(
      ({ code, message }) => `${typeof code === "number" ? code : ""} ${typeof message === "string" ? message : ""}`,
    );
  return {
    isConfirmed: false,
    status,
    error: attemptError(
      said.length > 0 ? `${status}: ${said.join("; ")}` : `expected success: true, got ${quoteAnswer(status, body)}`,
    ),
    retryAfter: headers.get("retry-after"),
  };
}
