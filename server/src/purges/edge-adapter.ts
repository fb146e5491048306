import {
  EDGE_REFRESH_PATH,
  type JsonValue,
  MAX_REFRESH_DOCUMENTS,
  canonicalize,
  formatInstant,
  isJsonObject,
  parseJsonObject,
  signEdgeRefresh,
} from "@licet/protocol";
import { type Context, nowSeconds } from "../context.ts";
import { readSeqs } from "../documents/store.ts";
import type { Outbound } from "../http/outbound.ts";
import { attemptError } from "../jobs/attempt-error.ts";
import { type PurgeAdapter, type PurgeOutcome, quoteAnswer } from "./purge-port.ts";
import { edgeName } from "./target-names.ts";
import { takeRefreshSeq } from "./target-store.ts";

/**
 * Tells a Node edge, in a signed refresh, which documents to fetch again, and the `seq` that each has in the
 * database by now: the server that the edge asks may be another one and not know of it yet, and a cache in between
 * may hold an old copy. Neither must count as done.
 */
export function edgeAdapterOf(
  ctx: Pick<Context, "db" | "clock" | "origin" | "signingKeys">,
  outbound: Pick<Outbound, "send">,
  edge: URL,
): PurgeAdapter {
  const url = new URL(EDGE_REFRESH_PATH, edge).href;
  return {
    target: edgeName(edge),
    leg: "edge",
    limits: { paths: MAX_REFRESH_DOCUMENTS },
    meter: undefined,
    mayHold: () => false,
    send: async ({ items }) => {
      const seq = await takeRefreshSeq(ctx.db, ctx.clock.nowMs());
      const content = { seq, issued_at: formatInstant(nowSeconds(ctx)), documents: await readSeqs(ctx.db, items) };
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

/**
 * An edge repeats the `seq` that it followed; a refusal is a problem with `code` and `detail`, and with `errors`
 * where documents are not there yet with the `seq` they must have: they are a moment later.
 */
function outcomeOf({ status, body, seq, retryAfter }: EdgeAnswer): PurgeOutcome {
  const parsed = parseJsonObject(body);
  const members = parsed.ok ? parsed.value : {};
  if (status === 200 && members["seq"] === seq) return { isConfirmed: true };
  const { code, detail, errors } = members;
  const isBehind = status === 503 && Array.isArray(errors) && errors.some(isPath);
  return {
    isConfirmed: false,
    status,
    error: attemptError(
      typeof code === "string" && typeof detail === "string"
        ? `${status}: ${code}, ${detail}`
        : `expected 200 with seq ${seq}, got ${quoteAnswer(status, body)}`,
    ),
    ...(isBehind ? { isSoonThere: true } : { retryAfter }),
  };
}

function isPath(error: JsonValue): boolean {
  return isJsonObject(error) && typeof error["at"] === "string";
}
