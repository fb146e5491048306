import { generatePrivateJwk, publicJwkOf, thumbprint, type PrivateJwk } from "@licet/protocol";
import { type JSONWebKeySet, createLocalJWKSet, jwtVerify } from "jose";
import type { ResourceServer } from "oidc-provider";
import type Provider from "oidc-provider";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Context } from "../../context.ts";
import { nowSeconds } from "../../context.ts";
import type { Principal } from "../principal.ts";
import { ALL_SCOPES } from "../scopes.ts";
import { databaseAdapter } from "./adapter.ts";
import { OidcProvider, errors } from "./library.ts";
import { findClient, insertOauthKey, readOauthKeys } from "./store.ts";

/** JWT access tokens can be neither introspected nor revoked, so they live this long at most. */
const ACCESS_TOKEN_SECONDS = 300;
const SIGNING_ALG = "EdDSA";

/** The OAuth server, mounted at `/oauth`, and the check of the tokens it gave. */
export interface OauthServer {
  /** Answers true when the request was its own. */
  readonly handle: (request: IncomingMessage, response: ServerResponse) => boolean;
  readonly principalOf: (accessToken: string) => Promise<Principal | undefined>;
}

export async function createOauthServer(ctx: Context): Promise<OauthServer> {
  const issuer = `${ctx.origin}/oauth`;
  const keys = await loadKeys(ctx);
  const provider = createProvider(ctx, issuer, keys);
  const callback = provider.callback();
  const verificationKeys = createLocalJWKSet(publicKeySet(keys));

  return {
    handle: (request, response) => {
      const url = request.url ?? "/";
      const isMetadata = url.split("?")[0] === "/.well-known/oauth-authorization-server/oauth";
      if (!isMetadata && !url.startsWith("/oauth/")) return false;
      speakAs(ctx.origin, request);
      return mount(callback, request, response, isMetadata ? "/oauth/.well-known/openid-configuration" : url);
    },
    principalOf: (token) => verifyAccessToken(ctx, token, { issuer, verificationKeys }),
  };
}

/** oidc-provider builds its URLs from the request's host and protocol; they are the origin's, whatever the request says. */
function speakAs(origin: string, request: IncomingMessage): void {
  const { host, protocol } = new URL(origin);
  for (const name of Object.keys(request.headers)) if (name.startsWith("x-forwarded-")) delete request.headers[name];
  Object.assign(request.headers, { host, "x-forwarded-host": host, "x-forwarded-proto": protocol.slice(0, -1) });
}

/** oidc-provider reads the prefix it is mounted at from `originalUrl`. */
function mount(
  callback: (request: IncomingMessage, response: ServerResponse) => unknown,
  request: IncomingMessage,
  response: ServerResponse,
  originalUrl: string,
): true {
  Object.assign(request, { originalUrl });
  request.url = originalUrl.slice("/oauth".length);
  callback(request, response);
  return true;
}

function createProvider(ctx: Context, issuer: string, keys: readonly PrivateJwk[]): Provider {
  const provider = new OidcProvider(issuer, {
    adapter: (model: string) => databaseAdapter(ctx, model),
    jwks: { keys: keys.map((key) => ({ ...key, use: "sig", alg: SIGNING_ALG, kid: thumbprint(key) })) },
    clientDefaults: { id_token_signed_response_alg: SIGNING_ALG },
    clientAuthMethods: ["client_secret_basic"],
    enabledJWA: { idTokenSigningAlgValues: [SIGNING_ALG] },
    responseTypes: [],
    claims: {},
    scopes: [...ALL_SCOPES],
    routes: { token: "/token", jwks: "/jwks" },
    ttl: { ClientCredentials: ACCESS_TOKEN_SECONDS },
    features: {
      devInteractions: { enabled: false },
      userinfo: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      pushedAuthorizationRequests: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => ctx.origin,
        useGrantedResource: () => true,
        getResourceServerInfo: (koa, resource) => resourceServer(ctx.origin, resource, koa.oidc.params?.["scope"]),
      },
    },
    renderError: (koa, out) => {
      koa.type = "application/json";
      koa.body = JSON.stringify(out);
    },
  });
  provider.proxy = true;
  provider.on("server_error", (_koa, error) => ctx.log.error({ error: error.message }, "the OAuth server failed"));
  return provider;
}

/** Our API as the one resource. oidc-provider leaves scopes out that it does not know (RFC 6749 section 3.3); here they are refused, so that nobody wonders about a token that opens nothing. */
function resourceServer(origin: string, resource: string, askedScope: unknown): ResourceServer {
  if (resource !== origin && resource !== `${origin}/`) throw new errors.InvalidTarget();
  const asked = typeof askedScope === "string" ? askedScope.split(" ") : [];
  const unknown = asked.filter((scope) => !ALL_SCOPES.some((known) => known === scope));
  if (unknown.length > 0)
    throw new errors.InvalidScope(`expected scopes among ${ALL_SCOPES.join(" ")}`, unknown.join(" "));
  return {
    scope: ALL_SCOPES.join(" "),
    audience: origin,
    accessTokenFormat: "jwt",
    accessTokenTTL: ACCESS_TOKEN_SECONDS,
    jwt: { sign: { alg: SIGNING_ALG } },
  };
}

/** The OAuth server's own keys, newest first; the first one is made at first start. */
async function loadKeys(ctx: Context): Promise<readonly PrivateJwk[]> {
  if ((await readOauthKeys(ctx.db)).length === 0) {
    const jwk = await generatePrivateJwk(SIGNING_ALG);
    const kid = thumbprint(jwk);
    await insertOauthKey(ctx.db, {
      kid,
      sealed_jwk: ctx.sealer.seal(`oauth_key/${kid}`, JSON.stringify(jwk)),
      created_at: nowSeconds(ctx),
    });
  }
  const rows = await readOauthKeys(ctx.db);
  return rows.map((row) => JSON.parse(ctx.sealer.open(`oauth_key/${row.kid}`, row.sealed_jwk)));
}

function publicKeySet(keys: readonly PrivateJwk[]): JSONWebKeySet {
  return { keys: keys.map((key) => ({ ...publicJwkOf(key), kid: thumbprint(key), alg: SIGNING_ALG, use: "sig" })) };
}

interface AccessTokenCheck {
  readonly issuer: string;
  readonly verificationKeys: ReturnType<typeof createLocalJWKSet>;
}

/** RFC 9068 section 4. The client's present state decides, not what the token remembers of it. */
async function verifyAccessToken(
  ctx: Context,
  token: string,
  { issuer, verificationKeys }: AccessTokenCheck,
): Promise<Principal | undefined> {
  const payload = await jwtVerify(token, verificationKeys, {
    issuer,
    audience: ctx.origin,
    typ: "at+jwt",
    algorithms: [SIGNING_ALG],
    currentDate: new Date(ctx.clock.nowMs()),
    requiredClaims: ["exp", "client_id"],
  }).then(
    (verified) => verified.payload,
    () => undefined,
  );
  if (payload === undefined || typeof payload["client_id"] !== "string") return undefined;
  const client = await findClient(ctx.db, payload["client_id"]);
  if (client === undefined) return undefined;
  const granted = client.scope.split(" ");
  const asked = typeof payload["scope"] === "string" ? payload["scope"] : "";
  const scopes = asked.split(" ").filter((scope) => granted.includes(scope));
  if (client.kind === "platform") return { kind: "platform", clientId: client.client_id, scopes };
  return client.marketplace_id === null
    ? undefined
    : { kind: "marketplace", clientId: client.client_id, marketplaceId: client.marketplace_id, scopes };
}
