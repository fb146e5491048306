import { z } from "@hono/zod-openapi";
import { CHANGES, type Result, accept, formatInstant, refuse, webhookPublicKey } from "@licet/protocol";
import type { Context } from "../context.ts";
import { type Api, defineRoute, jsonAnswer, jsonBody, unwrap } from "../http/api.ts";
import { cutPage, identifierSchema, instantSchema, pageOf, pageQuery, webUrlSchema } from "../http/parameters.ts";
import type { Principal } from "../http/principal.ts";
import { readPlatformKeys } from "../keys/find-key.ts";
import { addEndpoint, changesOf } from "./add-endpoint.ts";
import {
  changeEndpoint,
  deleteEndpoint,
  disableEndpoint,
  enableEndpoint,
  findOwnEndpoint,
  rotateSecret,
} from "./change-endpoint.ts";
import { type EndpointRow, type OldSecretRow, readEndpoints, readOldSecrets } from "./endpoint-store.ts";
import { disableAtMs } from "./judge-endpoint.ts";

const tags = ["webhooks"];
const idParam = z.object({ id: identifierSchema });
/** How long the secret before the new one goes on signing, unless it is said otherwise. */
const OVERLAP_SECONDS = 86_400;

const changesSchema = z
  .array(z.enum(CHANGES))
  .max(CHANGES.length)
  .openapi({
    description:
      "what it is sent; revoked, suspended, expired, withdrawn and erased are sent to every endpoint, named or not",
    example: ["published"],
  });
const descriptionSchema = z.string().trim().max(200);
const endpointSchema = z
  .object({
    endpoint_id: identifierSchema,
    marketplace_id: identifierSchema,
    url: z.string(),
    description: z.string(),
    changes: z.array(z.string()),
    key_signed: z.boolean(),
    public_keys: z.array(z.string()).optional(),
    state: z.enum(["enabled", "disabled"]),
    disabled_at: instantSchema.optional(),
    disabled_reason: z.enum(["operator", "marketplace", "gone", "failing", "restored"]).optional(),
    failing_since: instantSchema.optional(),
    disable_at: instantSchema.optional(),
    older_secrets_until: instantSchema.optional(),
    created_at: instantSchema,
  })
  .openapi("WebhookEndpoint");

const endpointInputSchema = z
  .strictObject({
    marketplace_id: identifierSchema
      .optional()
      .openapi({ description: "whose it is; a marketplace adds its own and may leave it out" }),
    url: webUrlSchema,
    description: descriptionSchema.default(""),
    changes: changesSchema.optional(),
    key_signed: z
      .boolean()
      .default(false)
      .openapi({ description: "also sign with the platform's key (Standard Webhooks v1a)" }),
  })
  .openapi("WebhookEndpointInput");

const endpointChangesSchema = z
  .strictObject({
    url: webUrlSchema.optional(),
    description: descriptionSchema.optional(),
    changes: changesSchema.nullable().optional().openapi({ description: "null asks for all again" }),
    key_signed: z.boolean().optional(),
  })
  .openapi("WebhookEndpointChanges");

/** Where marketplaces listen: each manages its own endpoints, the operator all. */
export function addEndpointRoutes(api: Api, ctx: Context): void {
  addReadingRoutes(api, ctx);
  addAddingRoute(api, ctx);
  addChangingRoutes(api, ctx);
  addSwitchRoutes(api, ctx);
  addRotationRoute(api, ctx);
}

/** A marketplace's own id; undefined for the operator, who reaches every endpoint. */
function ownerOf(principal: Principal): string | undefined {
  return principal.kind === "marketplace" ? principal.marketplaceId : undefined;
}

function addReadingRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/webhook-endpoints",
      tags,
      summary: "List the webhook endpoints; a marketplace sees its own",
      request: { query: z.object({ marketplace_id: identifierSchema.optional(), ...pageQuery }) },
      responses: {
        200: jsonAnswer("A page", z.object({ endpoints: z.array(endpointSchema), next: z.string().nullable() })),
      },
    }),
    async (c) => {
      const query = c.req.valid("query");
      const page = pageOf(query);
      const owner = unwrap(marketplaceAsked(c.get("principal"), query.marketplace_id));
      const found = await readEndpoints(ctx.db, { ...page, marketplaceId: owner });
      const { rows, next } = cutPage(found, page.limit, (row) => row.endpoint_id);
      return c.json({ endpoints: await viewsOf(ctx, rows), next }, 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/webhook-endpoints/{id}",
      tags,
      summary: "One webhook endpoint",
      request: { params: idParam },
      responses: { 200: jsonAnswer("The endpoint", endpointSchema) },
    }),
    async (c) => c.json(await viewOf(ctx, unwrap(await findOwnEndpoint(ctx, nameOf(c)))), 200),
  );
}

function addAddingRoute(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/webhook-endpoints",
      tags,
      summary: "Add a webhook endpoint to a marketplace",
      request: { body: jsonBody(endpointInputSchema) },
      responses: {
        201: jsonAnswer("The endpoint; its secret is shown once", endpointSchema.extend({ secret: z.string() })),
      },
    }),
    async (c) => {
      const { marketplace_id, url, description, changes, key_signed } = c.req.valid("json");
      const asked = unwrap(marketplaceAsked(c.get("principal"), marketplace_id));
      const owner = unwrap<string>(
        asked === undefined
          ? refuse("input_invalid", "body.marketplace_id: expected a marketplace, got none")
          : accept(asked),
      );
      const input = { url, description, changes, keySigned: key_signed };
      const { endpoint, secret } = unwrap(await addEndpoint(ctx, owner, input));
      return c.json({ ...(await viewOf(ctx, endpoint)), secret }, 201, { "cache-control": "no-store" });
    },
  );
}

function addChangingRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "patch",
      path: "/api/v1/webhook-endpoints/{id}",
      tags,
      summary: "Change a webhook endpoint's URL, filter, description or signatures",
      request: { params: idParam, body: jsonBody(endpointChangesSchema) },
      responses: { 200: jsonAnswer("The endpoint as it is now", endpointSchema) },
    }),
    async (c) => {
      const { url, description, changes, key_signed } = c.req.valid("json");
      const input = { url, description, changes, keySigned: key_signed };
      return c.json(await viewOf(ctx, unwrap(await changeEndpoint(ctx, nameOf(c), input))), 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "delete",
      path: "/api/v1/webhook-endpoints/{id}",
      tags,
      summary: "Delete a webhook endpoint: nothing more is sent to it, what was sent stays readable",
      request: { params: idParam },
      responses: { 204: { description: "Deleted" } },
    }),
    async (c) => {
      unwrap(await deleteEndpoint(ctx, nameOf(c)));
      return c.body(null, 204);
    },
  );
}

function addSwitchRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/webhook-endpoints/{id}/disable",
      tags,
      summary: "Send nothing more for now; what happens meanwhile is held",
      request: { params: idParam },
      responses: { 200: jsonAnswer("The endpoint as it is now", endpointSchema) },
    }),
    async (c) => c.json(await viewOf(ctx, unwrap(await disableEndpoint(ctx, nameOf(c)))), 200),
  );

  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/webhook-endpoints/{id}/enable",
      tags,
      summary: "Send again, beginning with what was held; what the operator disabled, the operator enables",
      request: { params: idParam },
      responses: { 200: jsonAnswer("The endpoint as it is now", endpointSchema) },
    }),
    async (c) => c.json(await viewOf(ctx, unwrap(await enableEndpoint(ctx, nameOf(c)))), 200),
  );
}

function addRotationRoute(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/webhook-endpoints/{id}/secret-rotations",
      tags,
      summary: "Replace the secret; for a day the one before signs too",
      request: {
        params: idParam,
        body: jsonBody(
          z.strictObject({
            overlap_seconds: z.int().min(0).max(OVERLAP_SECONDS).default(OVERLAP_SECONDS).openapi({
              description: "how long the secret before signs too; 0 ends every older secret at once, as after a leak",
            }),
          }),
        ),
      },
      responses: {
        201: jsonAnswer(
          "The new secret, shown once",
          z
            .object({ endpoint_id: identifierSchema, secret: z.string(), overlap_until: instantSchema })
            .openapi("RotatedWebhookSecret"),
        ),
      },
    }),
    async (c) => {
      const { secret, overlapUntilMs } = unwrap(
        await rotateSecret(ctx, nameOf(c), c.req.valid("json").overlap_seconds),
      );
      const answer = { endpoint_id: c.req.valid("param").id, secret, overlap_until: instantOf(overlapUntilMs) };
      return c.json(answer, 201, { "cache-control": "no-store" });
    },
  );
}

function nameOf(c: {
  readonly get: (key: "principal") => Principal;
  readonly req: { readonly valid: (target: "param") => { readonly id: string } };
}): { readonly endpointId: string; readonly marketplaceId: string | undefined } {
  return { endpointId: c.req.valid("param").id, marketplaceId: ownerOf(c.get("principal")) };
}

/** Refuses `not_yours` when a marketplace names another one. */
function marketplaceAsked(principal: Principal, named: string | undefined): Result<string | undefined> {
  const owner = ownerOf(principal);
  return owner !== undefined && named !== undefined && named !== owner
    ? refuse("not_yours", "expected your own marketplace")
    : accept(owner ?? named);
}

type EndpointView = z.infer<typeof endpointSchema>;

async function viewOf(ctx: Context, row: EndpointRow): Promise<EndpointView> {
  const [view] = await viewsOf(ctx, [row]);
  if (view === undefined) throw new TypeError("expected one endpoint");
  return view;
}

async function viewsOf(ctx: Context, rows: readonly EndpointRow[]): Promise<EndpointView[]> {
  const old = await readOldSecrets(
    ctx.db,
    rows.map((row) => row.endpoint_id),
    ctx.clock.nowMs(),
  );
  const publicKeys = rows.some((row) => row.key_signed) ? await readPublicKeys(ctx) : [];
  return rows.map((row) => endpointView(row, { old, publicKeys }));
}

async function readPublicKeys(ctx: Context): Promise<readonly string[]> {
  const keys = await readPlatformKeys(ctx.db);
  return keys
    .filter((key) => key.purpose === "webhook" && key.status === "active")
    .flatMap((key) => webhookPublicKey(key.jwk) ?? []);
}

function endpointView(
  row: EndpointRow,
  { old, publicKeys }: { readonly old: readonly OldSecretRow[]; readonly publicKeys: readonly string[] },
): EndpointView {
  const { endpoint_id, marketplace_id, url, description, key_signed, failing_since_ms } = row;
  const overlaps = old.filter((secret) => secret.endpoint_id === endpoint_id).map((secret) => secret.valid_until_ms);
  return {
    endpoint_id,
    marketplace_id,
    url,
    description,
    changes: [...changesOf(row)],
    key_signed,
    ...(key_signed ? { public_keys: [...publicKeys] } : {}),
    state: row.disabled_at === null ? "enabled" : "disabled",
    ...(row.disabled_at === null ? {} : { disabled_at: formatInstant(row.disabled_at) }),
    ...(row.disabled_reason === null ? {} : { disabled_reason: row.disabled_reason }),
    ...(failing_since_ms === null ? {} : { failing_since: instantOf(failing_since_ms) }),
    ...(failing_since_ms === null || row.disabled_at !== null
      ? {}
      : { disable_at: instantOf(disableAtMs(failing_since_ms)) }),
    ...(overlaps.length === 0 ? {} : { older_secrets_until: instantOf(Math.max(...overlaps)) }),
    created_at: formatInstant(row.created_at),
  };
}

function instantOf(ms: number): string {
  return formatInstant(Math.floor(ms / 1_000));
}
