/**
 * The advisory locks of one database, in the order in which one transaction takes several of them
 * (docs/architecture.md). Any number does, as long as it is no other's and every server takes the same.
 */
export const ADVISORY_LOCKS = {
  /** Shared by whoever signs, alone by whoever changes the platform's keys. */
  signingKeys: 7_265_390,
  /** Whoever makes or retires a key of the OAuth server. */
  oauthKeys: 7_265_391,
  /** Whoever makes payouts, so that no balance is paid out twice. */
  payouts: 7_265_386,
  /** Whoever numbers invoices, so that no number is left out. */
  invoices: 7_265_385,
  /** Whoever appends to the revocation view, so that its sequence has no gaps and no disorder. */
  revocationView: 7_265_380,
  /** Whoever inserts a receipt, so that receipts are read in the order in which they are numbered. */
  receipts: 7_265_381,
  /** Whoever writes to the ledger, so that it is read in the order in which it is numbered. */
  ledger: 7_265_383,
  /** Whoever gives events their positions in the feed. */
  feed: 7_265_423,
  /** Whoever makes or drops partitions of the interaction log: `if not exists` alone is not safe against two at once. */
  partitions: 7_265_384,
  /** A server that starts, on a connection of its own. */
  boot: 7_265_382,
  /** A migration, in a transaction of its own. */
  migration: 7_265_378,
} as const;
