import { problemOf } from "@licet/protocol";
import type { KoaContextWithOIDC } from "oidc-provider";
import type { Context } from "../../context.ts";
import { addressKey } from "../address-key.ts";
import { peerOf } from "../peer.ts";
import { type Taken, headersOf, refusalOf } from "../rate-limits.ts";
import { wasAnswered } from "./olp-grants.ts";

/** What is said only to a client that has shown who it is (RFC 9449 section 8). */
const AFTER_AUTHENTICATION = "use_dpop_nonce";

/**
 * Counts what was answered at the token endpoint: for the client, once it has shown who it is, and
 * otherwise for the address. Nobody uses up what is a client's by naming it, and what one client
 * behind an address does costs the others nothing. Answers true when the answer became a 429.
 */
export async function limitTokens(ctx: Context, koa: KoaContextWithOIDC): Promise<boolean> {
  const taken = await takeAnswered(ctx, koa);
  if (taken === undefined) return false;
  if (taken.isAllowed) koa.set(headersOf(taken));
  else sendTooMany(ctx, koa, taken);
  return !taken.isAllowed;
}

/** Refuses, before anything is read or looked up, an address that has long had nothing but refusals. Answers true when it did. */
export async function refuseFarOver(ctx: Context, koa: KoaContextWithOIDC): Promise<boolean> {
  const farOver = await ctx.rateLimits.isFarOver("anonymous", addressKey(peerOf(koa.req).address));
  if (farOver !== undefined) sendTooMany(ctx, koa, farOver);
  return farOver !== undefined;
}

function sendTooMany(ctx: Context, koa: KoaContextWithOIDC, taken: Taken): void {
  koa.set(headersOf(taken));
  koa.status = 429;
  koa.type = "application/problem+json";
  const requestId = koa.res.getHeader("x-request-id");
  koa.body = JSON.stringify({ ...problemOf(refusalOf(taken), ctx.origin), request_id: requestId });
}

async function takeAnswered(ctx: Context, koa: KoaContextWithOIDC): Promise<Taken | undefined> {
  const { client } = koa.oidc;
  const isShown = koa.status === 200 || errorOf(koa.body) === AFTER_AUTHENTICATION || wasAnswered(koa.req);
  return client !== undefined && isShown
    ? ctx.rateLimits.take("tokens", `client:${client.clientId}`)
    : ctx.rateLimits.take("anonymous", addressKey(peerOf(koa.req).address));
}

function errorOf(body: unknown): unknown {
  return typeof body === "object" && body !== null && "error" in body ? body.error : undefined;
}
