import { z } from "@hono/zod-openapi";
import type { Context } from "../context.ts";
import { type Api, defineRoute, jsonAnswer, jsonBody, noteDataset, unwrap } from "../http/api.ts";
import { identifierSchema, pageOf, pageQuery, reasonSchema } from "../http/parameters.ts";
import { actorOf } from "../http/principal.ts";
import { approveRequest, denyRequest } from "./decide-request.ts";
import {
  approvalInputSchema,
  licenseRequestSchema,
  licenseSchema,
  policyInputSchema,
  policySchema,
} from "./license-input.ts";
import { changePolicy, showPolicy } from "./license-policy.ts";
import { licenseView, requestView } from "./license-view.ts";
import { listRequests, readRequest } from "./read-licenses.ts";

const tags = ["licenses"];
const idParam = z.object({ id: identifierSchema });

/** The queue of requests that a person decides. */
export function addRequestRoutes(api: Api, ctx: Context): void {
  addQueueRoutes(api, ctx);
  addDecisionRoutes(api, ctx);
}

function addQueueRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/license-requests",
      tags,
      summary: "List requests for licenses",
      request: {
        query: z.object({
          dataset_id: identifierSchema.optional(),
          marketplace_id: identifierSchema.optional(),
          state: z.enum(["pending", "approved", "denied"]).optional(),
          ...pageQuery,
        }),
      },
      responses: {
        200: jsonAnswer(
          "A page",
          z.object({ license_requests: z.array(licenseRequestSchema), next: z.string().nullable() }),
        ),
      },
    }),
    async (c) => {
      const query = c.req.valid("query");
      noteDataset(c, query.dataset_id, undefined);
      const listed = await listRequests(ctx, c.get("principal"), {
        datasetId: query.dataset_id,
        marketplaceId: query.marketplace_id,
        state: query.state,
        ...pageOf(query),
      });
      const { rows, next } = unwrap(listed);
      return c.json({ license_requests: rows.map(requestView), next }, 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/license-requests/{id}",
      tags,
      summary: "One request for a license",
      request: { params: idParam },
      responses: { 200: jsonAnswer("The request", licenseRequestSchema) },
    }),
    async (c) => {
      const row = unwrap(await readRequest(ctx, c.get("principal"), c.req.valid("param").id));
      noteDataset(c, row.dataset_id, undefined);
      return c.json(requestView(row), 200);
    },
  );
}

function addDecisionRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/license-requests/{id}/approve",
      tags,
      summary: "Give the license that was asked for",
      request: {
        params: idParam,
        body: { required: false, content: { "application/json": { schema: approvalInputSchema } } },
      },
      responses: { 200: jsonAnswer("Issued; its marketplace hears of it and gets its token itself", licenseSchema) },
    }),
    async (c) => {
      const approval = { principal: c.get("principal"), input: c.req.valid("json") ?? {} };
      return c.json(licenseView(ctx, unwrap(await approveRequest(ctx, c.req.valid("param").id, approval))), 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/license-requests/{id}/deny",
      tags,
      summary: "Say no to a request for a license, and why",
      request: { params: idParam, body: jsonBody(z.strictObject({ reason: reasonSchema.trim().min(1) })) },
      responses: { 200: jsonAnswer("Denied", licenseRequestSchema) },
    }),
    async (c) => {
      const denial = { principal: c.get("principal"), reason: c.req.valid("json").reason };
      return c.json(requestView(unwrap(await denyRequest(ctx, c.req.valid("param").id, denial))), 200);
    },
  );
}

/** How requests for licenses of a dataset are decided. */
export function addPolicyRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/datasets/{id}/license-policy",
      tags,
      summary: "How requests for licenses of a dataset are decided",
      request: { params: idParam },
      responses: { 200: jsonAnswer("The policy", policySchema) },
    }),
    async (c) => c.json(unwrap(await showPolicy(ctx, c.req.valid("param").id)), 200),
  );

  api.openapi(
    defineRoute(ctx, {
      method: "put",
      path: "/api/v1/datasets/{id}/license-policy",
      tags,
      summary: "Set how requests for licenses of a dataset are decided",
      request: { params: idParam, body: jsonBody(policyInputSchema) },
      responses: { 200: jsonAnswer("Set, for requests from now on", policySchema) },
    }),
    async (c) => {
      const change = { input: c.req.valid("json"), by: actorOf(c.get("principal")) };
      return c.json(unwrap(await changePolicy(ctx, c.req.valid("param").id, change)), 200);
    },
  );
}
