import { z } from "@hono/zod-openapi";
import { type Result, accept, formatInstant, isLicense, parseJsonObject, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { documentPaths } from "../documents/document-paths.ts";
import { type Api, defineRoute, jsonAnswer, jsonBody, unwrap } from "../http/api.ts";
import { cutPage, identifierSchema, instantSchema, pageOf, pageQuery } from "../http/parameters.ts";
import { type Principal, actorOf } from "../http/principal.ts";
import { acceptAgreement } from "./accept-agreement.ts";
import { publishAgreement } from "./publish-agreement.ts";
import {
  type AcceptanceRow,
  type AgreementRow,
  findAgreement,
  readAcceptances,
  readAcceptancesOf,
  readAgreements,
} from "./store.ts";

const tags = ["agreements"];
/** A text of a hundred pages fits. */
const MAX_TEXT_LENGTH = 262_144;
/** An acceptance holds no text of its own. */
const MAX_ACCEPTANCE_BYTES = 16_384;

const agreementName = z
  .string()
  .refine(isLicense, "expected a name and a version such as marketplace:1.1")
  .openapi({ example: "marketplace:1.1" });
const versionParam = z.object({
  name: z.string().regex(/^[a-z][a-z0-9_]{0,63}$/, "expected the name of an agreement"),
  version: z.string().regex(/^\d{1,4}\.\d{1,4}$/, "expected a version such as 1.0"),
});

const agreementSchema = z
  .object({
    agreement: z.string(),
    title: z.string(),
    sha256: z.string(),
    url: z.string(),
    published_at: instantSchema,
    is_newest: z.boolean(),
    accepted_at: instantSchema.optional(),
  })
  .openapi("Agreement");

const acceptanceSchema = z
  .object({
    marketplace_id: identifierSchema,
    agreement: z.string(),
    key_id: z.string(),
    accepted_by: z.string(),
    accepted_at: instantSchema,
    acceptance: z.looseObject({}),
  })
  .openapi("AgreementAcceptance");

/** Agreements: published by the operator, accepted by marketplaces before their first license. */
export function addAgreementRoutes(api: Api, ctx: Context): void {
  addPublishingRoutes(api, ctx);
  addAcceptanceRoutes(api, ctx);
}

function addPublishingRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/agreements",
      tags,
      summary: "Publish a version of an agreement",
      request: {
        body: jsonBody(
          z
            .strictObject({
              agreement: agreementName,
              title: z.string().trim().min(1).max(256),
              text: z.string().trim().min(1).max(MAX_TEXT_LENGTH),
            })
            .openapi("AgreementInput"),
        ),
      },
      responses: { 201: jsonAnswer("Published: no license without its acceptance from now on", agreementSchema) },
    }),
    async (c) => {
      const row = unwrap(await publishAgreement(ctx, c.req.valid("json"), actorOf(c.get("principal"))));
      return c.json(agreementView(ctx, row, { newest: row.agreement, accepted: undefined }), 201);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/agreements",
      tags,
      summary: "The agreements, and which of them the caller has accepted",
      responses: {
        200: jsonAnswer("Each name's newest version first", z.object({ agreements: z.array(agreementSchema) })),
      },
    }),
    async (c) => {
      const principal = c.get("principal");
      const rows = await readAgreements(ctx.db);
      const accepted = principal.kind === "marketplace" ? await readAcceptancesOf(ctx.db, principal.marketplaceId) : [];
      const newestOf = new Map([...rows].reverse().map((row) => [row.name, row.agreement]));
      const agreements = rows.map((row) =>
        agreementView(ctx, row, {
          newest: newestOf.get(row.name),
          accepted: accepted.find((acceptance) => acceptance.agreement === row.agreement),
        }),
      );
      return c.json({ agreements }, 200);
    },
  );
}

function addAcceptanceRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(
      ctx,
      {
        method: "post",
        path: "/api/v1/agreements/{name}/{version}/acceptances",
        tags,
        summary: "Hand in the signed acceptance of an agreement",
        request: { params: versionParam, body: jsonBody(z.looseObject({}).openapi("SignedAgreementAcceptance")) },
        responses: {
          200: jsonAnswer("Accepted before: the first acceptance", acceptanceSchema),
          201: jsonAnswer("Accepted", acceptanceSchema),
        },
      },
      { maxBodyBytes: MAX_ACCEPTANCE_BYTES },
    ),
    async (c) => {
      const { name, version } = c.req.valid("param");
      const marketplaceId = unwrap(marketplaceOf(c.get("principal")));
      const document = unwrap(parseJsonObject(await c.req.text()));
      const accepted = await acceptAgreement(ctx, { marketplaceId, agreement: `${name}:${version}`, document });
      const { isNew, row } = unwrap(accepted);
      return c.json(acceptanceView(row), isNew ? 201 : 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/agreements/{name}/{version}/acceptances",
      tags,
      summary: "Who accepted an agreement, with what they signed",
      request: { params: versionParam, query: z.object(pageQuery) },
      responses: {
        200: jsonAnswer("A page", z.object({ acceptances: z.array(acceptanceSchema), next: z.string().nullable() })),
      },
    }),
    async (c) => {
      const { name, version } = c.req.valid("param");
      const agreement = `${name}:${version}`;
      const found = await findAgreement(ctx.db, agreement);
      unwrap(found === undefined ? refuse("not_found", `there is no agreement ${agreement}`) : accept(found));
      const principal = c.get("principal");
      const marketplaceId = principal.kind === "marketplace" ? principal.marketplaceId : undefined;
      const page = pageOf(c.req.valid("query"));
      const read = await readAcceptances(ctx.db, { agreement, marketplaceId, ...page });
      const { rows, next } = cutPage(read, page.limit, (row) => row.marketplace_id);
      return c.json({ acceptances: rows.map(acceptanceView), next }, 200);
    },
  );
}

function marketplaceOf(principal: Principal): Result<string> {
  return principal.kind === "marketplace"
    ? accept(principal.marketplaceId)
    : refuse("forbidden", "expected a marketplace");
}

function agreementView(
  ctx: Context,
  { agreement, title, sha256, published_at }: AgreementRow,
  { newest, accepted }: { readonly newest: string | undefined; readonly accepted: AcceptanceRow | undefined },
): z.infer<typeof agreementSchema> {
  return {
    agreement,
    title,
    sha256,
    url: ctx.origin + documentPaths.agreement(agreement),
    published_at: formatInstant(published_at),
    is_newest: agreement === newest,
    ...(accepted === undefined ? {} : { accepted_at: formatInstant(accepted.accepted_at) }),
  };
}

function acceptanceView(row: AcceptanceRow): z.infer<typeof acceptanceSchema> {
  const { marketplace_id, agreement, kid, accepted_by, accepted_at } = row;
  return {
    marketplace_id,
    agreement,
    key_id: kid,
    accepted_by,
    accepted_at: formatInstant(accepted_at),
    acceptance: JSON.parse(row.document),
  };
}
