import type { KeyPurpose, Signer } from "@licet/protocol";
import type { Logger } from "pino";
import type { Config } from "./config.ts";
import type { Db, Trx } from "./db/open-database.ts";
import type { Notices } from "./db/notifications.ts";
import type { Sealer } from "./db/sealing.ts";
import type { Documents } from "./documents/documents.ts";
import type { CommitTimes } from "./events/commit-times.ts";
import type { Fact } from "./events/write-fact.ts";
import type { Journal } from "./events/journal.ts";
import type { Sequencer } from "./events/sequencer.ts";
import type { Outbound } from "./http/outbound.ts";
import type { RateLimits } from "./http/rate-limits.ts";
import type { Jobs } from "./jobs/jobs.ts";
import type { Metrics } from "./telemetry/metrics.ts";
import type { Tracing } from "./telemetry/tracing.ts";

/** Where time comes from; tests hold their own. */
export interface Clock {
  /** Milliseconds since the epoch. */
  readonly nowMs: () => number;
}

/** The platform's signing keys: who signs for a purpose now. */
export interface SigningKeys {
  /** By the copy in memory: for what is signed on its way out and kept nowhere. */
  readonly signerFor: (purpose: KeyPurpose) => Signer;
  /** By the database: until the transaction ends, no key is handed over or revoked. `now` in seconds since the epoch. */
  readonly signerIn: (trx: Trx, purpose: KeyPurpose, now: number) => Promise<Signer>;
  /** The signer of one key that something was prepared for; undefined once it is active no more. */
  readonly signerOfKey: (trx: Trx, kid: string) => Promise<Signer | undefined>;
  /** Reads the keys again, after one was made, handed over, retired or revoked here or on another server. */
  readonly reload: () => Promise<void>;
}

/** Has done, in the fact that changed what stands in datasets, what else follows from it at once. */
export type DatasetFollower = (fact: Fact, datasetIds: readonly string[]) => Promise<void>;

/** Everything an operation may need, wired by hand in start-server.ts. */
export interface Context {
  readonly config: Config;
  readonly origin: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly db: Db;
  readonly sealer: Sealer;
  readonly signingKeys: SigningKeys;
  /** Word between the servers of one database. */
  readonly notices: Notices;
  readonly documents: Documents;
  /** What a later slice renders of datasets in the same fact: the rights signals. */
  readonly followDatasets: DatasetFollower;
  readonly journal: Journal;
  readonly commits: CommitTimes;
  /** Gives events their positions in the feed. */
  readonly sequencer: Sequencer;
  readonly jobs: Jobs;
  readonly rateLimits: RateLimits;
  readonly outbound: Outbound;
  readonly metrics: Metrics;
  readonly tracing: Tracing;
}

/** Seconds since the epoch, as signed things count. */
export function nowSeconds(ctx: Pick<Context, "clock">): number {
  return Math.floor(ctx.clock.nowMs() / 1_000);
}
