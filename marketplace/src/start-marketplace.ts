import { serve } from "@hono/node-server";
import { formatInstant, publicJwkOf, type PublicJwk, signerOf } from "@licet/protocol";
import type { Fetch } from "@licet/sdk";
import { acknowledgeRefusals } from "./acknowledge-refusals.ts";
import { createApp } from "./app.ts";
import type { MarketplaceConfig } from "./config.ts";
import { loadConnection } from "./connection-store.ts";
import { type Connected, type MarketplaceContext, connect, reconnect } from "./context.ts";
import { catchUpOnEvents } from "./catch-up-on-events.ts";
import { guardedFetch } from "./guarded-fetch.ts";
import { postReceipts } from "./post-receipts.ts";
import { loadReceiptKey } from "./receipt-key.ts";
import { stopInterruptedRuns } from "./run-store.ts";
import { runningTrainings } from "./running-trainings.ts";
import { openStore } from "./store.ts";

/** What the platform could not answer is asked for again this often: receipts it did not take, events that were missed. */
const RETRY_SECONDS = 30;

/** A marketplace that listens. */
export interface RunningMarketplace {
  readonly origin: string;
  /** The public key to register at the platform for usage receipts. */
  readonly receiptJwk: PublicJwk;
  readonly close: () => Promise<void>;
}

/** What a host brings along; the defaults are the world's own. */
export interface Surroundings {
  /** To the platform and to the works; by default the platform is asked with the runtime's own, and works through a guard. */
  readonly fetch?: Fetch;
  /** Seconds since the epoch. */
  readonly now?: () => number;
}

/** Opens the data folder and listens. Trainings that a process before was in the middle of count as stopped. */
export async function startMarketplace(
  config: MarketplaceConfig,
  surroundings: Surroundings = {},
): Promise<RunningMarketplace> {
  const { fetch = globalThis.fetch, now = () => Math.floor(Date.now() / 1000) } = surroundings;
  const store = openStore(config.dataDir);
  const receiptKey = await loadReceiptKey(config.dataDir);
  const context: MarketplaceContext = {
    config,
    store,
    fetch,
    fetchWork: surroundings.fetch ?? guardedFetch(config.allowedHosts),
    now,
    receiptSigner: await signerOf(receiptKey, { test: config.test }),
    receiptJwk: publicJwkOf(receiptKey),
    trainings: runningTrainings(),
    onStopped: () => telling.wake(),
    connected: undefined,
  };
  stopInterruptedRuns(store, formatInstant(now()));
  const stored = loadConnection(store);
  if (config.connection !== undefined) reconnect(context, config.connection);
  else if (stored !== undefined) context.connected = connect(context, stored);
  const telling = tellOfRefusals(context);
  const stopAsking = askRepeatedly(context, telling.wake);
  const listener = await listen(context);
  return {
    origin: listener.origin,
    receiptJwk: context.receiptJwk,
    close: async () => {
      context.trainings.stopAll();
      await Promise.all([stopAsking(), telling.settle(), listener.close()]);
      store.close();
    },
  };
}

/**
 * Catches up, once for each connection, on what happened while nobody listened, and sends the
 * receipts that wait. Answers how to stop; stopping waits for what is on its way.
 */
function askRepeatedly(context: MarketplaceContext, tell: () => void): () => Promise<void> {
  let asking = Promise.resolve();
  let caughtUp: Connected | undefined;
  const askOnce = async (): Promise<void> => {
    const { connected } = context;
    if (connected !== undefined && connected !== caughtUp && (await catchUpOnEvents(context, connected)))
      caughtUp = connected;
    tell();
    await postReceipts(context);
  };
  const ask = (): void => {
    asking = asking
      .then(askOnce)
      .catch(
        (error: unknown) => void process.stderr.write(`${JSON.stringify({ level: "error", error: String(error) })}\n`),
      );
  };
  ask();
  const timer = setInterval(ask, RETRY_SECONDS * 1000);
  return () => {
    clearInterval(timer);
    return asking;
  };
}

/** Acknowledges refusals one round after the other; what comes while one is under way is in the next. */
function tellOfRefusals(context: MarketplaceContext): {
  readonly wake: () => void;
  readonly settle: () => Promise<void>;
} {
  let telling = Promise.resolve();
  let isWanted = false;
  const tell = async (): Promise<void> => {
    if (!isWanted) return;
    isWanted = false;
    await acknowledgeRefusals(context);
  };
  return {
    wake: () => {
      isWanted = true;
      telling = telling
        .then(tell)
        .catch(
          (error: unknown) =>
            void process.stderr.write(`${JSON.stringify({ level: "error", error: String(error) })}\n`),
        );
    },
    settle: () => telling,
  };
}

async function listen(
  context: MarketplaceContext,
): Promise<{ readonly origin: string; readonly close: () => Promise<void> }> {
  const { host, port } = context.config;
  const app = createApp(context);
  const server = serve({ fetch: app.fetch, hostname: host, port });
  await new Promise<void>((resolve, reject) => {
    server.once("listening", resolve);
    server.once("error", reject);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("expected a TCP address");
  return {
    origin: `http://${host.includes(":") ? `[${host}]` : host}:${address.port}`,
    close: () =>
      new Promise((resolve, reject) => void server.close((error) => (error === undefined ? resolve() : reject(error)))),
  };
}
