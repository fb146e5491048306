import { type JsonObject, type JsonValue, canonicalize } from "@licet/protocol";
import type { EventType } from "./event-jobs.ts";
import type { NewEvent } from "./store.ts";

/** The actor of what a restore decides itself. */
export const BY_RESTORE = "restore";

/** A place in a status list and what was set there. */
export interface KeptStatus {
  readonly status_list: number;
  readonly status_idx: number;
  readonly status: "valid" | "revoked" | "suspended";
}

/** A consent that came into force: what it takes to end it although its row is lost. */
export interface KeptGrant {
  readonly jti: string;
  readonly status_list: number;
  readonly status_idx: number;
  /** Seconds since the epoch. */
  readonly expires_at: number;
}

/** Who holds something suspended, or no longer does: it stands again once nobody does. */
export interface KeptHold {
  readonly kind: "consent" | "content" | "dataset";
  readonly id: string;
  readonly holder: "platform" | "creator" | `upstream:${string}`;
  readonly is_held: boolean;
}

/** That a work or a consent of ours is carried for an upstream, or no longer is: without this a refusal of its would be about nothing. */
export interface KeptMapping {
  readonly upstream_id: string;
  readonly content_id: string | null;
  readonly jti: string | null;
  readonly upstream_dataset_id: string | null;
  readonly upstream_content_id: string | null;
  readonly upstream_jti: string;
  readonly is_mapped: boolean;
}

/** What one fact leaves in the journal. */
export interface KeptFact {
  readonly holds: readonly KeptHold[];
  readonly statuses: readonly KeptStatus[];
  readonly grants: readonly KeptGrant[];
  readonly mappings: readonly KeptMapping[];
}

/**
 * The events that a restore must know of, and the members of their bodies that it needs: pseudonyms
 * and identifiers, never free text. What refuses is replayed; what does not is at least reported as lost.
 */
const KEPT_EVENTS: Readonly<Partial<Record<EventType, readonly string[]>>> = {
  "consent.granted": ["jti", "creator_id"],
  "consent.revoked": ["jti", "creator_id", "by", "at", "dataset_ids"],
  "consent.expired": ["jti", "creator_id", "by", "at", "dataset_ids"],
  "content.withdrawn": ["content_id", "creator_id", "by", "at", "dataset_ids"],
  "consent.suspended": ["jti", "creator_id", "by", "at", "dataset_ids"],
  "consent.resumed": ["jti", "creator_id", "by", "at", "dataset_ids"],
  "content.suspended": ["content_id", "creator_id", "by", "at", "dataset_ids"],
  "content.resumed": ["content_id", "creator_id", "by", "at", "dataset_ids"],
  "dataset.suspended": ["dataset_id", "by", "at"],
  "dataset.resumed": ["dataset_id", "by", "at"],
  "suspension.joined": ["kind", "id", "holder", "by"],
  "suspension.left": ["kind", "id", "holder", "by"],
  "dataset.withdrawn": ["dataset_id", "by", "at"],
  "dataset.published": ["dataset_id", "version"],
  "key.created": ["kid", "purpose", "public_jwk", "not_before", "not_after"],
  "key.rotated": ["kid", "purpose", "public_jwk", "not_before", "not_after"],
  "key.revoked": ["kid", "since", "compromised", "by", "purpose", "public_jwk", "not_before", "not_after"],
  "creator-key.revoked": ["creator_id", "kid", "compromised_since", "by"],
  "creator-key.retired": ["creator_id", "kid", "by"],
  "receipt-key.revoked": ["marketplace_id", "kid", "compromised_since", "by"],
  "receipt-key.retired": ["marketplace_id", "kid", "by"],
  "client.suspended": ["client_id"],
  "client.resumed": ["client_id"],
  "client.ended": ["client_id"],
  "client.credentials-changed": ["client_id"],
  "upstream.registered": ["upstream_id"],
  "upstream.secret-rotated": ["upstream_id"],
  "upstream.ended": ["upstream_id"],
  "upstream.works-mapped": ["upstream_id"],
  "upstream.works-unmapped": ["upstream_id"],
  "upstream.event-accepted": [
    "upstream_id",
    "event_id",
    "dataset_id",
    "content_id",
    "jti",
    "change",
    "sequence",
    "effect",
  ],
  "webhook-endpoint.secret-rotated": ["endpoint_id"],
  "webhook-endpoint.changed": ["endpoint_id", "changed"],
  "webhook-endpoint.disabled": ["endpoint_id", "marketplace_id", "reason"],
  "webhook-endpoint.enabled": ["endpoint_id"],
  "webhook-endpoint.deleted": ["endpoint_id"],
  "license.issued": ["license_id", "marketplace_id", "dataset_id", "status_list", "status_idx"],
  "license.renewed": ["license_id", "marketplace_id", "dataset_id", "expires_at", "by"],
  "license.revoked": ["license_id", "marketplace_id", "dataset_id", "by", "at"],
  "license.expired": ["license_id", "marketplace_id", "dataset_id", "by", "at"],
  "receipt.accepted": ["receipt_id", "marketplace_id", "dataset_id"],
  "payout-details.changed": ["creator_id", "currency"],
  "payout.created": ["payout_id", "batch_id", "creator_id", "adapter", "currency", "amount_micros"],
  "payout.sent": ["payout_id", "external_id"],
  "payout.paid": ["payout_id", "external_id"],
  "payout.failed": ["payout_id"],
  "payout.returned": ["payout_id", "returned_micros"],
  "payment.recorded": ["transaction_id", "marketplace_id", "amount_micros", "currency"],
  "ledger.reversed": ["transaction_id", "reversal_id"],
  "pool.split": ["pool_micros", "fee_micros", "currency"],
  "period.closed": ["period"],
  "invoice.issued": ["invoice_id", "number", "marketplace_id", "period", "total_micros", "currency"],
  "license-policy.changed": ["dataset_id", "mode"],
  "remediation.compensated": [
    "case_id",
    "creator_id",
    "marketplace_id",
    "license_id",
    "offer_id",
    "transaction_id",
    "amount_micros",
    "currency",
  ],
};

/** Kept so that they can be missed, or lifted again: losing one brings nothing back that was refused. */
const UNREFUSING: ReadonlySet<EventType> = new Set<EventType>([
  "consent.granted",
  "consent.resumed",
  "content.resumed",
  "dataset.resumed",
  "suspension.left",
  "dataset.published",
  "client.resumed",
  "key.created",
  "webhook-endpoint.enabled",
  "upstream.registered",
  "upstream.works-unmapped",
  "license.issued",
  "license.renewed",
  "receipt.accepted",
  "payout.sent",
  "payout.paid",
  "payout.failed",
  "payout.returned",
  "payment.recorded",
  "ledger.reversed",
  "pool.split",
  "period.closed",
  "invoice.issued",
  "license-policy.changed",
  "remediation.compensated",
]);

/** True for a fact that must be in the journal before it is answered. */
export function isRefusing(
  events: readonly NewEvent[],
  { statuses, holds }: Pick<KeptFact, "statuses" | "holds">,
): boolean {
  const isRefusal = ({ type }: NewEvent) => KEPT_EVENTS[type] !== undefined && !UNREFUSING.has(type);
  return (
    statuses.some(({ status }) => status !== "valid") || holds.some((hold) => hold.is_held) || events.some(isRefusal)
  );
}

/** The journal's text for a fact; undefined when a restore could do without it. */
export function journalText(
  events: readonly { readonly id: string; readonly event: NewEvent }[],
  kept: KeptFact,
  atMs: number,
): string | undefined {
  const keptEvents = events.flatMap(({ id, event: { type, aggregate, body } }) => {
    const members = KEPT_EVENTS[type];
    return members === undefined ? [] : [{ id, type, aggregate, body: pick(body, members) }];
  });
  const isEmpty = [keptEvents, kept.statuses, kept.grants, kept.holds, kept.mappings].every(
    (list) => list.length === 0,
  );
  if (isEmpty) return undefined;
  return canonicalize({
    at_ms: atMs,
    events: keptEvents,
    holds: kept.holds.map(({ kind, id, holder, is_held }) => ({ kind, id, holder, is_held })),
    statuses: kept.statuses.map(({ status_list, status_idx, status }) => ({ status_list, status_idx, status })),
    grants: kept.grants.map(({ jti, status_list, status_idx, expires_at }) => ({
      jti,
      status_list,
      status_idx,
      expires_at,
    })),
    ...(kept.mappings.length === 0 ? {} : { mappings: kept.mappings.map((mapping) => ({ ...mapping })) }),
  });
}

function pick(body: JsonObject, members: readonly string[]): JsonObject {
  const entries = members.flatMap((member): [string, JsonValue][] => {
    const value = body[member];
    return value === undefined ? [] : [[member, value]];
  });
  return Object.fromEntries(entries);
}
