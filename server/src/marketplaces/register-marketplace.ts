import {
  type JsonObject,
  type Result,
  accept,
  algorithmOf,
  canonicalize,
  parsePublicJwk,
  refuse,
  thumbprint,
  webhookSecret,
} from "@licet/protocol";
import { randomBytes } from "node:crypto";
import { ulid } from "ulid";
import type { Context } from "../context.ts";
import { writeFact } from "../events/write-fact.ts";
import { type ClientCredentials, createClient } from "../http/oauth/clients.ts";
import { checkOutboundUrl } from "../http/outbound.ts";
import type { ClientScope } from "../http/scopes.ts";
import { type ReceiptKeyRow, findMarketplace, insertEndpoint, insertMarketplace, insertReceiptKey } from "./store.ts";

export interface NewMarketplace {
  readonly marketplaceId: string | undefined;
  readonly name: string;
  readonly baseUrl: string;
  readonly webhookUrl: string;
  /** What this platform presents at the marketplace's own API. */
  readonly platformToken: string | undefined;
  readonly scopes: readonly ClientScope[];
}

/** What a marketplace needs to connect; the secrets are shown once. */
export interface MarketplaceCredentials extends ClientCredentials {
  readonly marketplace_id: string;
  readonly webhook_endpoint_id: string;
  readonly webhook_secret: string;
}

const SECRET_BYTES = 32;
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
    });
    const endpointId = `whe_${ulid(ctx.clock.nowMs())}`;
    const secret = webhookSecret(randomBytes(SECRET_BYTES));
    await insertEndpoint(fact.trx, {
      endpoint_id: endpointId,
      marketplace_id: marketplaceId,
      url: input.webhookUrl,
      sealed_secret: ctx.sealer.seal(webhookSecretLabel(endpointId), secret),
      created_at: fact.now,
      disabled_at: null,
    });
    fact.record({
      type: "marketplace.registered",
      aggregate: marketplaceId,
      body: { marketplace_id: marketplaceId, client_id: client.client_id, endpoint_id: endpointId },
    });
    return accept({
      marketplace_id: marketplaceId,
      ...client,
      webhook_endpoint_id: endpointId,
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

export function webhookSecretLabel(endpointId: string): string {
  return `webhook_endpoint/${endpointId}`;
}
