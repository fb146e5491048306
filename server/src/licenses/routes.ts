import { z } from "@hono/zod-openapi";
import { type Result, accept, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { type Api, defineRoute, jsonAnswer, jsonBody, noteDataset, unwrap } from "../http/api.ts";
import { identifierSchema, pageOf, pageQuery, reasonSchema } from "../http/parameters.ts";
import type { Principal } from "../http/principal.ts";
import { revokeLicense } from "./end-license.ts";
import { issueToken } from "./issue-token.ts";
import {
  issuedLicenseSchema,
  licenseInputSchema,
  licenseRequestSchema,
  licenseSchema,
  renewalInputSchema,
  tokenInputSchema,
  tokenSchema,
} from "./license-input.ts";
import { issuedView, licenseView, requestView, tokenView } from "./license-view.ts";
import { listLicenses, readLicense } from "./read-licenses.ts";
import { renewLicense } from "./renew-license.ts";
import { requestLicense } from "./request-license.ts";
import { addPolicyRoutes, addRequestRoutes } from "./request-routes.ts";

const tags = ["licenses"];
const idParam = z.object({ id: identifierSchema });
/** A token is for its marketplace alone. */
const NO_STORE = { "cache-control": "no-store" };

/** Licenses: asked for, decided, renewed, ended; and the tokens that show them. */
export function addLicenseRoutes(api: Api, ctx: Context): void {
  addAskingRoute(api, ctx);
  addReadingRoutes(api, ctx);
  addTokenRoutes(api, ctx);
  addEndingRoute(api, ctx);
  addRequestRoutes(api, ctx);
  addPolicyRoutes(api, ctx);
}

function addAskingRoute(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/datasets/{id}/licenses",
      tags,
      summary: "Ask for a license of a dataset for a model",
      request: { params: idParam, body: jsonBody(licenseInputSchema) },
      responses: {
        200: jsonAnswer("A license that says the same is in force, here with a fresh token", issuedLicenseSchema),
        201: jsonAnswer("Issued", issuedLicenseSchema),
        202: jsonAnswer("Waits for a decision", licenseRequestSchema),
      },
    }),
    async (c) => {
      const principal = unwrap(marketplaceOf(c.get("principal")));
      const asked = { datasetId: c.req.valid("param").id, input: c.req.valid("json") };
      const requested = unwrap(await requestLicense(ctx, principal, asked));
      if (requested.kind === "waiting") return c.json(requestView(requested.request), 202);
      return c.json(issuedView(ctx, requested), requested.isNew ? 201 : 200, NO_STORE);
    },
  );
}

function addReadingRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/licenses",
      tags,
      summary: "List licenses",
      request: {
        query: z.object({
          dataset_id: identifierSchema.optional(),
          marketplace_id: identifierSchema.optional(),
          model_fingerprint: z
            .string()
            .regex(/^[0-9a-f]{64}$/, "expected 64 lower-case hexadecimal digits")
            .optional(),
          state: z.enum(["active", "revoked", "expired"]).optional(),
          ...pageQuery,
        }),
      },
      responses: {
        200: jsonAnswer("A page", z.object({ licenses: z.array(licenseSchema), next: z.string().nullable() })),
      },
    }),
    async (c) => {
      const query = c.req.valid("query");
      noteDataset(c, query.dataset_id, undefined);
      const listed = await listLicenses(ctx, c.get("principal"), {
        datasetId: query.dataset_id,
        marketplaceId: query.marketplace_id,
        modelFingerprint: query.model_fingerprint,
        state: query.state,
        ...pageOf(query),
      });
      const { rows, next } = unwrap(listed);
      return c.json({ licenses: rows.map((row) => licenseView(ctx, row)), next }, 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/licenses/{id}",
      tags,
      summary: "One license",
      request: { params: idParam },
      responses: { 200: jsonAnswer("The license", licenseSchema) },
    }),
    async (c) => {
      const row = unwrap(await readLicense(ctx, c.get("principal"), c.req.valid("param").id));
      noteDataset(c, row.dataset_id, undefined);
      return c.json(licenseView(ctx, row), 200);
    },
  );
}

function addTokenRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/licenses/{id}/tokens",
      tags,
      summary: "A fresh token of a license",
      request: {
        params: idParam,
        body: { required: false, content: { "application/json": { schema: tokenInputSchema } } },
      },
      responses: { 201: jsonAnswer("Signed", tokenSchema) },
    }),
    async (c) => {
      const { id } = c.req.valid("param");
      const asked = { principal: c.get("principal"), input: c.req.valid("json") ?? {} };
      const signed = unwrap(await issueToken(ctx, id, asked));
      return c.json({ license_id: id, ...tokenView(signed) }, 201, NO_STORE);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/licenses/{id}/renew",
      tags,
      summary: "Let a license go on for another term",
      request: {
        params: idParam,
        body: { required: false, content: { "application/json": { schema: renewalInputSchema } } },
      },
      responses: { 200: jsonAnswer("Renewed, with a fresh token", issuedLicenseSchema) },
    }),
    async (c) => {
      const renewal = { principal: c.get("principal"), termDays: c.req.valid("json")?.term_days };
      const renewed = unwrap(await renewLicense(ctx, c.req.valid("param").id, renewal));
      return c.json(issuedView(ctx, renewed), 200, NO_STORE);
    },
  );
}

function addEndingRoute(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/licenses/{id}/revoke",
      tags,
      summary: "End a license for good",
      request: {
        params: idParam,
        body: jsonBody(z.strictObject({ reason: reasonSchema.trim().min(1) })),
      },
      responses: { 200: jsonAnswer("Revoked: the status list says so already", licenseSchema) },
    }),
    async (c) => {
      const asked = { principal: c.get("principal"), reason: c.req.valid("json").reason };
      return c.json(licenseView(ctx, unwrap(await revokeLicense(ctx, c.req.valid("param").id, asked))), 200);
    },
  );
}

function marketplaceOf(principal: Principal): Result<Extract<Principal, { kind: "marketplace" }>> {
  return principal.kind === "marketplace" ? accept(principal) : refuse("forbidden", "expected a marketplace");
}
