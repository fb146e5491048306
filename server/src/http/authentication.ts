import { type Result, accept, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { principalOfSession } from "./oauth/sessions.ts";
import type { OauthServer } from "./oauth/provider.ts";
import type { Principal } from "./principal.ts";

/** Longer Authorization headers are refused unread. */
const MAX_HEADER_LENGTH = 8_192;
const BEARER = /^Bearer ([A-Za-z0-9._~+/-]+=*)$/i;

/** Who calls, from the Authorization header (RFC 6750 section 2.1). Credentials that are there but do not hold are refused, never ignored. */
export async function authenticate(
  ctx: Context,
  oauth: OauthServer,
  header: string | undefined,
): Promise<Result<Principal>> {
  if (header === undefined) return accept({ kind: "anonymous" });
  const token = header.length <= MAX_HEADER_LENGTH ? BEARER.exec(header)?.[1] : undefined;
  if (token === undefined) return refuse("token_invalid", "expected Authorization: Bearer and one token");
  const isJwt = token.split(".").length === 3;
  const principal = isJwt ? await oauth.principalOf(token) : await principalOfSession(ctx, token);
  return principal === undefined
    ? refuse("token_invalid", "expected a token that is in force, got one that is unknown or has expired")
    : accept(principal);
}
