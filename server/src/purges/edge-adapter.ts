import {
  EDGE_REFRESH_PATH,
  MAX_REFRESH_PATHS,
  canonicalize,
  formatInstant,
  parseJsonObject,
  signEdgeRefresh,
} from "@licet/protocol";
import { type Context, nowSeconds } from "../context.ts";
import type { Outbound } from "../http/outbound.ts";
import { attemptError } from "../jobs/attempt-error.ts";
import { type PurgeAdapter, type PurgeOutcome, quoteAnswer } from "./purge-port.ts";
import { takeRefreshSeq } from "./target-store.ts";

/** Tells a Node edge, in a signed refresh, which documents to fetch again. */
export function edgeAdapterOf(
  ctx: Pick<Context, "db" | "clock" | "origin" | "signingKeys">,
  outbound: Pick<Outbound, "send">,
  edge: URL,
): PurgeAdapter {
  const url = new URL(EDGE_REFRESH_PATH, edge).href;
  return {
    target: `edge:${edge.origin}`,
    leg: "edge",
    limits: { paths: MAX_REFRESH_PATHS },
    meter: undefined,
    mayHold: () => false,
    send: async ({ items }) => {
      const seq = await takeRefreshSeq(ctx.db, ctx.clock.nowMs());
      const content = { seq, issued_at: formatInstant(nowSeconds(ctx)), paths: items };
      const refresh = await signEdgeRefresh(ctx.origin, content, ctx.signingKeys.signerFor("document"));
      const answer = await outbound.send(url, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: canonicalize(refresh),
      });
      if (!answer.ok) return { isConfirmed: false, error: attemptError(answer.refusal.detail) };
      const { status, headers, body } = answer.value;
      return outcomeOf({ status, body, seq, retryAfter: headers.get("retry-after") });
    },
  };
}

interface EdgeAnswer {
  readonly status: number;
  readonly body: string;
  readonly seq: number;
  readonly retryAfter: string | null;
}

/** An edge repeats the `seq` that it followed; a refusal is a problem with `code` and `detail`. */
function outcomeOf({ status, body, seq, retryAfter }: EdgeAnswer): PurgeOutcome {
  const parsed = parseJsonObject(body);
  const members = parsed.ok ? parsed.value : {};
  if (status === 200 && members["seq"] === seq) return { isConfirmed: true };
  const { code, detail } = members;
  return {
    isConfirmed: false,
    error: attemptError(
      typeof code === "string"
        ? `${status}: ${code}, ${String(detail)}`
        : `expected 200 with seq ${seq}, got ${quoteAnswer(status, body)}`,
    ),
    retryAfter,
  };
}
