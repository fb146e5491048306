import { isIdentifier } from "@licet/protocol";
import type { Adapter, AdapterPayload } from "oidc-provider";
import type { Context } from "../../context.ts";
import { nowSeconds } from "../../context.ts";
import { secretsOf } from "./clients.ts";
import { errors } from "./library.ts";
import { OLP_GRANTS } from "./olp-grants.ts";
import { deleteRecord, findClient, findRecord, saveRecord, saveRecordOnce } from "./store.ts";

/** Where oidc-provider keeps its records, and finds its clients: our own tables. */
export function databaseAdapter(ctx: Context, model: string): Adapter {
  return {
    upsert: async (id, payload, expiresIn) => {
      const expiresAt = expiresIn === undefined ? null : nowSeconds(ctx) + expiresIn;
      const record = { model, id, payload: JSON.stringify(payload), expires_at: expiresAt };
      if (model !== "ReplayDetection") return saveRecord(ctx.db, record);
      if (!(await saveRecordOnce(ctx.db, record)))
        throw new errors.InvalidRequest("expected an assertion or proof that was not used before");
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
  if (client?.state !== "active") return undefined;
  const [secret] = secretsOf(ctx, client);
  return {
    client_id: client.client_id,
    ...(secret === undefined ? {} : { client_secret: secret }),
    client_name: client.name,
    scope: client.scope,
    grant_types: ["client_credentials", ...OLP_GRANTS],
    redirect_uris: [],
    response_types: [],
    token_endpoint_auth_method: client.auth_method,
    ...JSON.parse(client.metadata),
  };
}
