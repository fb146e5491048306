import {
  type JsonObject,
  type Result,
  accept,
  algorithmOf,
  canonicalize,
  parsePublicJwk,
  refuse,
  thumbprint,
} from "@licet/protocol";
import { ulid } from "ulid";
import type { Context } from "../context.ts";
import { writeFact } from "../events/write-fact.ts";
import type { ClientAuthenticationInput } from "../http/oauth/client-authentication.ts";
import {
  type ClientCredentials,
  checkClientAuthentication,
  createClient,
  recordClient,
} from "../http/oauth/clients.ts";
import { checkOutboundUrl } from "../http/outbound.ts";
import type { ClientScope } from "../http/scopes.ts";
import { createEndpoint } from "./add-endpoint.ts";
import { type ReceiptKeyRow, findMarketplace, insertMarketplace, insertReceiptKey } from "./store.ts";

export interface NewMarketplace {
  readonly marketplaceId: string | undefined;
  readonly name: string;
  readonly baseUrl: string;
  readonly webhookUrl: string;
  /** What this platform presents at the marketplace's own API. */
  readonly platformToken: string | undefined;
  readonly scopes: readonly ClientScope[];
  readonly authentication: ClientAuthenticationInput;
}

/** What a marketplace needs to connect; the secrets are shown once. */
export interface MarketplaceCredentials extends ClientCredentials {
  readonly marketplace_id: string;
  readonly webhook_endpoint_id: string;
  readonly webhook_secret: string;
}

/** A receipt key may sign for five years unless it is replaced before. */
const RECEIPT_KEY_SECONDS = 5 * 366 * 86_400;

/** Registers a marketplace with an OAuth client and a webhook endpoint of its own. Refuses `already_exists` and `input_invalid`. */
export async function registerMarketplace(
  ctx: Context,
  input: NewMarketplace,
): Promise<Result<MarketplaceCredentials>> {
  for (const url of [input.baseUrl, input.webhookUrl]) {
    const reachable = checkOutboundUrl(url, ctx.config.allowedHosts);
    if (!reachable.ok) return reachable;
  }
  const authentication = checkClientAuthentication(ctx, input.authentication);
  if (!authentication.ok) return authentication;
  return writeFact(ctx, async (fact) => {
    const marketplaceId = input.marketplaceId ?? `mkt_${ulid(ctx.clock.nowMs())}`;
    const sealedToken =
      input.platformToken === undefined
        ? null
        : ctx.sealer.seal(platformTokenLabel(marketplaceId), input.platformToken);
    const isNew = await insertMarketplace(fact.trx, {
      marketplace_id: marketplaceId,
      name: input.name,
      base_url: input.baseUrl,
      sealed_platform_token: sealedToken,
      created_at: fact.now,
    });
    if (!isNew)
      return refuse(
        "already_exists",
        `the marketplace ${marketplaceId} is registered already, perhaps in another case`,
      );
    const client = await createClient(ctx, fact.trx, {
      kind: "marketplace",
      name: input.name,
      marketplaceId,
      scopes: input.scopes,
      authentication: authentication.value,
    });
    recordClient(fact, client);
    const { endpoint, secret } = await createEndpoint(ctx, fact.trx, marketplaceId, {
      url: input.webhookUrl,
      description: "",
      changes: undefined,
      keySigned: false,
    });
    fact.record({
      type: "marketplace.registered",
      aggregate: marketplaceId,
      body: { marketplace_id: marketplaceId, client_id: client.client_id, endpoint_id: endpoint.endpoint_id },
    });
    return accept({
      marketplace_id: marketplaceId,
      ...client,
      webhook_endpoint_id: endpoint.endpoint_id,
      webhook_secret: secret,
    });
  });
}

/** Registers the public key a marketplace signs its receipts with. Refuses `key_malformed`, `key_exists` and `not_found`. */
export async function registerReceiptKey(
  ctx: Context,
  marketplaceId: string,
  input: JsonObject,
): Promise<Result<ReceiptKeyRow>> {
  const jwk = parsePublicJwk(input);
  if (!jwk.ok) return jwk;
  return writeFact(ctx, async (fact) => {
    if ((await findMarketplace(fact.trx, marketplaceId)) === undefined)
      return refuse("not_found", `there is no marketplace ${marketplaceId}`);
    const row: ReceiptKeyRow = {
      kid: thumbprint(jwk.value),
      marketplace_id: marketplaceId,
      alg: algorithmOf(jwk.value),
      public_jwk: canonicalize({ ...jwk.value }),
      not_before: fact.now,
      not_after: fact.now + RECEIPT_KEY_SECONDS,
      revoked_at: null,
      compromised_since: null,
    };
    if (!(await insertReceiptKey(fact.trx, row)))
      return refuse("key_exists", `the key ${row.kid} is registered already`);
    fact.record({
      type: "receipt-key.registered",
      aggregate: marketplaceId,
      body: { marketplace_id: marketplaceId, kid: row.kid, alg: row.alg },
    });
    return accept(row);
  });
}

export function platformTokenLabel(marketplaceId: string): string {
  return `marketplace/${marketplaceId}/platform_token`;
}
