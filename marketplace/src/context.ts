import type { PublicJwk, Signer } from "@licet/protocol";
import { type Fetch, type LicetClient, createClient } from "@licet/sdk";
import type { MarketplaceConfig } from "./config.ts";
import { type Connection, saveConnection } from "./connection-store.ts";
import type { RunningTrainings } from "./running-trainings.ts";
import type { Store } from "./store.ts";

/** The platform this marketplace is registered with. */
export interface Connected {
  readonly connection: Connection;
  readonly client: LicetClient;
}

/** Everything an operation works with, wired by hand in start-marketplace.ts. */
export interface MarketplaceContext {
  readonly config: MarketplaceConfig;
  readonly store: Store;
  /** To the platform, whose origin the operator chose. */
  readonly fetch: Fetch;
  /** To the works, whose URLs others chose. */
  readonly fetchWork: Fetch;
  /** Seconds since the epoch. */
  readonly now: () => number;
  readonly receiptSigner: Signer;
  readonly receiptJwk: PublicJwk;
  readonly trainings: RunningTrainings;
  /** Called when an event was applied: whoever waits to tell the platform so may. */
  readonly onStopped: () => void;
  /** Undefined until the operator handed over the credentials. */
  connected: Connected | undefined;
}

/** The client holds access tokens, so it is made once for each connection. */
export function connect(context: Pick<MarketplaceContext, "fetch" | "now">, connection: Connection): Connected {
  const { origin, client_id: clientId, client_secret: clientSecret, scope } = connection;
  return {
    connection,
    client: createClient({ origin, clientId, clientSecret, scope, fetch: context.fetch, now: context.now }),
  };
}

export function reconnect(context: MarketplaceContext, connection: Connection): void {
  saveConnection(context.store, connection);
  context.connected = connect(context, connection);
}
