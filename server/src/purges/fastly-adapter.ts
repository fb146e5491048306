import { type JsonObject, parseJsonObject } from "@licet/protocol";
import type { Outbound, OutboundResponse } from "../http/outbound.ts";
import { attemptError } from "../jobs/attempt-error.ts";
import type { FastlyTarget } from "../purge-config.ts";
import { type PurgeAdapter, type PurgeCall, type PurgeOutcome, isBelow, quoteAnswer } from "./purge-port.ts";
import { cacheName } from "./target-names.ts";

/** fastly.com/documentation/reference/api/purging: 256 surrogate keys in one call, URLs one by one. */
const MAX_KEYS = 256;

/** Purges a Fastly service by surrogate key, and single URLs; at once, not softly, because what is stale must not be served. */
export function fastlyAdapterOf(outbound: Pick<Outbound, "send">, settings: FastlyTarget): PurgeAdapter {
  const { service, domain, token, api } = settings;
  return {
    target: cacheName(settings),
    leg: "purge",
    limits: { tags: MAX_KEYS, urls: 1 },
    meter: undefined,
    mayHold: (held) => isBelow(domain, held),
    send: async ({ kind, items }: PurgeCall) => {
      const path = kind === "tags" ? `/service/${service}/purge` : purgePathOf(items);
      const answer = await outbound.send(new URL(path, api).href, {
        method: "POST",
        headers: {
          "fastly-key": token,
          accept: "application/json",
          ...(kind === "tags" ? { "surrogate-key": items.join(" ") } : {}),
        },
      });
      if (!answer.ok) return { isConfirmed: false, error: attemptError(answer.refusal.detail) };
      return outcomeOf(answer.value, (body) =>
        kind === "tags" ? items.every((key) => typeof body[key] === "string") : body["status"] === "ok",
      );
    },
  };
}

/** Read as a URL first: one written with `/../` would lead to another call of the API. */
function purgePathOf([url = ""]: readonly string[]): string {
  const { host, pathname, search } = new URL(url);
  return `/purge/${host}${pathname}${search}`;
}

/** By key, each key with the id of its purge; by URL `{status: "ok", id}`; errors are `{msg, detail}`. */
function outcomeOf({ status, headers, body }: OutboundResponse, hasDone: (body: JsonObject) => boolean): PurgeOutcome {
  const parsed = parseJsonObject(body);
  const members = parsed.ok ? parsed.value : {};
  if (status === 200 && hasDone(members)) return { isConfirmed: true };
  const said = [members["msg"], members["detail"]].filter((text) => typeof text === "string");
  return {
    isConfirmed: false,
    status,
    error: attemptError(
      said.length > 0
        ? `${status}: ${said.join("; ")}`
        : `expected the ids of purges, got ${quoteAnswer(status, body)}`,
    ),
    retryAfter: headers.get("retry-after"),
  };
}
