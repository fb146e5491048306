import { z } from "@hono/zod-openapi";
import { type Result, accept, formatInstant, refuse } from "@licet/protocol";
import type { Context } from "../../context.ts";
import { writeFact } from "../../events/write-fact.ts";
import { type Api, defineRoute, jsonAnswer, jsonBody, unwrap } from "../api.ts";
import { cutPage, identifierSchema, instantSchema, pageOf, pageQuery } from "../parameters.ts";
import { PLATFORM_SCOPES } from "../scopes.ts";
import { AUTH_METHODS, clientAuthenticationShape } from "./client-authentication.ts";
import {
  type ClientChange,
  changeAuthentication,
  changeClientState,
  checkClientAuthentication,
  createClient,
  recordClient,
  rotateSecret,
} from "./clients.ts";
import { type ClientRow, findClient, readClients } from "./store.ts";

const tags = ["clients"];
const idParam = z.object({ id: identifierSchema });
const MAX_OVERLAP_SECONDS = 30 * 86_400;
const DEFAULT_OVERLAP_SECONDS = 86_400;

/** What a new client gets; a secret is shown this once. */
export const clientCredentialsShape = {
  client_id: z.string(),
  client_secret: z.string().optional(),
  scope: z.string(),
  token_endpoint_auth_method: z.enum(AUTH_METHODS),
};
const credentialsSchema = z.object(clientCredentialsShape).openapi("ClientCredentials");

const clientSchema = z
  .object({
    client_id: z.string(),
    kind: z.enum(["platform", "marketplace"]),
    name: z.string(),
    marketplace_id: z.string().optional(),
    scope: z.string(),
    token_endpoint_auth_method: z.enum(AUTH_METHODS),
    /** Keys, certificates and bindings as they are registered (RFC 7591, RFC 8705, RFC 9449). */
    metadata: z.record(z.string(), z.unknown()),
    state: z.enum(["active", "suspended", "ended"]),
    state_since: instantSchema,
    old_secret_until: instantSchema.optional(),
    created_at: instantSchema,
  })
  .openapi("Client");

/** OAuth clients and their life: only the operator makes, changes and ends them. */
export function addClientRoutes(api: Api, ctx: Context): void {
  addRegistration(api, ctx);
  addReading(api, ctx);
  addStateChange(api, ctx, "suspend", "Take a client's access away from its next request on");
  addStateChange(api, ctx, "resume", "Give a suspended client its access back");
  addStateChange(api, ctx, "end", "Take a client's access away for good");
  addCredentialChanges(api, ctx);
}

function addRegistration(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/clients",
      tags,
      summary: "Make an OAuth client for the platform's own backend",
      request: {
        body: jsonBody(
          z.strictObject({
            name: z.string().trim().min(1).max(128),
            scopes: z.array(z.enum(PLATFORM_SCOPES)).min(1),
            ...clientAuthenticationShape,
          }),
        ),
      },
      responses: { 201: jsonAnswer("The credentials; a secret is shown once", credentialsSchema) },
    }),
    async (c) => {
      const { name, scopes, ...input } = c.req.valid("json");
      const authentication = unwrap(checkClientAuthentication(ctx, input));
      const client = unwrap(
        await writeFact(ctx, async (fact) => {
          const made = await createClient(ctx, fact.trx, { kind: "platform", name, scopes, authentication });
          recordClient(fact, made);
          return accept(made);
        }),
      );
      return c.json(client, 201, { "cache-control": "no-store" });
    },
  );
}

function addReading(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/clients",
      tags,
      summary: "List the OAuth clients, those of marketplaces included",
      request: { query: z.object(pageQuery) },
      responses: {
        200: jsonAnswer("A page", z.object({ clients: z.array(clientSchema), next: z.string().nullable() })),
      },
    }),
    async (c) => {
      const page = pageOf(c.req.valid("query"));
      const { rows, next } = cutPage(await readClients(ctx.db, page), page.limit, (row) => row.client_id);
      return c.json({ clients: rows.map((row) => clientView(ctx, row)), next }, 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/clients/{id}",
      tags,
      summary: "One OAuth client, without its secret",
      request: { params: idParam },
      responses: { 200: jsonAnswer("The client", clientSchema) },
    }),
    async (c) => {
      const { id } = c.req.valid("param");
      return c.json(clientView(ctx, unwrap(foundClient(await findClient(ctx.db, id), id))), 200);
    },
  );
}

function foundClient(client: ClientRow | undefined, id: string): Result<ClientRow> {
  return client === undefined ? refuse("not_found", `there is no client ${id}`) : accept(client);
}

function addStateChange(api: Api, ctx: Context, change: ClientChange, summary: string): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: `/api/v1/clients/{id}/${change}`,
      tags,
      summary,
      request: { params: idParam },
      responses: { 200: jsonAnswer("The client as it is now", clientSchema) },
    }),
    async (c) => {
      const { id } = c.req.valid("param");
      return c.json(clientView(ctx, unwrap(await changeClientState(ctx, id, change))), 200);
    },
  );
}

function addCredentialChanges(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/clients/{id}/secrets",
      tags,
      summary: "Give a client a new secret; the one before is taken for a while",
      request: {
        params: idParam,
        body: jsonBody(
          z.strictObject({
            overlap_seconds: z.int().min(0).max(MAX_OVERLAP_SECONDS).default(DEFAULT_OVERLAP_SECONDS),
          }),
        ),
      },
      responses: {
        201: jsonAnswer(
          "The new secret, shown once",
          z.object({ client_id: z.string(), client_secret: z.string(), old_secret_until: instantSchema }),
        ),
      },
    }),
    async (c) => {
      const { id } = c.req.valid("param");
      const { overlap_seconds } = c.req.valid("json");
      const { secret, oldSecretUntil } = unwrap(await rotateSecret(ctx, id, overlap_seconds));
      const body = { client_id: id, client_secret: secret, old_secret_until: formatInstant(oldSecretUntil) };
      return c.json(body, 201, { "cache-control": "no-store" });
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/clients/{id}/authentication",
      tags,
      summary: "Replace how a client shows who it is: method, keys, certificate, bindings",
      request: { params: idParam, body: jsonBody(z.strictObject(clientAuthenticationShape)) },
      responses: { 200: jsonAnswer("The credentials; a secret is shown once", credentialsSchema) },
    }),
    async (c) => {
      const { id } = c.req.valid("param");
      const credentials = unwrap(await changeAuthentication(ctx, id, c.req.valid("json")));
      return c.json(credentials, 200, { "cache-control": "no-store" });
    },
  );
}

function clientView(ctx: Context, row: ClientRow) {
  const { client_id, kind, name, marketplace_id, scope, auth_method, state, old_secret_until } = row;
  const isOldTaken = old_secret_until !== null && old_secret_until * 1_000 > ctx.clock.nowMs();
  return {
    client_id,
    kind,
    name,
    ...(marketplace_id === null ? {} : { marketplace_id }),
    scope,
    token_endpoint_auth_method: auth_method,
    metadata: JSON.parse(row.metadata),
    state,
    state_since: formatInstant(row.state_since ?? row.created_at),
    ...(isOldTaken ? { old_secret_until: formatInstant(old_secret_until) } : {}),
    created_at: formatInstant(row.created_at),
  };
}
