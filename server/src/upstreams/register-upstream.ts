import { type Result, accept, refuse, webhookSecret } from "@licet/protocol";
import { randomBytes } from "node:crypto";
import { ulid } from "ulid";
import { type Context, nowSeconds } from "../context.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { checkOutboundUrl } from "../http/outbound.ts";
import { type Acted, letGoHeld } from "../revocations/act-for-upstream.ts";
import {
  type UpstreamRow,
  countUpstreams,
  findUpstream,
  findUpstreamByEndpoint,
  insertUpstream,
  lockUpstream,
  updateUpstream,
} from "./store.ts";

export interface NewUpstream {
  readonly name: string;
  readonly origin: string;
  /** As the upstream named it, if it did. */
  readonly endpointId: string | undefined;
  /** As the upstream made it, if it did. */
  readonly secret: string | undefined;
  readonly keySigned: boolean;
}

/** An upstream; its secret is there, once, when it was made here. */
export interface RegisteredUpstream {
  readonly upstream: UpstreamRow;
  readonly secret: string | undefined;
}

/** A platform carries works for a few others. */
const MAX_UPSTREAMS = 1_000;
const SECRET_BYTES = 32;
/** What ending an upstream lets go in one call. */
const MAX_LET_GO = 10_000;

/** Refuses `already_exists`, `conflict`, and `url_forbidden` when its key set could never be read. */
export async function registerUpstream(ctx: Context, input: NewUpstream): Promise<Result<RegisteredUpstream>> {
  if (input.keySigned) {
    const reachable = checkOutboundUrl(keySetUrl(input), ctx.config.allowedHosts);
    if (!reachable.ok) return reachable;
  }
  return writeFact<RegisteredUpstream>(ctx, async (fact) => {
    if ((await countUpstreams(fact.trx)) >= MAX_UPSTREAMS)
      return refuse("conflict", `expected at most ${MAX_UPSTREAMS} upstreams: end one first`);
    const nowMs = ctx.clock.nowMs();
    const endpointId = input.endpointId ?? `whe_${ulid(nowMs)}`;
    if ((await findUpstreamByEndpoint(fact.trx, endpointId)) !== undefined)
      return refuse("already_exists", `an upstream with the endpoint ${endpointId} was registered before`);
    const upstreamId = `up_${ulid(nowMs)}`;
    const secret = input.secret ?? freshSecret();
    const upstream = await insertUpstream(fact.trx, {
      upstream_id: upstreamId,
      name: input.name,
      origin: input.origin,
      endpoint_id: endpointId,
      sealed_secret: ctx.sealer.seal(secretLabel(upstreamId), secret),
      old_sealed_secret: null,
      old_secret_until: null,
      key_signed: input.keySigned,
      key_set: null,
      key_set_read_at: null,
      created_at: fact.now,
      ended_at: null,
    });
    fact.record({
      type: "upstream.registered",
      aggregate: upstreamId,
      body: { upstream_id: upstreamId, origin: input.origin, endpoint_id: endpointId, key_signed: input.keySigned },
    });
    return accept({ upstream, secret: input.secret === undefined ? secret : undefined });
  });
}

/** Refuses `not_found`. */
export async function requireUpstream(ctx: Pick<Context, "db">, upstreamId: string): Promise<Result<UpstreamRow>> {
  return foundOf(await findUpstream(ctx.db, upstreamId), upstreamId);
}

export interface Rotation {
  readonly overlapSeconds: number;
  readonly secret: string | undefined;
}

/**
 * Replaces the secret; the one before is taken for `overlapSeconds` more, and one that is older
 * still is out at once. Refuses `not_found`, and `upstream_ended`.
 */
export async function rotateUpstreamSecret(
  ctx: Context,
  upstreamId: string,
  { overlapSeconds, secret }: Rotation,
): Promise<Result<{ readonly secret: string | undefined; readonly oldSecretUntil: number }>> {
  return writeFact(ctx, async (fact) => {
    const found = await lockLiving(fact, upstreamId);
    if (!found.ok) return found;
    const fresh = secret ?? freshSecret();
    const oldSecretUntil = fact.now + overlapSeconds;
    await updateUpstream(fact.trx, upstreamId, {
      sealed_secret: ctx.sealer.seal(secretLabel(upstreamId), fresh),
      old_sealed_secret: overlapSeconds === 0 ? null : found.value.sealed_secret,
      old_secret_until: overlapSeconds === 0 ? null : oldSecretUntil,
    });
    fact.record({
      type: "upstream.secret-rotated",
      aggregate: upstreamId,
      body: { upstream_id: upstreamId, overlap_seconds: overlapSeconds },
    });
    return accept({ secret: secret === undefined ? fresh : undefined, oldSecretUntil });
  });
}

/**
 * Replaces a secret that was rotated after the backup that is restored by one that nobody knows: the
 * one of the backup may have leaked, and the one that came after it is lost.
 * Refuses `not_found` and `upstream_ended`.
 */
export async function loseUpstreamSecret(ctx: Context, upstreamId: string): Promise<Result<unknown>> {
  return rotateUpstreamSecret(ctx, upstreamId, { overlapSeconds: 0, secret: undefined });
}

export interface EndedUpstream {
  readonly upstream: UpstreamRow;
  /** What it held suspended and stands again, when that was asked for. */
  readonly resumed: (Acted & { readonly isComplete: boolean }) | undefined;
}

/**
 * Takes nothing more from an upstream. What it took back stays so; what it holds suspended stays so
 * too, unless `letsGo`: nobody else can lift it. Ended before, it can still be asked to let go.
 * Refuses `not_found`.
 */
export async function endUpstream(
  ctx: Context,
  upstreamId: string,
  { letsGo, by }: { readonly letsGo: boolean; readonly by: string },
): Promise<Result<EndedUpstream>> {
  return writeFact<EndedUpstream>(ctx, async (fact) => {
    const found = foundOf(await lockUpstream(fact.trx, upstreamId), upstreamId);
    if (!found.ok) return found;
    const isNew = found.value.ended_at === null;
    if (isNew) fact.record({ type: "upstream.ended", aggregate: upstreamId, body: { upstream_id: upstreamId } });
    const upstream = isNew
      ? await updateUpstream(fact.trx, upstreamId, {
          ended_at: fact.now,
          old_sealed_secret: null,
          old_secret_until: null,
        })
      : found.value;
    const held = { holder: `upstream:${upstreamId}/`, isPrefix: true, limit: MAX_LET_GO };
    return accept({
      upstream,
      resumed: letsGo ? await letGoHeld(fact, held, { by, reason: "upstream_ended" }) : undefined,
    });
  });
}

/** The upstream, locked, if it has not ended. Refuses `not_found` and `upstream_ended`. */
export async function lockLiving(fact: Fact, upstreamId: string): Promise<Result<UpstreamRow>> {
  const found = foundOf(await lockUpstream(fact.trx, upstreamId), upstreamId);
  if (!found.ok || found.value.ended_at === null) return found;
  return refuse("upstream_ended", `the upstream ${upstreamId} has ended`);
}

/** The secrets that may sign its messages now. */
export function secretsOf(ctx: Pick<Context, "sealer" | "clock">, upstream: UpstreamRow): readonly string[] {
  const { upstream_id, sealed_secret, old_sealed_secret, old_secret_until } = upstream;
  const isOldTaken = old_secret_until !== null && nowSeconds(ctx) < old_secret_until;
  return [sealed_secret, isOldTaken ? old_sealed_secret : null].flatMap((sealed) =>
    sealed === null ? [] : [ctx.sealer.open(secretLabel(upstream_id), sealed)],
  );
}

/** Where an upstream publishes its keys. */
export function keySetUrl({ origin }: Pick<UpstreamRow, "origin">): string {
  return `${origin}/.well-known/keys.json`;
}

function foundOf(upstream: UpstreamRow | undefined, upstreamId: string): Result<UpstreamRow> {
  return upstream === undefined ? refuse("not_found", `there is no upstream ${upstreamId}`) : accept(upstream);
}

function freshSecret(): string {
  return webhookSecret(randomBytes(SECRET_BYTES));
}

function secretLabel(upstreamId: string): string {
  return `upstream/${upstreamId}`;
}
