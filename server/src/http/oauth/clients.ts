import { type Result, accept, refuse } from "@licet/protocol";
import { randomBytes } from "node:crypto";
import { ulid } from "ulid";
import type { Context } from "../../context.ts";
import { nowSeconds } from "../../context.ts";
import type { Trx } from "../../db/open-database.ts";
import { type Fact, writeFact } from "../../events/write-fact.ts";
import { checkOutboundUrl } from "../outbound.ts";
import type { ClientScope } from "../scopes.ts";
import {
  type CertificateSupport,
  type ClientAuthentication,
  type ClientAuthenticationInput,
  readClientAuthentication,
} from "./client-authentication.ts";
import { type ClientRow, insertClient, lockClient, updateClient } from "./store.ts";

export interface NewClient {
  readonly kind: "platform" | "marketplace";
  readonly name: string;
  readonly marketplaceId?: string;
  readonly scopes: readonly ClientScope[];
  /** By default a secret. */
  readonly authentication?: ClientAuthentication;
}

/** Credentials as they are shown, once; a client that has a key or certificate of its own has no secret. */
export interface ClientCredentials {
  readonly client_id: string;
  readonly client_secret?: string;
  readonly scope: string;
  readonly token_endpoint_auth_method: ClientAuthentication["method"];
}

const SECRET_BYTES = 32;
const BY_SECRET: ClientAuthentication = { method: "client_secret_basic", metadata: {} };

/** Makes an OAuth client. A secret is kept sealed, because the OAuth server must compare it. */
export async function createClient(ctx: Context, trx: Trx, client: NewClient): Promise<ClientCredentials> {
  const { method, metadata } = client.authentication ?? BY_SECRET;
  const clientId = `client_${ulid(ctx.clock.nowMs())}`;
  const secret = method === "client_secret_basic" ? newSecret() : undefined;
  const scope = client.scopes.join(" ");
  await insertClient(trx, {
    client_id: clientId,
    kind: client.kind,
    name: client.name,
    marketplace_id: client.marketplaceId ?? null,
    scope,
    sealed_secret: secret === undefined ? null : ctx.sealer.seal(clientSecretLabel(clientId), secret),
    created_at: nowSeconds(ctx),
    auth_method: method,
    metadata: JSON.stringify(metadata),
  });
  return {
    client_id: clientId,
    ...(secret === undefined ? {} : { client_secret: secret }),
    scope,
    token_endpoint_auth_method: method,
  };
}

/** Judges how a client wants to show who it is. Refuses `input_invalid` and `url_forbidden`. */
export function checkClientAuthentication(
  ctx: Context,
  input: ClientAuthenticationInput,
): Result<ClientAuthentication> {
  if (input.jwks_uri !== undefined) {
    const reachable = checkOutboundUrl(input.jwks_uri, ctx.config.allowedHosts);
    if (!reachable.ok) return reachable;
  }
  return readClientAuthentication(input, certificateSupportOf(ctx));
}

export function certificateSupportOf({ config }: Pick<Context, "config">): CertificateSupport {
  return {
    seesCertificates: config.mtlsPort !== undefined || !config.trustedProxies.isEmpty,
    hasAuthorities: config.mtlsCaPath !== undefined,
  };
}

/** Records that a client exists now; the fact that makes it calls this. */
export function recordClient(fact: Fact, { client_id, scope }: ClientCredentials): void {
  fact.record({ type: "client.registered", aggregate: client_id, body: { client_id, scope } });
}

const TRANSITIONS = {
  suspend: { from: ["active"], to: "suspended", event: "client.suspended" },
  resume: { from: ["suspended"], to: "active", event: "client.resumed" },
  end: { from: ["active", "suspended"], to: "ended", event: "client.ended" },
} as const;
export type ClientChange = keyof typeof TRANSITIONS;

/**
 * Suspends, resumes or ends a client. Its state is read at each request, so it counts from the next
 * one on, also for tokens it holds. The same again changes nothing. Refuses `not_found` and, for a
 * client that has ended, `conflict`.
 */
export async function changeClientState(
  ctx: Context,
  clientId: string,
  change: ClientChange,
): Promise<Result<ClientRow>> {
  const { from, to, event } = TRANSITIONS[change];
  return writeFact(ctx, async (fact) => {
    const client = await lockClient(fact.trx, clientId);
    if (client === undefined) return refuse("not_found", `there is no client ${clientId}`);
    if (client.state === to) return accept(client);
    if (!from.some((state) => state === client.state))
      return refuse("conflict", `expected a client that is ${from.join(" or ")}, got one that is ${client.state}`);
    const changed = { state: to, state_since: fact.now };
    await updateClient(fact.trx, clientId, changed);
    fact.record({ type: event, aggregate: clientId, body: { client_id: clientId } });
    return accept({ ...client, ...changed });
  });
}

/**
 * Gives a client a new secret; the one before is taken for `overlapSeconds` more. One that is older
 * still is out at once. Refuses `not_found`, and `conflict` for clients without a secret.
 */
export async function rotateSecret(
  ctx: Context,
  clientId: string,
  overlapSeconds: number,
): Promise<Result<{ readonly secret: string; readonly oldSecretUntil: number }>> {
  return writeFact(ctx, async (fact) => {
    const client = await findLiving(fact, clientId);
    if (!client.ok) return client;
    const { auth_method, sealed_secret } = client.value;
    if (sealed_secret === null)
      return refuse("conflict", `expected a client with a secret, got one that uses ${auth_method}`);
    const secret = newSecret();
    const oldSecretUntil = fact.now + overlapSeconds;
    await updateClient(fact.trx, clientId, {
      sealed_secret: ctx.sealer.seal(clientSecretLabel(clientId), secret),
      old_sealed_secret: overlapSeconds === 0 ? null : sealed_secret,
      old_secret_until: overlapSeconds === 0 ? null : oldSecretUntil,
    });
    recordCredentials(fact, clientId, "client_secret_basic");
    return accept({ secret, oldSecretUntil });
  });
}

/** Replaces how a client shows who it is: another method, other keys. Refuses `not_found`, `conflict` and `input_invalid`. */
export async function changeAuthentication(
  ctx: Context,
  clientId: string,
  input: ClientAuthenticationInput,
): Promise<Result<ClientCredentials>> {
  const authentication = checkClientAuthentication(ctx, input);
  if (!authentication.ok) return authentication;
  const { method, metadata } = authentication.value;
  return writeFact(ctx, async (fact) => {
    const client = await findLiving(fact, clientId);
    if (!client.ok) return client;
    const secret = method === "client_secret_basic" ? newSecret() : undefined;
    await updateClient(fact.trx, clientId, {
      auth_method: method,
      metadata: JSON.stringify(metadata),
      sealed_secret: secret === undefined ? null : ctx.sealer.seal(clientSecretLabel(clientId), secret),
      old_sealed_secret: null,
      old_secret_until: null,
    });
    recordCredentials(fact, clientId, method);
    return accept({
      client_id: clientId,
      ...(secret === undefined ? {} : { client_secret: secret }),
      scope: client.value.scope,
      token_endpoint_auth_method: method,
    });
  });
}

/**
 * The credentials that a client has now are lost, and the ones known here may be somebody else's
 * too: nothing is taken from it any more, and it is suspended until the operator gives it new ones.
 * Refuses `not_found` and `conflict`.
 */
export async function loseCredentials(ctx: Context, clientId: string): Promise<Result<ClientRow>> {
  return writeFact(ctx, async (fact) => {
    const client = await findLiving(fact, clientId);
    if (!client.ok) return client;
    const isNew = client.value.state !== "suspended";
    const lost = {
      auth_method: "client_secret_basic" as const,
      metadata: "{}",
      sealed_secret: ctx.sealer.seal(clientSecretLabel(clientId), newSecret()),
      old_sealed_secret: null,
      old_secret_until: null,
      state: "suspended" as const,
      state_since: isNew ? fact.now : client.value.state_since,
    };
    await updateClient(fact.trx, clientId, lost);
    recordCredentials(fact, clientId, lost.auth_method);
    if (isNew) fact.record({ type: "client.suspended", aggregate: clientId, body: { client_id: clientId } });
    return accept({ ...client.value, ...lost });
  });
}

async function findLiving(fact: Fact, clientId: string): Promise<Result<ClientRow>> {
  const client = await lockClient(fact.trx, clientId);
  if (client === undefined) return refuse("not_found", `there is no client ${clientId}`);
  return client.state === "ended" ? refuse("conflict", "expected a client that has not ended") : accept(client);
}

function recordCredentials(fact: Fact, clientId: string, method: ClientAuthentication["method"]): void {
  fact.record({ type: "client.credentials-changed", aggregate: clientId, body: { client_id: clientId, method } });
}

/** The secrets that a client may present now. */
export function secretsOf(ctx: Context, client: ClientRow): readonly string[] {
  const { client_id, sealed_secret, old_sealed_secret, old_secret_until } = client;
  const isOldTaken = old_secret_until !== null && nowSeconds(ctx) < old_secret_until;
  return [sealed_secret, isOldTaken ? old_sealed_secret : null].flatMap((sealed) =>
    sealed === null ? [] : [ctx.sealer.open(clientSecretLabel(client_id), sealed)],
  );
}

function newSecret(): string {
  return randomBytes(SECRET_BYTES).toString("base64url");
}

function clientSecretLabel(clientId: string): string {
  return `oauth_client/${clientId}`;
}
