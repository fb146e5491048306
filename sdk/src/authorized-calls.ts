import { isOrigin } from "@licet/protocol";
import { type AccessTokens, credentialTokens, fixedToken } from "./access-tokens.ts";
import { withBearer } from "./api-requests.ts";
import { epochSeconds } from "./clock.ts";
import { type Answer, localProblem } from "./problem.ts";
import { type ApiAnswer, type ApiRequest, type Fetch, type SendOptions, send } from "./send.ts";

interface ClientBase {
  /** The platform's origin, such as `https://platform.example`. */
  readonly origin: string;
  readonly fetch?: Fetch;
  /** Seconds since the epoch. */
  readonly now?: () => number;
  readonly timeoutSeconds?: number;
}

/**
 * A client comes with OAuth client credentials, or with a session token that somebody else manages.
 * `scope` is everything this kind of client needs unless told; `tokenEndpoint` is `<origin>/oauth/token`.
 *
 * @example { origin: "https://platform.example", clientId: "…", clientSecret: "…", scope: "datasets:read" }
 */
export type ClientOptions =
  | (ClientBase & {
      readonly clientId: string;
      readonly clientSecret: string;
      readonly scope?: string;
      readonly tokenEndpoint?: string;
    })
  | (ClientBase & { readonly token: string });

/** Requests of one client, each with a token that is in force. */
export interface AuthorizedCalls {
  readonly accessToken: () => Promise<Answer<string>>;
  readonly call: <T>(
    request: ApiRequest,
    parse: (answer: ApiAnswer, url: string) => Answer<T>,
    maxBytes?: number,
  ) => Promise<Answer<T>>;
}

/** Throws a TypeError when `origin` is not an origin. */
export function authorizeCalls(options: ClientOptions, defaultScope: string): AuthorizedCalls {
  const { origin } = options;
  if (!isOrigin(origin)) throw new TypeError(`expected an origin such as https://platform.example, got ${origin}`);
  const sending = sendOptionsOf(options);
  const tokens = tokensOf(options, defaultScope, sending);
  return {
    accessToken: tokens.get,
    call: async (request, parse, maxBytes) => {
      const limits = maxBytes === undefined ? sending : { ...sending, maxBytes };
      for (let attempt = 1; ; attempt += 1) {
        const token = await tokens.get();
        if (!token.ok) return token;
        const sent = await send(withBearer(request, token.value), limits);
        if (!sent.ok) return { ok: false, refusal: localProblem(sent.refusal) };
        const isStale = sent.value.status === 401 && attempt === 1 && tokens.drop(token.value);
        if (!isStale) return parse(sent.value, request.url);
      }
    },
  };
}

function sendOptionsOf({ fetch, timeoutSeconds }: ClientBase): SendOptions {
  return { ...(fetch === undefined ? {} : { fetch }), ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }) };
}

function tokensOf(options: ClientOptions, defaultScope: string, sending: SendOptions): AccessTokens {
  if ("token" in options) return fixedToken(options.token);
  const {
    origin,
    clientId,
    clientSecret,
    scope = defaultScope,
    tokenEndpoint = `${origin}/oauth/token`,
    now = epochSeconds,
  } = options;
  return credentialTokens({ tokenEndpoint, clientId, clientSecret, scope }, now, sending);
}
