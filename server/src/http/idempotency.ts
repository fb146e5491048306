import { type Result, accept, formatInstant, refuse, sha256Hex } from "@licet/protocol";
import type { MiddlewareHandler } from "hono";
import { randomBytes } from "node:crypto";
import type { Context } from "../context.ts";
import { type CarriedOutMark, carryOutOnce } from "../events/held-request.ts";
import { type ApiContext, type ApiEnv, sendProblem } from "./api-context.ts";
import type { RouteName } from "./authorization.ts";
import {
  type KeyName,
  deleteHeldKey,
  deleteKeysBefore,
  deleteUnusedKey,
  findKey,
  insertKey,
  takeOverKey,
  updateHeldKey,
} from "./idempotency-store.ts";
import { callerKey } from "./principal.ts";
import { bucketOf } from "./rate-limits.ts";

/** A key stands for its request this long. */
const KEPT_MS = 24 * 3_600_000;
/** A request that is being carried out holds its key for so long at a time; one that died lets go after it. */
const HOLD_MS = 30_000;
const RENEW_MS = 10_000;
/** Longer answers are not kept: a repetition is told that the answer is lost, or carried out again where no fact was written. */
const MAX_KEPT_ANSWER_BYTES = 262_144;
/** What an answer is without which it is not the same. */
const KEPT_HEADERS = ["content-type", "cache-control", "location", "link", "etag", "allow"];
const RETRY_AFTER_SECONDS = 1;
const KEY = /^[\x20-\x7e]{1,255}$/;
const QUOTED = /^"((?:[^"\\]|\\["\\])*)"$/;

/**
 * Idempotency-Key (draft-ietf-httpapi-idempotency-key-header-07): the first request under a key is
 * carried out, the same request again gets its answer. Comes after everything that says who may
 * call, so that an answer is given only to those who might have caused it.
 */
export function keepAnswer(ctx: Context, route: RouteName): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    const header = c.req.header("idempotency-key");
    const principal = c.get("principal");
    if (header === undefined || principal.kind === "anonymous") return next();
    const key = readKey(header);
    if (!key.ok) return sendProblem(c, ctx, key.refusal);
    const name = { caller: callerKey(principal), route, key: key.value };
    const request = sha256Hex(
      Buffer.concat([
        Buffer.from(`${new URL(c.req.url).search} ${c.req.path}\n`),
        Buffer.from(await c.req.arrayBuffer()),
      ]),
    );
    const begun = await beginRequest(ctx, name, request);
    if (!begun.ok) {
      const isRunning = begun.refusal.code === "idempotency_in_progress";
      return sendProblem(c, ctx, begun.refusal, isRunning ? { "retry-after": String(RETRY_AFTER_SECONDS) } : {});
    }
    if ("answer" in begun.value) return replay(begun.value.answer);
    await carryOut(ctx, c, { name, holder: begun.value.holder, next });
    return undefined;
  };
}

/** Forgets keys whose time is over. */
export async function forgetKeys(ctx: Pick<Context, "db" | "clock">): Promise<void> {
  await deleteKeysBefore(ctx.db, ctx.clock.nowMs() - KEPT_MS);
}

/** A key is written as a structured-field string, or plainly, as most clients do. */
function readKey(header: string): Result<string> {
  const text = QUOTED.exec(header)?.[1]?.replaceAll(/\\(["\\])/g, "$1") ?? header;
  return KEY.test(text)
    ? accept(text)
    : refuse(
        "idempotency_key_invalid",
        `expected 1 to 255 printable ASCII characters, got ${header.length} characters`,
      );
}

interface KeptAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

type RequestName = KeyName & { readonly route: RouteName };

/** Either the request is ours to carry out, or it was answered before. Refuses what another request, or another holder, stands in the way of. */
async function beginRequest(
  ctx: Context,
  name: RequestName,
  request: string,
): Promise<Result<{ readonly holder: string } | { readonly answer: KeptAnswer }>> {
  const holder = randomBytes(16).toString("base64url");
  const nowMs = ctx.clock.nowMs();
  const row = { request_sha256: request, created_at_ms: nowMs, holder, held_until_ms: nowMs + HOLD_MS };
  if (await insertKey(ctx.db, name, row)) return accept({ holder });
  const found = await findKey(ctx.db, name);
  const isRunning = refuse("idempotency_in_progress", "the first request under this key has no answer yet");
  if (found === undefined) return isRunning;
  if (found.created_at_ms < nowMs - KEPT_MS) {
    await deleteHeldKey(ctx.db, name, found.holder);
    return (await insertKey(ctx.db, name, row)) ? accept({ holder }) : isRunning;
  }
  if (found.request_sha256 !== request)
    return refuse("idempotency_key_reused", "expected the path and the body that this key was first used with");
  if (found.status !== null && found.sealed_answer !== null)
    return accept({ answer: JSON.parse(ctx.sealer.open(labelOf(name), found.sealed_answer)) });
  if (found.held_until_ms > nowMs) return isRunning;
  if (found.carried_out_at_ms !== null && !isRepeatable(name.route))
    return refuse(
      "idempotency_answer_lost",
      `expected to find its answer; the request was carried out at ${formatInstant(Math.floor(found.carried_out_at_ms / 1_000))}`,
    );
  const isOurs = await takeOverKey(ctx.db, found, { holder, held_until_ms: nowMs + HOLD_MS });
  return isOurs ? accept({ holder }) : isRunning;
}

/** What takes something away answers the same when it is done again, and must get its answer. */
function isRepeatable(route: RouteName): boolean {
  return bucketOf(route, false) === "revoking";
}

interface Held {
  readonly name: KeyName;
  readonly holder: string;
  readonly next: () => Promise<void>;
}

/**
 * An answer that says "not now" leaves the key free. So do a fault and an answer that is too long,
 * unless a fact was committed: the facts of the request say so in their own transactions, so that no
 * crash between the commit and the answer has it carried out twice. A fact without an event only
 * prepares, and does not count. Who was taken for dead commits nothing any more.
 */
async function carryOut(ctx: Context, c: ApiContext, { name, holder, next }: Held): Promise<void> {
  const renewal = setInterval(() => {
    updateHeldKey(ctx.db, name, holder, { held_until_ms: ctx.clock.nowMs() + HOLD_MS }).catch((error: unknown) =>
      ctx.log.warn({ error: String(error) }, "an idempotency key could not be held any longer"),
    );
  }, RENEW_MS);
  try {
    await carryOutOnce(markOf(ctx, { name, holder }), next);
    // Whatever was prepared for it, the request was not carried out: the next one under the key is the first.
    if (PASSING_STATUSES.includes(c.res.status)) return await deleteHeldKey(ctx.db, name, holder);
    const answer = await keptAnswerOf(c.res);
    if (answer === undefined) return await letGo(ctx, { name, holder });
    const sealed_answer = ctx.sealer.seal(labelOf(name), JSON.stringify(answer));
    await updateHeldKey(ctx.db, name, holder, { status: answer.status, sealed_answer });
  } catch (error) {
    // The request was carried out and has its answer; only a repetition will not find it.
    c.get("log").warn({ error: String(error) }, "the answer to an idempotent request could not be kept");
  } finally {
    clearInterval(renewal);
  }
}

function markOf(ctx: Context, { name, holder }: Omit<Held, "next">): CarriedOutMark {
  return async (trx, { hasEvents }) =>
    (await updateHeldKey(
      trx,
      name,
      holder,
      hasEvents ? { carried_out_at_ms: ctx.clock.nowMs() } : { held_until_ms: ctx.clock.nowMs() + HOLD_MS },
    ))
      ? accept(true)
      : refuse("idempotency_in_progress", "somebody else carries this request out by now");
}

async function letGo(ctx: Context, { name, holder }: Omit<Held, "next">): Promise<void> {
  await deleteUnusedKey(ctx.db, name, holder);
  await updateHeldKey(ctx.db, name, holder, { held_until_ms: 0 });
}

/** What says "not now" has to be asked again under the same key. */
const PASSING_STATUSES = [409, 429];

async function keptAnswerOf(response: Response): Promise<KeptAnswer | undefined> {
  if (response.status >= 500) return undefined;
  const body = await response.clone().text();
  if (Buffer.byteLength(body) > MAX_KEPT_ANSWER_BYTES) return undefined;
  const headers = KEPT_HEADERS.flatMap((name) => {
    const value = response.headers.get(name);
    return value === null ? [] : [[name, value] as const];
  });
  return { status: response.status, headers: Object.fromEntries(headers), body };
}

function replay({ status, headers, body }: KeptAnswer): Response {
  const isEmpty = status === 204 || status === 304;
  return new Response(isEmpty ? null : body, { status, headers: { ...headers, "idempotent-replayed": "true" } });
}

/** Answers can hold secrets, so all are sealed, and each opens in its own place only. */
function labelOf({ caller, route, key }: KeyName): string {
  return `idempotency_key/${caller}/${route}/${key}`;
}
