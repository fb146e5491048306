import { isIdentifier } from "@licet/protocol";
import type { Adapter, AdapterPayload } from "oidc-provider";
import type { Context } from "../../context.ts";
import { nowSeconds } from "../../context.ts";
import { clientSecretLabel } from "./clients.ts";
import { deleteRecord, findClient, findRecord, saveRecord } from "./store.ts";

/** Where oidc-provider keeps its records, and finds its clients: our own tables. */
export function databaseAdapter(ctx: Context, model: string): Adapter {
  return {
    upsert: async (id, payload, expiresIn) => {
      const expiresAt = expiresIn === undefined ? null : nowSeconds(ctx) + expiresIn;
      await saveRecord(ctx.db, { model, id, payload: JSON.stringify(payload), expires_at: expiresAt });
    },
    find: (id) => (model === "Client" ? findClientMetadata(ctx, id) : findPayload(ctx, model, id)),
    consume: async (id) => {
      const payload = await findPayload(ctx, model, id);
      if (payload === undefined) return;
      await saveRecord(ctx.db, {
        model,
        id,
        payload: JSON.stringify({ ...payload, consumed: nowSeconds(ctx) }),
        expires_at: null,
      });
    },
    destroy: (id) => deleteRecord(ctx.db, model, id),
    findByUid: noBrowserSessions,
    findByUserCode: noBrowserSessions,
    revokeByGrantId: async () => undefined,
  };
}

/** Sessions and device codes belong to grants that this server does not offer. */
async function noBrowserSessions(): Promise<undefined> {
  return undefined;
}

async function findPayload(ctx: Context, model: string, id: string): Promise<AdapterPayload | undefined> {
  const record = await findRecord(ctx.db, model, id);
  if (record === undefined || (record.expires_at !== null && record.expires_at <= nowSeconds(ctx))) return undefined;
  return JSON.parse(record.payload);
}

async function findClientMetadata(ctx: Context, clientId: string): Promise<AdapterPayload | undefined> {
  if (!isIdentifier(clientId)) return undefined;
  const client = await findClient(ctx.db, clientId);
  if (client === undefined) return undefined;
  return {
    client_id: client.client_id,
    client_secret: ctx.sealer.open(clientSecretLabel(client.client_id), client.sealed_secret),
    client_name: client.name,
    scope: client.scope,
    grant_types: ["client_credentials"],
    redirect_uris: [],
    response_types: [],
    token_endpoint_auth_method: "client_secret_basic",
  };
}
