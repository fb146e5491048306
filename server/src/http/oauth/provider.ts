import { type PrivateJwk, type Result, publicJwkOf, thumbprint } from "@licet/protocol";
import { type FlattenedJWSInput, type JSONWebKeySet, type JWSHeaderParameters, createLocalJWKSet } from "jose";
import { createHash, hkdfSync, timingSafeEqual } from "node:crypto";
import type { KoaContextWithOIDC, ResourceServer } from "oidc-provider";
import type Provider from "oidc-provider";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Context } from "../../context.ts";
import { nowSeconds } from "../../context.ts";
import type { Principal } from "../principal.ts";
import { ALL_SCOPES } from "../scopes.ts";
import { type SubjectMember, subjectMatches } from "../client-certificates.ts";
import { peerOf } from "../peer.ts";
import { type PresentedToken, verifyAccessToken } from "./access-tokens.ts";
import { databaseAdapter } from "./adapter.ts";
import { AUTH_METHODS, type AuthMethod, CLIENT_ALGORITHMS } from "./client-authentication.ts";
import { certificateSupportOf, secretsOf } from "./clients.ts";
import { dpopNoncesOf } from "./dpop.ts";
import { OidcProvider, errors } from "./library.ts";
import { limitTokens, refuseFarOver } from "./limit-tokens.ts";
import {
  type AnswerOlp,
  OLP_GRANTS,
  type OlpEndpoint,
  olpEndpointOf,
  registerOlpGrants,
  requestBehind,
  standInFor,
} from "./olp-grants.ts";
import { OAUTH_NOTICE, loadOauthKeys } from "./rotate-key.ts";
import { findClient } from "./store.ts";

/** JWT access tokens can be neither introspected nor revoked, so they live this long at most. */
const ACCESS_TOKEN_SECONDS = 300;
const SIGNING_ALG = "EdDSA";

/** A token may name any key: it makes us look for new ones no more often than this. */
const RELOAD_PAUSE_MS = 2_000;
const MAX_ASSERTION_SECONDS = 600;

export const OAUTH_METADATA_PATH = "/.well-known/oauth-authorization-server/oauth";
/** What there is under `/oauth`; the library knows more routes, and none of them leads anywhere. */
const PATHS: readonly string[] = ["/oauth/token", "/oauth/jwks", "/oauth/.well-known/openid-configuration"];

/** The OAuth server, mounted at `/oauth`, and the check of the tokens it gave. */
export interface OauthServer {
  /** Answers true when the request was its own. */
  readonly handle: (request: IncomingMessage, response: ServerResponse) => boolean;
  readonly principalOf: (presented: PresentedToken) => Promise<Result<Principal>>;
  /** The client that a token was issued to in answer to this request. */
  readonly clientOf: (request: IncomingMessage) => string | undefined;
  /** The nonce that DPoP proofs at the API must carry now. */
  readonly dpopNonce: () => string;
}

export interface OauthParts {
  /** Where clients find us beside the origin itself. */
  readonly mtlsOrigin: string | undefined;
  /** What is answered to whoever asks for a license in the way of RSL. */
  readonly answerOlp: AnswerOlp;
}

export async function createOauthServer(ctx: Context, { mtlsOrigin, answerOlp }: OauthParts): Promise<OauthServer> {
  const issuer = `${ctx.origin}/oauth`;
  const clients = new WeakMap<IncomingMessage, string>();
  const open = async () => openKeyed(ctx, { issuer, keys: await loadOauthKeys(ctx), mtlsOrigin, answerOlp, clients });
  let keyed = await open();
  let reloadedAtMs = -Infinity;

  async function reload(): Promise<void> {
    reloadedAtMs = ctx.clock.nowMs();
    keyed = await open();
  }

  ctx.notices.on("signing-keys", async (entries) => {
    if (entries === "all" || entries.includes(OAUTH_NOTICE)) await reload();
  });
  const check = {
    issuer,
    algorithm: SIGNING_ALG,
    verificationKeys: async (header: JWSHeaderParameters, token: FlattenedJWSInput) => {
      // Another server may have signed with a key whose notice is still on its way here.
      const isUnknown = !keyed.kids.includes(header.kid ?? "");
      if (isUnknown && Math.abs(ctx.clock.nowMs() - reloadedAtMs) >= RELOAD_PAUSE_MS) await reload();
      return keyed.verificationKeys(header, token);
    },
    nonces: { current: () => keyed.nonces.current(), isTaken: (nonce: string) => keyed.nonces.isTaken(nonce) },
    origins: mtlsOrigin === undefined ? [ctx.origin] : [ctx.origin, mtlsOrigin],
  };
  return {
    handle: (request, response) => {
      const url = request.url ?? "/";
      const path = url.split("?", 1)[0] ?? "/";
      const endpoint = olpEndpointOf(path);
      if (endpoint !== undefined) {
        void answerStandIn(ctx, { endpoint, callback: keyed.callback }, request, response);
        return true;
      }
      const isMetadata = path === OAUTH_METADATA_PATH;
      if (!isMetadata && !PATHS.includes(path)) return false;
      const isToken = path === "/oauth/token";
      const isOnMtlsPort =
        mtlsOrigin !== undefined && request.socket.localPort === Number(new URL(mtlsOrigin).port || "443");
      speakAs(isToken && isOnMtlsPort ? mtlsOrigin : ctx.origin, request);
      return mount(keyed.callback, request, response, isMetadata ? "/oauth/.well-known/openid-configuration" : url);
    },
    principalOf: (presented) => verifyAccessToken(ctx, presented, check),
    clientOf: (request) => clients.get(request),
    dpopNonce: () => keyed.nonces.current(),
  };
}

interface KeyedParts extends ProviderParts {
  readonly clients: WeakMap<IncomingMessage, string>;
}

/** Everything that depends on the OAuth server's keys, which are replaced while it runs. */
function openKeyed(ctx: Context, { clients, ...parts }: KeyedParts) {
  const provider = createProvider(ctx, parts);
  provider.use(async (koa: KoaContextWithOIDC, next: () => Promise<void>) => {
    if (koa.path.endsWith("/token") && (await refuseFarOver(ctx, koa))) return;
    await next();
    if (koa.oidc?.route !== "token") return;
    const isRefused = await limitTokens(ctx, koa);
    if (!isRefused && koa.status === 200 && koa.oidc.client !== undefined)
      clients.set(requestBehind(koa.req), koa.oidc.client.clientId);
  });
  return {
    kids: parts.keys.map((key) => thumbprint(key)),
    callback: provider.callback(),
    verificationKeys: createLocalJWKSet(publicKeySet(parts.keys)),
    nonces: dpopNoncesOf(ctx, nonceSecretOf(parts.keys)),
  };
}

/** Every server of one database has the same keys, so they need not agree on another secret. */
function nonceSecretOf(keys: readonly PrivateJwk[]): string {
  return keys[0]?.d ?? "";
}

/** oidc-provider builds its URLs from the request's host and protocol; they are the origin's, whatever the request says. */
function speakAs(origin: string, request: IncomingMessage): void {
  const { host, protocol } = new URL(origin);
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

interface StandInParts {
  readonly endpoint: OlpEndpoint;
  readonly callback: (request: IncomingMessage, response: ServerResponse) => unknown;
}

/** OLP's clients show who they are at the token endpoint, like all others, by a request that stands in for theirs. */
async function answerStandIn(
  ctx: Context,
  { endpoint, callback }: StandInParts,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    const standIn = await standInFor(request, endpoint);
    if (standIn === undefined)
      return sendOauthError(
        response,
        "invalid_request",
        "expected a form or a JSON object of texts, of at most 56 KiB",
      );
    speakAs(ctx.origin, standIn);
    mount(callback, standIn, response, "/oauth/token");
  } catch (error) {
    ctx.log.error({ error: String(error) }, "a call of OLP could not be read");
    if (!response.headersSent) sendOauthError(response, "server_error", "the request could not be read");
  }
}

function sendOauthError(
  response: ServerResponse,
  error: "invalid_request" | "server_error",
  description: string,
): void {
  response.writeHead(error === "server_error" ? 503 : 400, {
    "content-type": "application/json; charset=utf-8",
    "cache-control": "no-store",
    connection: "close",
  });
  response.end(JSON.stringify({ error, error_description: description }));
}

interface ProviderParts {
  readonly issuer: string;
  readonly answerOlp: AnswerOlp;
  readonly keys: readonly PrivateJwk[];
  readonly mtlsOrigin: string | undefined;
}

function createProvider(ctx: Context, { issuer, keys, mtlsOrigin, answerOlp }: ProviderParts): Provider {
  const provider = new OidcProvider(issuer, {
    adapter: (model: string) => databaseAdapter(ctx, model),
    jwks: { keys: keys.map((key) => ({ ...key, use: "sig", alg: SIGNING_ALG, kid: thumbprint(key) })) },
    clientDefaults: { id_token_signed_response_alg: SIGNING_ALG },
    clientAuthMethods: [...authMethodsOf(ctx)],
    enabledJWA: {
      idTokenSigningAlgValues: [SIGNING_ALG],
      clientAuthSigningAlgValues: [...CLIENT_ALGORITHMS],
      dPoPSigningAlgValues: [...CLIENT_ALGORITHMS],
    },
    assertJwtClientAuthClaimsAndHeader: (_koa, claims) => refuseLongAssertions(ctx, claims["exp"]),
    fetch: (url) => fetchKeys(ctx, url instanceof Request ? url.url : url instanceof URL ? url.href : url),
    responseTypes: [],
    claims: {},
    scopes: [...ALL_SCOPES],
    routes: { token: "/token", jwks: "/jwks" },
    ttl: { ClientCredentials: ACCESS_TOKEN_SECONDS },
    discovery:
      mtlsOrigin === undefined ? {} : { mtls_endpoint_aliases: { token_endpoint: `${mtlsOrigin}/oauth/token` } },
    features: {
      devInteractions: { enabled: false },
      userinfo: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      pushedAuthorizationRequests: { enabled: false },
      clientCredentials: { enabled: true },
      dPoP: { enabled: true, nonceSecret: tokenNonceSecret(keys), requireNonce: () => true },
      mTLS: certificateChecks(ctx),
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
  provider.use(hideAuthorizationEndpoint);
  takeRotatedSecrets(ctx, provider);
  registerOlpGrants(ctx, provider, answerOlp);
  provider.on("server_error", (_koa, error) => ctx.log.error({ error: error.message }, "the OAuth server failed"));
  return provider;
}

function authMethodsOf(ctx: Context): readonly AuthMethod[] {
  const { seesCertificates, hasAuthorities } = certificateSupportOf(ctx);
  return AUTH_METHODS.filter((method) => {
    if (method === "tls_client_auth") return seesCertificates && hasAuthorities;
    return method !== "self_signed_tls_client_auth" || seesCertificates;
  });
}

/** RFC 8705, with certificates from our own TLS or from a proxy that we trust. */
function certificateChecks(ctx: Context) {
  const { seesCertificates, hasAuthorities } = certificateSupportOf(ctx);
  return {
    enabled: seesCertificates,
    certificateBoundAccessTokens: seesCertificates,
    selfSignedTlsClientAuth: seesCertificates,
    tlsClientAuth: seesCertificates && hasAuthorities,
    getCertificate: (koa: KoaContextWithOIDC) => peerOf(koa.req).certificate,
    certificateAuthorized: (koa: KoaContextWithOIDC) => peerOf(koa.req).isCertified,
    certificateSubjectMatches: (koa: KoaContextWithOIDC, member: SubjectMember, expected: string) => {
      const { certificate } = peerOf(koa.req);
      return certificate !== undefined && subjectMatches(certificate, member, expected);
    },
  };
}

/** An assertion is remembered until it expires, so none may live for long. */
function refuseLongAssertions(ctx: Context, exp: unknown): void {
  if (typeof exp !== "number" || exp > nowSeconds(ctx) + MAX_ASSERTION_SECONDS)
    throw new errors.InvalidClientAuth(`expected an assertion that expires within ${MAX_ASSERTION_SECONDS} seconds`);
}

/** A client's `jwks_uri` is an address that somebody else chose. */
async function fetchKeys(ctx: Context, url: string): Promise<Response> {
  const read = await ctx.outbound.read(url, { accept: "application/jwk-set+json, application/json" });
  if (!read.ok) throw new Error(read.refusal.detail);
  return new Response(read.value.body, { status: read.value.status, headers: read.value.headers });
}

/** There is no such endpoint (RFC 8414 section 2: it may be left out when no grant uses it), and OLP's grants are asked for elsewhere. */
async function hideAuthorizationEndpoint(koa: KoaContextWithOIDC, next: () => Promise<void>): Promise<void> {
  await next();
  if (koa.oidc?.route !== "discovery" || typeof koa.body !== "object" || koa.body === null) return;
  const entries = Object.entries(koa.body).filter(([name]) => name !== "authorization_endpoint");
  koa.body = Object.fromEntries(
    entries.map(([name, value]) => [
      name,
      Array.isArray(value) ? value.filter((entry) => !OLP_GRANTS.includes(entry)) : value,
    ]),
  );
}

/** While a secret is being replaced, the one before is taken too. */
function takeRotatedSecrets(ctx: Context, provider: Provider): void {
  Object.assign(provider.Client.prototype, {
    async compareClientSecret(this: { readonly clientId: string }, given: string): Promise<boolean> {
      const client = await findClient(ctx.db, this.clientId);
      const hash = createHash("sha256").update(given).digest();
      const secrets = client === undefined ? [] : secretsOf(ctx, client);
      return secrets.some((secret) => timingSafeEqual(createHash("sha256").update(secret).digest(), hash));
    },
  });
}

function tokenNonceSecret(keys: readonly PrivateJwk[]): Buffer {
  return Buffer.from(hkdfSync("sha256", nonceSecretOf(keys), "", "licet/token-endpoint-nonce", 32));
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

function publicKeySet(keys: readonly PrivateJwk[]): JSONWebKeySet {
  return { keys: keys.map((key) => ({ ...publicJwkOf(key), kid: thumbprint(key), alg: SIGNING_ALG, use: "sig" })) };
}
