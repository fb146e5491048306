import { sha256Hex } from "@licet/protocol";
import { randomBytes } from "node:crypto";
import type { Context } from "../../context.ts";
import { nowSeconds } from "../../context.ts";
import type { Trx } from "../../db/open-database.ts";
import type { Principal } from "../principal.ts";
import { findSession, hasOperator, insertSession } from "./store.ts";

const TOKEN_BYTES = 32;

/** Opens a session for a creator. Only the token's hash is kept. `expiresAt` in seconds since the epoch. */
export async function openCreatorSession(
  ctx: Context,
  trx: Trx,
  creatorId: string,
): Promise<{ readonly token: string; readonly expiresAt: number }> {
  const token = `licet_cr_${randomBytes(TOKEN_BYTES).toString("base64url")}`;
  const createdAt = nowSeconds(ctx);
  const expiresAt = createdAt + ctx.config.sessionSeconds;
  await insertSession(trx, {
    token_sha256: sha256Hex(token),
    kind: "creator",
    creator_id: creatorId,
    created_at: createdAt,
    expires_at: expiresAt,
  });
  return { token, expiresAt };
}

/** Makes the operator's token when there is none yet; it is shown once and never again. */
export async function createBootstrapToken(ctx: Context): Promise<string | undefined> {
  return ctx.db.transaction().execute(async (trx) => {
    if (await hasOperator(trx)) return undefined;
    const token = `licet_op_${randomBytes(TOKEN_BYTES).toString("base64url")}`;
    await insertSession(trx, {
      token_sha256: sha256Hex(token),
      kind: "operator",
      creator_id: null,
      created_at: nowSeconds(ctx),
      expires_at: null,
    });
    return token;
  });
}

/** Who an opaque token stands for; undefined when it is unknown or has expired. */
export async function principalOfSession(ctx: Context, token: string): Promise<Principal | undefined> {
  const session = await findSession(ctx.db, sha256Hex(token));
  if (session === undefined || (session.expires_at !== null && session.expires_at <= nowSeconds(ctx))) return undefined;
  if (session.kind === "operator") return { kind: "operator" };
  return session.creator_id === null ? undefined : { kind: "creator", creatorId: session.creator_id };
}
