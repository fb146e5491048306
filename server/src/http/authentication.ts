import { type Result, accept, refuse } from "@licet/protocol";
import type { IncomingMessage } from "node:http";
import type { Context } from "../context.ts";
import type { OauthServer } from "./oauth/provider.ts";
import { principalOfSession } from "./oauth/sessions.ts";
import { peerOf } from "./peer.ts";
import type { Principal } from "./principal.ts";

/** Longer Authorization headers are refused unread. */
const MAX_HEADER_LENGTH = 8_192;
const CREDENTIALS = /^(Bearer|DPoP) ([A-Za-z0-9._~+/-]+=*)$/i;

/**
 * Who calls, from the Authorization header (RFC 6750 section 2.1, RFC 9449 section 7.1). Credentials
 * that are there but do not hold are refused, never ignored.
 */
export async function authenticate(
  ctx: Context,
  oauth: OauthServer,
  request: IncomingMessage,
): Promise<Result<Principal>> {
  const header = request.headers.authorization;
  if (header === undefined) return accept({ kind: "anonymous" });
  const [, scheme, token] = (header.length <= MAX_HEADER_LENGTH ? CREDENTIALS.exec(header) : null) ?? [];
  if (scheme === undefined || token === undefined)
    return refuse("token_invalid", "expected Authorization: Bearer or DPoP, and one token");
  if (token.split(".").length !== 3) return authenticateSession(ctx, scheme, token);
  const { dpop } = request.headers;
  return oauth.principalOf({
    scheme: scheme.toLowerCase() === "dpop" ? "dpop" : "bearer",
    token,
    proof: typeof dpop === "string" ? dpop : undefined,
    method: request.method ?? "GET",
    path: (request.url ?? "/").split("?", 1)[0] ?? "/",
    certificate: peerOf(request).certificate,
  });
}

async function authenticateSession(ctx: Context, scheme: string, token: string): Promise<Result<Principal>> {
  const principal = scheme.toLowerCase() === "bearer" ? await principalOfSession(ctx, token) : undefined;
  return principal === undefined
    ? refuse("token_invalid", "expected a token that is in force, got one that is unknown or has expired")
    : accept(principal);
}
