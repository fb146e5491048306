import { z } from "@hono/zod-openapi";
import { formatInstant } from "@licet/protocol";
import type { Context } from "../../context.ts";
import { type Api, defineRoute, jsonAnswer, jsonBody, unwrap } from "../api.ts";
import { creatorIdSchema, cutPage, instantSchema, pageOf, pageQuery } from "../parameters.ts";
import { endCreatorSessions, endSession, listSessions, openOperatorSession, sessionIdOf } from "./sessions.ts";
import type { SessionRow } from "./store.ts";

const tags = ["sessions"];
const MAX_HOURS = 8_784;
const sessionIdSchema = z.string().regex(/^sess_[0-9a-f]{32}$/, "expected sess_ and 32 hexadecimal digits");
const sessionSchema = z
  .object({
    session_id: sessionIdSchema,
    kind: z.enum(["operator", "creator"]),
    creator_id: z.string().optional(),
    created_at: instantSchema,
    expires_at: instantSchema.nullable(),
  })
  .openapi("Session");

/** The sessions of operators and creators: seen, ended, and for operators opened. */
export function addSessionRoutes(api: Api, ctx: Context): void {
  addReading(api, ctx);
  addOpening(api, ctx);
  addEnding(api, ctx);
}

function addReading(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/sessions",
      tags,
      summary: "List the sessions that have not expired; a creator sees their own",
      request: {
        query: z.object({
          ...pageQuery,
          kind: z.enum(["operator", "creator"]).optional(),
          creator_id: creatorIdSchema.optional(),
        }),
      },
      responses: {
        200: jsonAnswer("A page", z.object({ sessions: z.array(sessionSchema), next: z.string().nullable() })),
      },
    }),
    async (c) => {
      const { kind, creator_id, ...query } = c.req.valid("query");
      const page = pageOf(query);
      const sessions = unwrap(
        await listSessions(ctx, c.get("principal"), { filter: { kind, creatorId: creator_id }, page }),
      );
      const { rows, next } = cutPage(sessions, page.limit, (row) => sessionIdOf(row).slice("sess_".length));
      return c.json({ sessions: rows.map(sessionView), next }, 200);
    },
  );
}

function addOpening(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/sessions",
      tags,
      summary: "Open another session for an operator, so that an older one can be ended",
      request: {
        body: jsonBody(z.strictObject({ hours: z.int().min(1).max(MAX_HOURS).nullable().default(null) })),
      },
      responses: {
        201: jsonAnswer(
          "The session; its token is shown once",
          z.object({ session_id: sessionIdSchema, operator_token: z.string(), expires_at: instantSchema.nullable() }),
        ),
      },
    }),
    async (c) => {
      const { hours } = c.req.valid("json");
      const { token, row } = await openOperatorSession(ctx, hours === null ? null : hours * 3_600);
      const { session_id, expires_at } = sessionView(row);
      return c.json({ session_id, operator_token: token, expires_at }, 201, { "cache-control": "no-store" });
    },
  );
}

function addEnding(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/sessions/{id}/end",
      tags,
      summary: "End a session: its token is worth nothing from the next request on",
      request: { params: z.object({ id: sessionIdSchema }) },
      responses: { 200: jsonAnswer("The session that has ended", sessionSchema) },
    }),
    async (c) => {
      const { id } = c.req.valid("param");
      return c.json(sessionView(unwrap(await endSession(ctx, c.get("principal"), id))), 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/creators/{id}/sessions/end",
      tags,
      summary: "End every session of a creator",
      request: { params: z.object({ id: creatorIdSchema }) },
      responses: { 200: jsonAnswer("How many there were", z.object({ ended: z.int() })) },
    }),
    async (c) => {
      const { id } = c.req.valid("param");
      return c.json({ ended: unwrap(await endCreatorSessions(ctx, c.get("principal"), id)) }, 200);
    },
  );
}

function sessionView(row: SessionRow) {
  return {
    session_id: sessionIdOf(row),
    kind: row.kind,
    ...(row.creator_id === null ? {} : { creator_id: row.creator_id }),
    created_at: formatInstant(row.created_at),
    expires_at: row.expires_at === null ? null : formatInstant(row.expires_at),
  };
}
