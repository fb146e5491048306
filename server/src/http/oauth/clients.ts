import { randomBytes } from "node:crypto";
import { ulid } from "ulid";
import type { Context } from "../../context.ts";
import { nowSeconds } from "../../context.ts";
import type { Trx } from "../../db/open-database.ts";
import type { ClientScope } from "../scopes.ts";
import { insertClient } from "./store.ts";

export interface NewClient {
  readonly kind: "platform" | "marketplace";
  readonly name: string;
  readonly marketplaceId?: string;
  readonly scopes: readonly ClientScope[];
}

/** Credentials as they are shown, once. */
export interface ClientCredentials {
  readonly client_id: string;
  readonly client_secret: string;
  readonly scope: string;
}

const SECRET_BYTES = 32;

/** Makes an OAuth client. The secret is kept sealed, because the OAuth server must compare it. */
export async function createClient(ctx: Context, trx: Trx, client: NewClient): Promise<ClientCredentials> {
  const clientId = `client_${ulid(ctx.clock.nowMs())}`;
  const secret = randomBytes(SECRET_BYTES).toString("base64url");
  const scope = client.scopes.join(" ");
  await insertClient(trx, {
    client_id: clientId,
    kind: client.kind,
    name: client.name,
    marketplace_id: client.marketplaceId ?? null,
    scope,
    sealed_secret: ctx.sealer.seal(clientSecretLabel(clientId), secret),
    created_at: nowSeconds(ctx),
  });
  return { client_id: clientId, client_secret: secret, scope };
}

export function clientSecretLabel(clientId: string): string {
  return `oauth_client/${clientId}`;
}
