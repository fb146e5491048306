import type { EventType } from "./event-jobs.ts";

/** Who reads events of one type in the feed, and how much of them. Operators read all of everything. */
export interface EventReaders {
  /** Clients that act for the platform: with the body, or that it happened. */
  readonly platform: "full" | "bare";
  /** Creators: what is about themselves, with the body; or what happens to a dataset that holds their works. */
  readonly creator: "own" | "held" | "none";
  /** Marketplaces: what happens to datasets that were offered to them; or what is about themselves. */
  readonly marketplace: "offered" | "own" | "none";
}

/** Clients, keys and other platforms are the operator's alone; money has scopes of its own, by which the rest is read. */
const OPERATORS = { platform: "bare", creator: "none", marketplace: "none" } as const;
const PLATFORMS = { platform: "full", creator: "none", marketplace: "none" } as const;
const CREATORS = { platform: "full", creator: "own", marketplace: "none" } as const;
const CREATORS_MONEY = { platform: "bare", creator: "own", marketplace: "none" } as const;
const MARKETPLACES = { platform: "bare", creator: "none", marketplace: "own" } as const;
/** A remediation names its creator, whom its marketplace hears of by webhooks without a name. */
const REMEDIATIONS = { platform: "full", creator: "own", marketplace: "none" } as const;
/** A use after what was taken back: whoever has a work in the dataset is to know. */
const BREACH = { platform: "full", creator: "held", marketplace: "none" } as const;
/** What happens to consents and works is told to marketplaces by the datasets it touches. */
const TOUCHING = { platform: "full", creator: "own", marketplace: "offered" } as const;
/** What the world can see happen to a dataset. */
const DATASET = { platform: "full", creator: "held", marketplace: "offered" } as const;

/** A new type does not compile until it is said here who reads it. */
const EVENT_READERS: Readonly<Record<EventType, EventReaders>> = {
  "key.created": OPERATORS,
  "key.rotated": OPERATORS,
  "key.retired": OPERATORS,
  "key.revoked": OPERATORS,
  "master-key.changed": OPERATORS,
  "oauth-key.rotated": OPERATORS,
  "terms.published": PLATFORMS,
  "creator.registered": CREATORS,
  "creator-key.enrolled": CREATORS,
  "creator-key.retired": CREATORS,
  "creator-key.revoked": CREATORS,
  "content.registered": CREATORS,
  "content.revised": CREATORS,
  "content.withdrawn": TOUCHING,
  "content.suspended": TOUCHING,
  "content.resumed": TOUCHING,
  "consent.drafted": CREATORS,
  "consent.draft-closed": PLATFORMS,
  "consent.granted": CREATORS,
  "acceptances.signed-again": PLATFORMS,
  "consent.revoked": TOUCHING,
  "consent.suspended": TOUCHING,
  "consent.resumed": TOUCHING,
  "consent.expired": TOUCHING,
  "revocation.acknowledged": PLATFORMS,
  "marketplace.registered": PLATFORMS,
  "client.registered": OPERATORS,
  "client.suspended": OPERATORS,
  "client.resumed": OPERATORS,
  "client.ended": OPERATORS,
  "client.credentials-changed": OPERATORS,
  "session.ended": OPERATORS,
  "receipt-key.registered": PLATFORMS,
  "webhook-endpoint.added": OPERATORS,
  "webhook-endpoint.changed": OPERATORS,
  "webhook-endpoint.secret-rotated": OPERATORS,
  "webhook-endpoint.failing": OPERATORS,
  "webhook-endpoint.disabled": OPERATORS,
  "webhook-endpoint.enabled": OPERATORS,
  "webhook-endpoint.deleted": OPERATORS,
  "purge.failing": OPERATORS,
  "purge.recovered": OPERATORS,
  "receipt-key.retired": PLATFORMS,
  "receipt-key.revoked": PLATFORMS,
  "dataset.drafted": PLATFORMS,
  "dataset.draft-deleted": PLATFORMS,
  "dataset.suspended": DATASET,
  "dataset.resumed": DATASET,
  "dataset.withdrawn": DATASET,
  "suspension.joined": PLATFORMS,
  "suspension.left": PLATFORMS,
  "dataset.published": DATASET,
  "dataset.offered": PLATFORMS,
  "agreement.published": PLATFORMS,
  "agreement.accepted": OPERATORS,
  "license-policy.changed": OPERATORS,
  "license.requested": MARKETPLACES,
  "license.issued": MARKETPLACES,
  "license.denied": MARKETPLACES,
  "license.renewed": MARKETPLACES,
  "license.revoked": MARKETPLACES,
  "license.expired": MARKETPLACES,
  "receipt.accepted": PLATFORMS,
  "receipt.breach": BREACH,
  "receipt.late": PLATFORMS,
  "model.unlicensed": PLATFORMS,
  "model.unlisted": PLATFORMS,
  "remediation.opened": REMEDIATIONS,
  "remediation.extended": REMEDIATIONS,
  "remediation.messaged": REMEDIATIONS,
  "remediation.offered": REMEDIATIONS,
  "remediation.offer-ended": REMEDIATIONS,
  "remediation.declined": REMEDIATIONS,
  "remediation.compensated": REMEDIATIONS,
  "remediation.overdue": REMEDIATIONS,
  "remediation.closed": REMEDIATIONS,
  "analytics.rebuilt": OPERATORS,
  "finding.opened": OPERATORS,
  "finding.closed": OPERATORS,
  "finding.resolved": OPERATORS,
  "upstream.registered": OPERATORS,
  "upstream.secret-rotated": OPERATORS,
  "upstream.ended": OPERATORS,
  "upstream.works-mapped": OPERATORS,
  "upstream.works-unmapped": OPERATORS,
  "upstream.event-accepted": OPERATORS,
  "pool.split": OPERATORS,
  "period.closed": OPERATORS,
  "payment.recorded": OPERATORS,
  "ledger.reversed": OPERATORS,
  "invoice.issued": MARKETPLACES,
  "payout-details.changed": CREATORS_MONEY,
  "payout-batch.created": OPERATORS,
  "payout.created": CREATORS_MONEY,
  "payout.sent": CREATORS_MONEY,
  "payout.paid": CREATORS_MONEY,
  "payout.failed": CREATORS_MONEY,
  "payout.returned": CREATORS_MONEY,
  "payout.held": OPERATORS,
};

/** Who reads an event; of a type that nobody knows any more, the operator. */
export function readersOf(type: string): EventReaders {
  return isKnown(type) ? EVENT_READERS[type] : OPERATORS;
}

function isKnown(type: string): type is EventType {
  return Object.hasOwn(EVENT_READERS, type);
}
