import { z } from "@hono/zod-openapi";
import type { Context } from "../../context.ts";
import { type Api, defineRoute, jsonAnswer } from "../api.ts";
import { PROTECTED_RESOURCE_PATH } from "../challenges.ts";
import { ALL_SCOPES } from "../scopes.ts";
import { CLIENT_ALGORITHMS } from "./client-authentication.ts";
import { certificateSupportOf } from "./clients.ts";

const metadataSchema = z
  .object({
    resource: z.string(),
    resource_name: z.string(),
    authorization_servers: z.array(z.string()),
    scopes_supported: z.array(z.string()),
    bearer_methods_supported: z.array(z.string()),
    dpop_signing_alg_values_supported: z.array(z.string()),
    dpop_bound_access_tokens_required: z.boolean(),
    tls_client_certificate_bound_access_tokens: z.boolean(),
  })
  .openapi("ProtectedResource");

/** RFC 9728: what the API is, as an OAuth resource, and where its tokens come from. */
export function addResourceMetadata(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: PROTECTED_RESOURCE_PATH,
      tags: ["system"],
      summary: "Where access tokens for this API come from (RFC 9728)",
      responses: { 200: jsonAnswer("The metadata", metadataSchema) },
    }),
    (c) =>
      c.json(
        {
          resource: ctx.origin,
          resource_name: "Licet",
          authorization_servers: [`${ctx.origin}/oauth`],
          scopes_supported: [...ALL_SCOPES],
          bearer_methods_supported: ["header"],
          dpop_signing_alg_values_supported: [...CLIENT_ALGORITHMS],
          dpop_bound_access_tokens_required: false,
          tls_client_certificate_bound_access_tokens: certificateSupportOf(ctx).seesCertificates,
        },
        200,
        { "cache-control": "public, max-age=300", "access-control-allow-origin": "*" },
      ),
  );
}
