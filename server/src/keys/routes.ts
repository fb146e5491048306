import { z } from "@hono/zod-openapi";
import { ALGORITHMS, formatInstant } from "@licet/protocol";
import type { Context } from "../context.ts";
import { nowSeconds } from "../context.ts";
import { type Api, defineRoute, jsonAnswer, jsonBody, unwrap } from "../http/api.ts";
import { type RotatedOauthKey, rotateOauthKey } from "../http/oauth/rotate-key.ts";
import { instantSchema } from "../http/parameters.ts";
import { actorOf } from "../http/principal.ts";
import { PURPOSES } from "./create-key.ts";
import { signingKeySchema, signingKeyView } from "./key-view.ts";
import { type RotatedKey, rotateKeys } from "./rotate-keys.ts";
import { readSigningKeys } from "./store.ts";

const tags = ["keys"];
const ROTATED = [...PURPOSES, "oauth"] as const;
const rotatedSchema = z.object({
  rotated: z.array(
    z.object({
      purpose: z.enum(ROTATED),
      kid: z.string(),
      signs_from: instantSchema,
      replaces: z.array(z.string()),
      retires_at: instantSchema.nullable(),
    }),
  ),
});

/** The platform's own keys, for the operator. */
export function addKeyRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/keys",
      tags,
      summary: "The platform's keys: which sign, which are handed over, retired or revoked",
      responses: { 200: jsonAnswer("The keys", z.object({ keys: z.array(signingKeySchema) })) },
    }),
    async (c) => {
      const rows = await readSigningKeys(ctx.db);
      return c.json({ keys: rows.map((row) => signingKeyView(row, rows, nowSeconds(ctx))) }, 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/keys/rotations",
      tags,
      summary: "Hand purposes over to new keys, without a restart",
      request: {
        body: jsonBody(
          z.strictObject({
            purposes: z
              .array(z.enum(ROTATED))
              .min(1)
              .max(ROTATED.length)
              .default([...PURPOSES]),
            alg: z.enum(ALGORITHMS).default("EdDSA"),
          }),
        ),
      },
      responses: {
        201: jsonAnswer("The new keys, when they begin to sign, and when the old ones retire", rotatedSchema),
      },
    }),
    async (c) => {
      const { purposes, alg } = c.req.valid("json");
      const by = actorOf(c.get("principal"));
      const wanted = new Set(purposes);
      const own = PURPOSES.filter((purpose) => wanted.has(purpose));
      const rotated = own.length === 0 ? [] : unwrap(await rotateKeys(ctx, { purposes: own, alg, by }));
      const oauth = wanted.has("oauth") ? [unwrap(await rotateOauthKey(ctx, by))] : [];
      return c.json(
        rotatedSchema.parse({ rotated: [...rotated.map(rotatedView), ...oauth.map(rotatedOauthView)] }),
        201,
      );
    },
  );
}

interface Rotated {
  readonly purpose: (typeof ROTATED)[number];
  readonly kid: string;
  readonly signs_from: string;
  readonly replaces: readonly string[];
  readonly retires_at: string | null;
}

function rotatedView({ purpose, next, replaced }: RotatedKey): Rotated {
  const [before] = replaced;
  return {
    purpose,
    kid: next.kid,
    signs_from: formatInstant(next.signs_from),
    replaces: replaced.map((row) => row.kid),
    retires_at: before === undefined ? null : formatInstant(before.retire_at ?? 0),
  };
}

function rotatedOauthView({ purpose, kid, signsFrom, replaces, retiresAt }: RotatedOauthKey): Rotated {
  return {
    purpose,
    kid,
    signs_from: formatInstant(signsFrom),
    replaces,
    retires_at: replaces.length === 0 ? null : formatInstant(retiresAt),
  };
}
