import type { KeyPurpose, Signer } from "@licet/protocol";
import type { Logger } from "pino";
import type { Config } from "./config.ts";
import type { Db } from "./db/open-database.ts";
import type { Sealer } from "./db/sealing.ts";
import type { Documents } from "./documents/documents.ts";
import type { OutboundFetch } from "./http/outbound.ts";
import type { Jobs } from "./jobs/jobs.ts";

/** Where time comes from; tests hold their own. */
export interface Clock {
  /** Milliseconds since the epoch. */
  readonly nowMs: () => number;
}

/** The platform's signing keys: who signs for a purpose now. */
export interface SigningKeys {
  readonly signerFor: (purpose: KeyPurpose) => Signer;
}

/** Everything an operation may need, wired by hand in start-server.ts. */
export interface Context {
  readonly config: Config;
  readonly origin: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly db: Db;
  readonly sealer: Sealer;
  readonly signingKeys: SigningKeys;
  readonly documents: Documents;
  readonly jobs: Jobs;
  readonly outbound: OutboundFetch;
}

/** Seconds since the epoch, as signed things count. */
export function nowSeconds(ctx: Pick<Context, "clock">): number {
  return Math.floor(ctx.clock.nowMs() / 1_000);
}
