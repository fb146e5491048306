import {
  LICENSE_CHANGES,
  NOTICES,
  REFUSING_CHANGES,
  REMEDIATION_CHANGES,
  CHANGES,
  type Change,
  type Result,
  accept,
  refuse,
  webhookSecret,
} from "@licet/protocol";
import { randomBytes } from "node:crypto";
import { ulid } from "ulid";
import type { Context } from "../context.ts";
import type { Trx } from "../db/open-database.ts";
import { writeFact } from "../events/write-fact.ts";
import { checkOutboundUrl } from "../http/outbound.ts";
import { type EndpointRow, countEndpoints, insertEndpoint } from "./endpoint-store.ts";
import { lockMarketplace } from "./store.ts";

/** What an endpoint may ask for or leave. What somebody must stop for is sent to everybody. */
const OPTIONAL_CHANGES = CHANGES.filter((change) => !REFUSING_CHANGES.includes(change));

export interface EndpointInput {
  readonly url: string;
  readonly description: string;
  /** Undefined means all. */
  readonly changes: readonly Change[] | undefined;
  readonly keySigned: boolean;
}

/** An endpoint and its secret, which is shown once. */
export interface AddedEndpoint {
  readonly endpoint: EndpointRow;
  readonly secret: string;
}

/** A marketplace has its production, its staging and a few more. */
export const MAX_ENDPOINTS = 20;
const SECRET_BYTES = 32;

/** Adds an endpoint to a marketplace. Refuses `not_found`, `conflict` and an URL that the server would never call. */
export async function addEndpoint(
  ctx: Context,
  marketplaceId: string,
  input: EndpointInput,
): Promise<Result<AddedEndpoint>> {
  const reachable = checkOutboundUrl(input.url, ctx.config.allowedHosts);
  if (!reachable.ok) return reachable;
  return writeFact(ctx, async (fact) => {
    if (!(await lockMarketplace(fact.trx, marketplaceId)))
      return refuse("not_found", `there is no marketplace ${marketplaceId}`);
    if ((await countEndpoints(fact.trx, marketplaceId)) >= MAX_ENDPOINTS)
      return refuse("conflict", `expected at most ${MAX_ENDPOINTS} endpoints of one marketplace: delete one first`);
    const added = await createEndpoint(ctx, fact.trx, marketplaceId, input);
    fact.record({
      type: "webhook-endpoint.added",
      aggregate: added.endpoint.endpoint_id,
      body: { endpoint_id: added.endpoint.endpoint_id, marketplace_id: marketplaceId },
    });
    return accept(added);
  });
}

/** Writes an endpoint with a fresh secret, inside the fact that makes it. */
export async function createEndpoint(
  ctx: Context,
  trx: Trx,
  marketplaceId: string,
  { url, description, changes, keySigned }: EndpointInput,
): Promise<AddedEndpoint> {
  const endpointId = `whe_${ulid(ctx.clock.nowMs())}`;
  const secret = freshSecret();
  const endpoint = await insertEndpoint(trx, {
    endpoint_id: endpointId,
    marketplace_id: marketplaceId,
    url,
    sealed_secret: ctx.sealer.seal(webhookSecretLabel(endpointId), secret),
    created_at: Math.floor(ctx.clock.nowMs() / 1_000),
    disabled_at: null,
    description,
    changes: changesText(changes),
    key_signed: keySigned,
  });
  return { endpoint, secret };
}

export function freshSecret(): string {
  return webhookSecret(randomBytes(SECRET_BYTES));
}

/** As it is kept: the optional changes that are asked for, with spaces between. */
export function changesText(changes: readonly Change[] | undefined): string | null {
  if (changes === undefined) return null;
  return OPTIONAL_CHANGES.filter((change) => changes.includes(change)).join(" ");
}

/** What an endpoint is sent: all that refuses, notices, what is about licenses, and of the rest what it asks for. */
export function changesOf(endpoint: Pick<EndpointRow, "changes">): readonly Change[] {
  const asked = endpoint.changes?.split(" ");
  const optional = OPTIONAL_CHANGES.filter((change) => asked?.includes(change) ?? true);
  return [...REFUSING_CHANGES, ...optional, ...NOTICES, ...LICENSE_CHANGES, ...REMEDIATION_CHANGES];
}

export function webhookSecretLabel(endpointId: string): string {
  return `webhook_endpoint/${endpointId}`;
}
