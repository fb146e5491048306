import { type Change, type Result, accept, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { checkOutboundUrl } from "../http/outbound.ts";
import { changesText, freshSecret, webhookSecretLabel } from "./add-endpoint.ts";
import {
  type EndpointRow,
  deleteOldSecrets,
  findEndpoint,
  insertOldSecret,
  lockEndpoint,
  readOldSecrets,
  updateEndpoint,
} from "./endpoint-store.ts";

/** Which endpoint, and for whom: a marketplace reaches its own only, undefined means the operator. */
export interface EndpointName {
  readonly endpointId: string;
  readonly marketplaceId: string | undefined;
}

export interface EndpointChanges {
  readonly url?: string | undefined;
  readonly description?: string | undefined;
  /** Null means all. */
  readonly changes?: readonly Change[] | null | undefined;
  readonly keySigned?: boolean | undefined;
}

/** The current secret and at most three older ones sign at the same time. */
const MAX_OLD_SECRETS = 3;

/** Refuses `not_found`, also for what belongs to somebody else. */
export async function findOwnEndpoint(
  ctx: Pick<Context, "db">,
  { endpointId, marketplaceId }: EndpointName,
): Promise<Result<EndpointRow>> {
  return ownOf(await findEndpoint(ctx.db, endpointId), { endpointId, marketplaceId });
}

/** Changes what is given and leaves the rest. With another URL the count of its failures begins anew. */
export async function changeEndpoint(
  ctx: Context,
  name: EndpointName,
  input: EndpointChanges,
): Promise<Result<EndpointRow>> {
  const { url, description, changes, keySigned } = input;
  if (url !== undefined) {
    const reachable = checkOutboundUrl(url, ctx.config.allowedHosts);
    if (!reachable.ok) return reachable;
  }
  return onEndpoint(ctx, name, async (fact, endpoint) => {
    fact.record({
      type: "webhook-endpoint.changed",
      aggregate: endpoint.endpoint_id,
      body: {
        ...identityOf(endpoint),
        changed: Object.entries(input).flatMap(([member, value]) => (value === undefined ? [] : [member])),
      },
    });
    return accept(
      await updateEndpoint(fact.trx, endpoint.endpoint_id, {
        url: url ?? endpoint.url,
        description: description ?? endpoint.description,
        changes: changes === undefined ? endpoint.changes : changesText(changes ?? undefined),
        key_signed: keySigned ?? endpoint.key_signed,
        ...(url === undefined ? {} : { failing_since_ms: null, warned_at_ms: null }),
      }),
    );
  });
}

/** Sends nothing more until it is enabled; what happens meanwhile waits. What the operator disabled, the operator enables. */
export async function disableEndpoint(ctx: Context, name: EndpointName): Promise<Result<EndpointRow>> {
  const reason = name.marketplaceId === undefined ? "operator" : "marketplace";
  return onEndpoint(ctx, name, async (fact, endpoint) => {
    const isSettled =
      endpoint.disabled_at !== null && (reason === "marketplace" || endpoint.disabled_reason === reason);
    if (isSettled) return accept(endpoint);
    recordDisabled(fact, endpoint, reason);
    return accept(
      await updateEndpoint(fact.trx, endpoint.endpoint_id, {
        disabled_at: endpoint.disabled_at ?? fact.now,
        disabled_reason: reason,
      }),
    );
  });
}

/** Goes on with what waits. Refuses `not_yours` when a marketplace asks for what the operator disabled. */
export async function enableEndpoint(ctx: Context, name: EndpointName): Promise<Result<EndpointRow>> {
  return onEndpoint(ctx, name, async (fact, endpoint) => {
    if (endpoint.disabled_at === null) return accept(endpoint);
    if (endpoint.disabled_reason === "operator" && name.marketplaceId !== undefined)
      return refuse("not_yours", "the operator disabled this endpoint, and the operator can enable it");
    fact.record({
      type: "webhook-endpoint.enabled",
      aggregate: endpoint.endpoint_id,
      body: identityOf(endpoint),
    });
    return accept(
      await updateEndpoint(fact.trx, endpoint.endpoint_id, {
        disabled_at: null,
        disabled_reason: null,
        failing_since_ms: null,
        warned_at_ms: null,
      }),
    );
  });
}

/** Ends an endpoint for good. Its deliveries stay readable until they are forgotten. */
export async function deleteEndpoint(ctx: Context, name: EndpointName): Promise<Result<EndpointRow>> {
  return onEndpoint(ctx, name, async (fact, endpoint) => {
    // Whoever deletes may add it again, which would enable it.
    if (endpoint.disabled_reason === "operator" && name.marketplaceId !== undefined)
      return refuse("not_yours", "the operator disabled this endpoint, and the operator can delete it");
    await deleteOldSecrets(fact.trx, endpoint.endpoint_id);
    fact.record({
      type: "webhook-endpoint.deleted",
      aggregate: endpoint.endpoint_id,
      body: identityOf(endpoint),
    });
    return accept(await updateEndpoint(fact.trx, endpoint.endpoint_id, { deleted_at: fact.now }));
  });
}

/** A new secret, shown once, and until when (milliseconds since the epoch) the older ones sign too. */
export interface RotatedSecret {
  readonly secret: string;
  readonly overlapUntilMs: number;
}

/**
 * Replaces the secret; the one before goes on signing for `overlapSeconds`. None means that every
 * older secret ends now, as after a leak. Refuses `conflict` when too many overlap already.
 */
export async function rotateSecret(
  ctx: Context,
  name: EndpointName,
  overlapSeconds: number,
): Promise<Result<RotatedSecret>> {
  return onEndpoint(ctx, name, async (fact, endpoint) => {
    const { endpoint_id } = endpoint;
    const nowMs = ctx.clock.nowMs();
    const overlapUntilMs = nowMs + overlapSeconds * 1_000;
    if (overlapSeconds === 0) await deleteOldSecrets(fact.trx, endpoint_id);
    else {
      const old = await readOldSecrets(fact.trx, [endpoint_id], nowMs);
      if (old.length >= MAX_OLD_SECRETS)
        return refuse(
          "conflict",
          `expected at most ${MAX_OLD_SECRETS} older secrets in force: wait until one ends, or end them all with overlap_seconds 0`,
        );
      await insertOldSecret(fact.trx, {
        endpoint_id,
        sealed_secret: endpoint.sealed_secret,
        replaced_at_ms: nowMs,
        valid_until_ms: overlapUntilMs,
      });
    }
    const secret = freshSecret();
    await updateEndpoint(fact.trx, endpoint_id, {
      sealed_secret: ctx.sealer.seal(webhookSecretLabel(endpoint_id), secret),
    });
    fact.record({
      type: "webhook-endpoint.secret-rotated",
      aggregate: endpoint_id,
      body: { ...identityOf(endpoint), overlap_seconds: overlapSeconds },
    });
    return accept({ secret, overlapUntilMs });
  });
}

/**
 * What an endpoint is now, its secret or its URL, is lost: nothing is sent until somebody enables it.
 * With the secret every older one is over too, and one that nobody knows signs until it is rotated.
 * Refuses `not_found`.
 */
export async function loseEndpoint(
  ctx: Context,
  endpointId: string,
  { isSecretLost }: { readonly isSecretLost: boolean },
): Promise<Result<EndpointRow>> {
  return onEndpoint(ctx, { endpointId, marketplaceId: undefined }, async (fact, endpoint) => {
    const { endpoint_id, disabled_at, disabled_reason } = endpoint;
    if (isSecretLost) {
      await deleteOldSecrets(fact.trx, endpoint_id);
      fact.record({
        type: "webhook-endpoint.secret-rotated",
        aggregate: endpoint_id,
        body: { ...identityOf(endpoint), overlap_seconds: 0 },
      });
    }
    if (disabled_at === null) recordDisabled(fact, endpoint, "restored");
    return accept(
      await updateEndpoint(fact.trx, endpoint_id, {
        disabled_at: disabled_at ?? fact.now,
        disabled_reason: disabled_reason === "operator" ? disabled_reason : "restored",
        ...(isSecretLost ? { sealed_secret: ctx.sealer.seal(webhookSecretLabel(endpoint_id), freshSecret()) } : {}),
      }),
    );
  });
}

/** The event that says so, and has the marketplace's other endpoints told. */
export function recordDisabled(fact: Fact, endpoint: EndpointRow, reason: string): void {
  fact.record({
    type: "webhook-endpoint.disabled",
    aggregate: endpoint.endpoint_id,
    body: { ...identityOf(endpoint), reason },
  });
}

export function identityOf({ endpoint_id, marketplace_id }: EndpointRow): {
  readonly endpoint_id: string;
  readonly marketplace_id: string;
} {
  return { endpoint_id, marketplace_id };
}

async function onEndpoint<T>(
  ctx: Context,
  name: EndpointName,
  work: (fact: Fact, endpoint: EndpointRow) => Promise<Result<T>>,
): Promise<Result<T>> {
  return writeFact(ctx, async (fact) => {
    const endpoint = ownOf(await lockEndpoint(fact.trx, name.endpointId), name);
    return endpoint.ok ? work(fact, endpoint.value) : endpoint;
  });
}

function ownOf(endpoint: EndpointRow | undefined, { endpointId, marketplaceId }: EndpointName): Result<EndpointRow> {
  const isTheirs = endpoint !== undefined && (marketplaceId ?? endpoint.marketplace_id) === endpoint.marketplace_id;
  return isTheirs ? accept(endpoint) : refuse("not_found", `there is no webhook endpoint ${endpointId}`);
}
