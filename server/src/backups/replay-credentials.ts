import { type JsonValue, KEY_PURPOSES, type Result, accept, parseJsonObject } from "@licet/protocol";
import type { Context } from "../context.ts";
import { markCompromised, retireKey } from "../creators/end-key.ts";
import { BY_RESTORE } from "../events/journal-entry.ts";
import { writeFact } from "../events/write-fact.ts";
import { changeClientState, loseCredentials } from "../http/oauth/clients.ts";
import { type LostKey, restoreRevokedKey } from "../keys/restore-key.ts";
import { revokeKey } from "../keys/revoke-key.ts";
import { succeedLostKeys } from "../keys/succeed-lost-keys.ts";
import { deleteEndpoint, disableEndpoint, enableEndpoint, loseEndpoint } from "../marketplaces/change-endpoint.ts";
import { retireReceiptKey, revokeReceiptKey } from "../marketplaces/end-receipt-key.ts";
import { losePayoutDetails } from "../payouts/payout-details.ts";
import { endUpstream, loseUpstreamSecret } from "../upstreams/register-upstream.ts";
import type { JournalEvent, JournalFact } from "./read-journal.ts";

const OPERATOR = { kind: "operator" } as const;

/**
 * Ends a key, a client or an upstream again that was ended after the backup. Answers whether that was needed:
 * what is lost needs no end, and what has ended already is refused by the operation itself.
 */
export async function replayCredential(then: Context, event: JournalEvent): Promise<boolean> {
  const operation = OPERATIONS[event.type];
  if (operation === undefined) return false;
  const result = await operation(then, event.body);
  if (result.ok && event.type === "key.revoked") await then.signingKeys.reload();
  return result.ok;
}

type Body = JournalEvent["body"];

const OPERATIONS: Readonly<Record<string, (then: Context, body: Body) => Promise<Result<unknown>>>> = {
  "key.revoked": replayKeyRevocation,
  "creator-key.revoked": (then, body) =>
    writeFact(then, (fact) =>
      markCompromised(fact, { ...creatorKeyOf(body), since: numberOf(body["compromised_since"]) }),
    ),
  "creator-key.retired": (then, body) => retireKey(then, creatorKeyOf(body)),
  "receipt-key.revoked": (then, body) =>
    writeFact(then, (fact) =>
      revokeReceiptKey(fact, { ...receiptKeyOf(body), since: numberOf(body["compromised_since"]) }),
    ),
  "receipt-key.retired": (then, body) => retireReceiptKey(then, receiptKeyOf(body)),
  "client.suspended": (then, body) => changeClientState(then, textOf(body["client_id"]), "suspend"),
  "client.resumed": (then, body) => changeClientState(then, textOf(body["client_id"]), "resume"),
  "client.ended": (then, body) => changeClientState(then, textOf(body["client_id"]), "end"),
  // What it held suspended is in the journal too, and so is whether that was lifted.
  "upstream.ended": (then, body) => endUpstream(then, textOf(body["upstream_id"]), { letsGo: false, by: BY_RESTORE }),
  "webhook-endpoint.disabled": replayDisabling,
  "webhook-endpoint.enabled": (then, body) => enableEndpoint(then, endpointOf(body)),
  "webhook-endpoint.deleted": (then, body) => deleteEndpoint(then, endpointOf(body)),
};

/**
 * Keys that were handed over to, and made, after the backup: their successors sign whatever the
 * replay publishes, so they come before it.
 */
export async function replayRotations(ctx: Context, facts: readonly JournalFact[], by: string): Promise<void> {
  const made = eventsOf(facts, ["key.rotated", "key.created"]);
  if (made.length === 0) return;
  const revokedKids = idsOf(eventsOf(facts, ["key.revoked"]), "kid");
  const lost = made.flatMap(({ body }) => lostKeyOf(body) ?? []);
  await writeFact(ctx, async (fact) => accept(await succeedLostKeys(fact, { lost, revokedKids, by })));
  await ctx.signingKeys.reload();
}

/**
 * What was replaced after the backup: the new one is lost, and the old one may be known to somebody
 * else, so neither is good for anything until its owner sets it anew. Comes after the replay, which
 * may resume and enable. Answers the clients, endpoints, upstreams and
 * payout details.
 */
export async function loseReplaced(ctx: Context, facts: readonly JournalFact[]): Promise<readonly string[]> {
  const lost: string[] = [];
  const clientIds = idsOf(eventsOf(facts, ["client.credentials-changed"]), "client_id");
  for (const clientId of clientIds) if ((await loseCredentials(ctx, clientId)).ok) lost.push(clientId);
  const rotated = idsOf(eventsOf(facts, ["webhook-endpoint.secret-rotated"]), "endpoint_id");
  const moved = idsOf(eventsOf(facts, ["webhook-endpoint.changed"]).filter(hasMoved), "endpoint_id");
  for (const endpointId of new Set([...rotated, ...moved])) {
    const disabled = await loseEndpoint(ctx, endpointId, { isSecretLost: rotated.has(endpointId) });
    if (disabled.ok) lost.push(endpointId);
  }
  const upstreamIds = idsOf(eventsOf(facts, ["upstream.secret-rotated"]), "upstream_id");
  for (const upstreamId of upstreamIds) if ((await loseUpstreamSecret(ctx, upstreamId)).ok) lost.push(upstreamId);
  return [...lost, ...(await loseDetails(ctx, facts))];
}

/** Where money goes: the account that the backup has is not where its creator wants it any more. */
async function loseDetails(ctx: Context, facts: readonly JournalFact[]): Promise<readonly string[]> {
  const lost = new Set<string>();
  for (const { body } of eventsOf(facts, ["payout-details.changed"])) {
    const [creatorId, currency] = [textOf(body["creator_id"]), textOf(body["currency"])];
    const name = `${creatorId}, payout details for ${currency}`;
    if (!lost.has(name) && (await losePayoutDetails(ctx, { creatorId, currency })).ok) lost.add(name);
  }
  return [...lost];
}

function eventsOf(facts: readonly JournalFact[], types: readonly string[]): readonly JournalEvent[] {
  return facts.flatMap((fact) => fact.events.filter((event) => types.includes(event.type)));
}

function idsOf(events: readonly JournalEvent[], member: string): ReadonlySet<string> {
  return new Set(events.map(({ body }) => textOf(body[member])));
}

function hasMoved({ body }: JournalEvent): boolean {
  return Array.isArray(body["changed"]) && body["changed"].includes("url");
}

/** An endpoint that took nothing is found out again. */
async function replayDisabling(then: Context, body: Body): Promise<Result<unknown>> {
  const { endpointId } = endpointOf(body);
  if (body["reason"] === "operator") return disableEndpoint(then, { endpointId, marketplaceId: undefined });
  if (body["reason"] === "marketplace")
    return disableEndpoint(then, { endpointId, marketplaceId: textOf(body["marketplace_id"]) });
  return accept(undefined);
}

function endpointOf(body: Body) {
  return { endpointId: textOf(body["endpoint_id"]), marketplaceId: undefined };
}

function lostKeyOf(body: Body): LostKey | undefined {
  const purpose = KEY_PURPOSES.find((known) => known === body["purpose"]);
  const publicJwk = parseJsonObject(textOf(body["public_jwk"]));
  if (purpose === undefined || !publicJwk.ok) return undefined;
  const notBefore = numberOf(body["not_before"]);
  return {
    kid: textOf(body["kid"]),
    publicJwk: publicJwk.value,
    purpose,
    notBefore,
    notAfter: numberOf(body["not_after"]),
  };
}

/** A key that was made after the backup is lost, and is listed as revoked all the same. */
async function replayKeyRevocation(then: Context, body: Body): Promise<Result<unknown>> {
  const revocation = {
    kid: textOf(body["kid"]),
    compromisedSince: body["compromised"] === true ? numberOf(body["since"]) : undefined,
    by: textOf(body["by"]),
  };
  const revoked = await writeFact(then, (fact) => revokeKey(fact, revocation));
  const lost = lostKeyOf(body);
  if (revoked.ok || revoked.refusal.code !== "not_found" || lost === undefined) return revoked;
  const { compromisedSince, by } = revocation;
  return writeFact(then, (fact) => restoreRevokedKey(fact, { ...lost, compromisedSince, by }));
}

function creatorKeyOf(body: Body) {
  return { creatorId: textOf(body["creator_id"]), kid: textOf(body["kid"]), principal: OPERATOR };
}

function receiptKeyOf(body: Body) {
  return { marketplaceId: textOf(body["marketplace_id"]), kid: textOf(body["kid"]), principal: OPERATOR };
}

function textOf(value: JsonValue | undefined): string {
  return typeof value === "string" ? value : "";
}

function numberOf(value: JsonValue | undefined): number {
  return typeof value === "number" ? value : 0;
}
