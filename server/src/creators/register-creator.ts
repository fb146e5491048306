import { type Result, accept, creatorIssuer, formatInstant, refuse } from "@licet/protocol";
import { ulid } from "ulid";
import type { Context } from "../context.ts";
import { writeFact } from "../events/write-fact.ts";
import { findCreator, insertCreator } from "./store.ts";

export interface CreatorView {
  readonly creator_id: string;
  readonly issuer: string;
  readonly created_at: string;
}

/** Registers a creator under the platform's own pseudonym for them. Refuses `already_exists`. */
export async function registerCreator(ctx: Context, creatorId: string): Promise<Result<CreatorView>> {
  return writeFact(ctx, async (fact) => {
    const aggregate = `creator_${ulid(ctx.clock.nowMs())}`;
    const isNew = await insertCreator(fact.trx, { creator_id: creatorId, aggregate, created_at: fact.now });
    if (!isNew)
      return refuse("already_exists", `the creator ${creatorId} is registered already, perhaps in another case`);
    fact.record({ type: "creator.registered", aggregate, body: { creator_id: creatorId } });
    return accept(creatorView(ctx, { creator_id: creatorId, created_at: fact.now }));
  });
}

/** Refuses `not_found`. */
export async function requireCreator(ctx: Context, creatorId: string): Promise<Result<CreatorView>> {
  const row = await findCreator(ctx.db, creatorId);
  return row === undefined ? refuse("not_found", `there is no creator ${creatorId}`) : accept(creatorView(ctx, row));
}

export function creatorView(
  ctx: Context,
  row: { readonly creator_id: string; readonly created_at: number },
): CreatorView {
  return {
    creator_id: row.creator_id,
    issuer: creatorIssuer(ctx.origin, row.creator_id),
    created_at: formatInstant(row.created_at),
  };
}
