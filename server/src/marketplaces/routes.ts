import { z } from "@hono/zod-openapi";
import { type Result, accept, formatInstant, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { type Api, defineRoute, jsonAnswer, jsonBody, unwrap } from "../http/api.ts";
import { clientAuthenticationShape } from "../http/oauth/client-authentication.ts";
import { clientCredentialsShape } from "../http/oauth/client-routes.ts";
import { cutPage, identifierSchema, instantSchema, pageOf, pageQuery, webUrlSchema } from "../http/parameters.ts";
import type { Principal } from "../http/principal.ts";
import { MARKETPLACE_SCOPES } from "../http/scopes.ts";
import { addEndpointRoutes } from "./endpoint-routes.ts";
import { registerMarketplace, registerReceiptKey } from "./register-marketplace.ts";
import {
  type MarketplaceRow,
  type ReceiptKeyRow,
  findMarketplace,
  readMarketplaces,
  readReceiptKeys,
} from "./store.ts";

const tags = ["marketplaces"];
const idParam = z.object({ id: identifierSchema });
const nameSchema = z.string().trim().min(1).max(128);
const receiptKeySchema = z
  .object({ kid: z.string(), alg: z.string(), not_before: instantSchema, not_after: instantSchema })
  .openapi("ReceiptKey");
const marketplaceSchema = z
  .object({
    marketplace_id: identifierSchema,
    name: z.string(),
    base_url: z.string(),
    created_at: instantSchema,
    receipt_keys: z.array(receiptKeySchema),
  })
  .openapi("Marketplace");

const marketplaceInputSchema = z
  .strictObject({
    marketplace_id: identifierSchema.optional(),
    name: nameSchema,
    base_url: webUrlSchema
      .refine((url) => !url.includes("?"), "expected a URL that paths can be added to")
      .transform((url) => url.replace(/\/$/, "")),
    webhook_url: webUrlSchema,
    platform_token: z.string().min(16).max(4_096).optional(),
    scopes: z
      .array(z.enum(MARKETPLACE_SCOPES))
      .min(1)
      .default([...MARKETPLACE_SCOPES]),
    ...clientAuthenticationShape,
  })
  .openapi("MarketplaceInput");

/** Marketplaces with their credentials and receipt keys, and OAuth clients of the platform's own backend. */
export function addMarketplaceRoutes(api: Api, ctx: Context): void {
  addRegistrationRoutes(api, ctx);
  addReceiptKeyRoute(api, ctx);
  addReadingRoutes(api, ctx);
  addEndpointRoutes(api, ctx);
}

function addRegistrationRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/marketplaces",
      tags,
      summary: "Register a marketplace",
      request: { body: jsonBody(marketplaceInputSchema) },
      responses: {
        201: jsonAnswer(
          "What the marketplace needs to connect; secrets are shown once",
          z
            .object({
              ...clientCredentialsShape,
              marketplace_id: identifierSchema,
              webhook_endpoint_id: z.string(),
              webhook_secret: z.string(),
            })
            .openapi("MarketplaceCredentials"),
        ),
      },
    }),
    async (c) => {
      const { marketplace_id, name, base_url, webhook_url, platform_token, scopes, ...authentication } =
        c.req.valid("json");
      const input = {
        marketplaceId: marketplace_id,
        name,
        baseUrl: base_url,
        webhookUrl: webhook_url,
        platformToken: platform_token,
        scopes,
        authentication,
      };
      return c.json(unwrap(await registerMarketplace(ctx, input)), 201, { "cache-control": "no-store" });
    },
  );
}

function addReceiptKeyRoute(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/marketplaces/{id}/receipt-keys",
      tags,
      summary: "Register the key a marketplace signs receipts with",
      request: {
        params: idParam,
        body: jsonBody(z.strictObject({ jwk: z.looseObject({ kty: z.string() }) })),
      },
      responses: { 201: jsonAnswer("Registered", receiptKeySchema) },
    }),
    async (c) => {
      const { id } = c.req.valid("param");
      unwrap(requireOwnMarketplace(c.get("principal"), id));
      return c.json(
        receiptKeyView(unwrap(await registerReceiptKey(ctx, id, JSON.parse(JSON.stringify(c.req.valid("json").jwk))))),
        201,
      );
    },
  );
}

function addReadingRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/marketplaces",
      tags,
      summary: "List the marketplaces",
      request: { query: z.object(pageQuery) },
      responses: {
        200: jsonAnswer("A page", z.object({ marketplaces: z.array(marketplaceSchema), next: z.string().nullable() })),
      },
    }),
    async (c) => {
      const page = pageOf(c.req.valid("query"));
      const { rows, next } = cutPage(await readMarketplaces(ctx.db, page), page.limit, (row) => row.marketplace_id);
      const keys = await readReceiptKeys(
        ctx.db,
        rows.map((row) => row.marketplace_id),
      );
      return c.json({ marketplaces: rows.map((row) => marketplaceView(row, keys)), next }, 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/marketplaces/{id}",
      tags,
      summary: "One marketplace",
      request: { params: idParam },
      responses: {
        200: jsonAnswer("The marketplace", marketplaceSchema),
      },
    }),
    async (c) => {
      const { id } = c.req.valid("param");
      unwrap(requireOwnMarketplace(c.get("principal"), id));
      const row = await findMarketplace(ctx.db, id);
      const found = unwrap<MarketplaceRow>(
        row === undefined ? refuse("not_found", `there is no marketplace ${id}`) : accept(row),
      );
      return c.json(marketplaceView(found, await readReceiptKeys(ctx.db, [id])), 200);
    },
  );
}

function requireOwnMarketplace(principal: Principal, marketplaceId: string): Result<true> {
  const isOthers = principal.kind === "marketplace" && principal.marketplaceId !== marketplaceId;
  return isOthers ? refuse("not_yours", "expected your own marketplace") : accept(true);
}

function marketplaceView(row: MarketplaceRow, keys: readonly ReceiptKeyRow[]) {
  const { marketplace_id, name, base_url } = row;
  return {
    marketplace_id,
    name,
    base_url,
    created_at: formatInstant(row.created_at),
    receipt_keys: keys.filter((key) => key.marketplace_id === marketplace_id).map(receiptKeyView),
  };
}

function receiptKeyView(row: ReceiptKeyRow) {
  return {
    kid: row.kid,
    alg: row.alg,
    not_before: formatInstant(row.not_before),
    not_after: formatInstant(row.not_after),
  };
}
