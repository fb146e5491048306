import { type Result, accept, refuse, sha256Hex } from "@licet/protocol";
import { randomBytes } from "node:crypto";
import type { Context } from "../../context.ts";
import { nowSeconds } from "../../context.ts";
import type { Trx } from "../../db/open-database.ts";
import { writeFact } from "../../events/write-fact.ts";
import type { Page } from "../parameters.ts";
import type { Principal } from "../principal.ts";
import {
  type SessionFilter,
  type SessionRow,
  deleteCreatorSessions,
  deleteSession,
  findSession,
  findSessionByName,
  hasOperator,
  insertSession,
  lockOperatorSessions,
  readSessions,
} from "./store.ts";

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

/** Opens another session for an operator. `seconds` null: until it is ended. */
export async function openOperatorSession(
  ctx: Context,
  seconds: number | null,
): Promise<{ readonly token: string; readonly row: SessionRow }> {
  const token = `licet_op_${randomBytes(TOKEN_BYTES).toString("base64url")}`;
  const createdAt = nowSeconds(ctx);
  const row: SessionRow = {
    token_sha256: sha256Hex(token),
    kind: "operator",
    creator_id: null,
    created_at: createdAt,
    expires_at: seconds === null ? null : createdAt + seconds,
  };
  await insertSession(ctx.db, row);
  return { token, row };
}

const NAME_LENGTH = 32;

/** What a session is called: the beginning of its token's hash, which tells nothing of the token. */
export function sessionIdOf({ token_sha256 }: Pick<SessionRow, "token_sha256">): string {
  return `sess_${token_sha256.slice(0, NAME_LENGTH)}`;
}

/** The sessions a caller may see: the operator all, a creator their own. Refuses `not_yours`. */
export async function listSessions(
  ctx: Context,
  principal: Principal,
  { filter, page }: { readonly filter: SessionFilter; readonly page: Page },
): Promise<Result<readonly SessionRow[]>> {
  const isForeign =
    filter.kind === "operator" || (filter.creatorId !== undefined && !owns(principal, filter.creatorId));
  if (principal.kind === "creator" && isForeign) return refuse("not_yours", "expected your own sessions");
  const mine = principal.kind === "creator" ? { kind: principal.kind, creatorId: principal.creatorId } : filter;
  return accept(await readSessions(ctx.db, mine, { ...page, now: nowSeconds(ctx) }));
}

function owns(principal: Principal, creatorId: string | null): boolean {
  return principal.kind !== "creator" || principal.creatorId === creatorId;
}

/**
 * Ends a session at once. Refuses `not_found`, also for what is not the caller's, and `conflict` for
 * the last session of an operator that does not expire: nobody could open another one.
 */
export async function endSession(ctx: Context, principal: Principal, sessionId: string): Promise<Result<SessionRow>> {
  return writeFact(ctx, async (fact) => {
    const lasting = (await lockOperatorSessions(fact.trx)).filter((row) => row.expires_at === null);
    const session = await findSessionByName(fact.trx, sessionId.slice("sess_".length));
    if (session === undefined || !owns(principal, session.creator_id))
      return refuse("not_found", `there is no session ${sessionId}`);
    if (lasting.length === 1 && lasting[0]?.token_sha256 === session.token_sha256)
      return refuse("conflict", "expected another operator's session without end to exist; open one first");
    await deleteSession(fact.trx, session.token_sha256);
    fact.record({ type: "session.ended", aggregate: sessionId, body: { session_id: sessionId, kind: session.kind } });
    return accept(session);
  });
}

/** Ends every session of a creator; answers how many there were. Refuses `not_yours`. */
export async function endCreatorSessions(
  ctx: Context,
  principal: Principal,
  creatorId: string,
): Promise<Result<number>> {
  if (!owns(principal, creatorId)) return refuse("not_yours", "expected your own sessions");
  return writeFact(ctx, async (fact) => {
    const ended = await deleteCreatorSessions(fact.trx, creatorId);
    for (const row of ended) {
      const session_id = sessionIdOf(row);
      fact.record({ type: "session.ended", aggregate: session_id, body: { session_id, kind: row.kind } });
    }
    return accept(ended.length);
  });
}
