import { accessTokenRequest, type TokenQuery } from "./api-requests.ts";
import { parseAccessToken } from "./api-answers.ts";
import { TOKEN_MARGIN_SECONDS } from "./limits.ts";
import { type Answer, localProblem } from "./problem.ts";
import { type SendOptions, send } from "./send.ts";

/** Where a client's bearer tokens come from. */
export interface AccessTokens {
  readonly get: () => Promise<Answer<string>>;
  /** Called when the server no longer takes a token: true when asking again may give another one. */
  readonly drop: (token: string) => boolean;
}

/** A session token that somebody else manages. */
export function fixedToken(token: string): AccessTokens {
  return { get: async () => ({ ok: true, value: token }), drop: () => false };
}

interface HeldToken {
  readonly token: string;
  /** Seconds since the epoch. */
  readonly refreshAt: number;
}

/** Access tokens by client credentials: one is held until shortly before it expires, and one request at a time asks for the next. */
export function credentialTokens(query: TokenQuery, now: () => number, options: SendOptions): AccessTokens {
  let held: HeldToken | undefined;
  let asking: Promise<Answer<string>> | undefined;

  async function ask(): Promise<Answer<string>> {
    const askedAt = now();
    const sent = await send(accessTokenRequest(query), options);
    if (!sent.ok) return { ok: false, refusal: localProblem(sent.refusal) };
    const token = parseAccessToken(sent.value);
    if (!token.ok) return token;
    const { access_token, expires_in } = token.value;
    held = {
      token: access_token,
      refreshAt: askedAt + Math.max(expires_in - TOKEN_MARGIN_SECONDS, Math.floor(expires_in / 2)),
    };
    return { ok: true, value: access_token };
  }

  return {
    get: async () => {
      if (held !== undefined && now() < held.refreshAt) return { ok: true, value: held.token };
      asking ??= ask().finally(() => (asking = undefined));
      return asking;
    },
    drop: (token) => {
      if (held?.token === token) held = undefined;
      return true;
    },
  };
}
