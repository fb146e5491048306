import { z } from "@hono/zod-openapi";
import { MAX_DID_LENGTH, accept, formatInstant } from "@licet/protocol";
import type { Context } from "../context.ts";
import { writeFact } from "../events/write-fact.ts";
import { type Api, defineRoute, jsonAnswer, jsonBody, unwrap } from "../http/api.ts";
import { openCreatorSession } from "../http/oauth/sessions.ts";
import { creatorIdSchema, cutPage, instantSchema, kidSchema, pageOf, pageQuery } from "../http/parameters.ts";
import { challengeKey, enrolKey } from "./enrol-key.ts";
import { retireKey } from "./end-key.ts";
import { requireOwn } from "./own.ts";
import { creatorView, registerCreator, requireCreator } from "./register-creator.ts";
import { type CreatorKeyRow, creatorKeyContent, readCreatorKeys, readCreators } from "./store.ts";

const creatorSchema = z
  .object({ creator_id: creatorIdSchema, issuer: z.string(), created_at: instantSchema })
  .openapi("Creator");
const keySchema = z
  .looseObject({ creator_id: creatorIdSchema, kid: z.string(), alg: z.string(), jwk: z.looseObject({}) })
  .openapi("CreatorKey");
const creatorWithKeysSchema = creatorSchema.extend({ keys: z.array(keySchema) }).openapi("CreatorWithKeys");
const keyParam = z.object({ id: creatorIdSchema, kid: kidSchema });
/** What a creator calls a device. */
const MAX_NAME_LENGTH = 64;
const idParam = z.object({ id: creatorIdSchema });
const tags = ["creators"];

/** Creators, their sessions and their keys. */
export function addCreatorRoutes(api: Api, ctx: Context): void {
  addRegistrationRoutes(api, ctx);
  addReadingRoutes(api, ctx);
  addKeyRoutes(api, ctx);
  addKeyEndRoutes(api, ctx);
}

function addRegistrationRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/creators",
      tags,
      summary: "Register a creator under the platform's pseudonym for them",
      request: {
        body: jsonBody(z.strictObject({ creator_id: creatorIdSchema })),
      },
      responses: { 201: jsonAnswer("Registered", creatorSchema) },
    }),
    async (c) => c.json(unwrap(await registerCreator(ctx, c.req.valid("json").creator_id)), 201),
  );
}

function addReadingRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/creators",
      tags,
      summary: "List the creators",
      request: { query: z.object(pageQuery) },
      responses: {
        200: jsonAnswer("A page", z.object({ creators: z.array(creatorWithKeysSchema), next: z.string().nullable() })),
      },
    }),
    async (c) => {
      const page = pageOf(c.req.valid("query"));
      const { rows, next } = cutPage(await readCreators(ctx.db, page), page.limit, (row) => row.creator_id);
      const keys = await readCreatorKeys(
        ctx.db,
        rows.map((row) => row.creator_id),
      );
      return c.json(
        { creators: rows.map((row) => ({ ...creatorView(ctx, row), keys: keysOf(keys, row.creator_id) })), next },
        200,
      );
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/creators/{id}",
      tags,
      summary: "A creator and their keys",
      request: { params: idParam },
      responses: {
        200: jsonAnswer("The creator", creatorWithKeysSchema),
      },
    }),
    async (c) => {
      const { id } = c.req.valid("param");
      unwrap(requireOwn(c.get("principal"), id));
      const creator = unwrap(await requireCreator(ctx, id));
      return c.json({ ...creator, keys: keysOf(await readCreatorKeys(ctx.db, [id]), id) }, 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/creators/{id}/sessions",
      tags,
      summary: "Open a session for a creator whom the platform has identified",
      request: { params: idParam },
      responses: {
        201: jsonAnswer(
          "The session's token, shown once",
          z.object({ creator_token: z.string(), creator_id: creatorIdSchema, expires_at: instantSchema }),
        ),
      },
    }),
    async (c) => {
      const { creator_id } = unwrap(await requireCreator(ctx, c.req.valid("param").id));
      const session = unwrap(
        await writeFact(ctx, async (fact) => accept(await openCreatorSession(ctx, fact.trx, creator_id))),
      );
      return c.json({ creator_token: session.token, creator_id, expires_at: formatInstant(session.expiresAt) }, 201, {
        "cache-control": "no-store",
      });
    },
  );
}

function addKeyRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/creators/{id}/key-challenges",
      tags,
      summary: "Ask for a challenge to prove possession of a key",
      request: { params: idParam },
      responses: {
        201: jsonAnswer(
          "The challenge",
          z.object({ challenge: z.string(), audience: z.string(), expires_at: instantSchema }),
        ),
      },
    }),
    async (c) => {
      const { id } = c.req.valid("param");
      unwrap(requireOwn(c.get("principal"), id));
      return c.json(await challengeKey(ctx, id), 201);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/creators/{id}/keys",
      tags,
      summary: "Enrol a public key with proof of possession",
      request: {
        params: idParam,
        body: jsonBody(
          z
            .strictObject({
              jwk: z.looseObject({ kty: z.string() }).optional(),
              did: z
                .string()
                .max(MAX_DID_LENGTH)
                .optional()
                .openapi({ description: "a did:key or did:jwk, instead of jwk" }),
              proof: z.string(),
              name: z.string().trim().min(1).max(MAX_NAME_LENGTH).optional(),
            })
            .refine((input) => (input.jwk === undefined) !== (input.did === undefined), {
              message: "expected jwk or did, and not both",
              path: ["jwk"],
            }),
        ),
      },
      responses: {
        201: jsonAnswer("The signed creator-key document", keySchema),
      },
    }),
    async (c) => {
      const { id } = c.req.valid("param");
      unwrap(requireOwn(c.get("principal"), id));
      const { jwk, did, proof, name } = c.req.valid("json");
      const enrolment = { creatorId: id, key: did ?? JSON.parse(JSON.stringify(jwk)), proof, name };
      const document = unwrap(await enrolKey(ctx, enrolment));
      return c.json(keySchema.parse(document), 201);
    },
  );
}

function addKeyEndRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/creators/{id}/keys",
      tags,
      summary: "A creator's keys: one for each device, and those that went before",
      request: { params: idParam },
      responses: { 200: jsonAnswer("The keys", z.object({ keys: z.array(keySchema) })) },
    }),
    async (c) => {
      const { id } = c.req.valid("param");
      unwrap(requireOwn(c.get("principal"), id));
      unwrap(await requireCreator(ctx, id));
      return c.json({ keys: keysOf(await readCreatorKeys(ctx.db, [id]), id) }, 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/creators/{id}/keys/{kid}/retire",
      tags,
      summary: "Retire a key: nothing that it signs later is accepted, what was accepted stands",
      request: { params: keyParam },
      responses: { 200: jsonAnswer("The signed creator-key document", keySchema) },
    }),
    async (c) => {
      const { id, kid } = c.req.valid("param");
      const document = unwrap(await retireKey(ctx, { creatorId: id, kid, principal: c.get("principal") }));
      return c.json(keySchema.parse(document), 200);
    },
  );
}

function keysOf(rows: readonly CreatorKeyRow[], creatorId: string) {
  return rows
    .filter((row) => row.creator_id === creatorId)
    .map((row) => keySchema.parse({ ...creatorKeyContent(row), ...(row.name === null ? {} : { name: row.name }) }));
}
