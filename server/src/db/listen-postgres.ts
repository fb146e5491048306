import pg from "pg";
import type { Logger } from "pino";
import { type Listener, type NoticeReceiver, NOTICE_CHANNEL } from "./notifications.ts";

/**
 * Others may be behind by 250 ms. Every notice that was committed before a heartbeat was asked has
 * come by the time it is answered, so memory is good for this long from the asking.
 */
const CURRENT_MS = 200;
const HEARTBEAT_PAUSE_MS = 50;
/** A connection that answers nothing for this long is given up, whatever TCP believes. */
const DEAD_MS = 2_000;
const RECONNECT_PAUSE_MS = 200;

interface ListenParts extends NoticeReceiver {
  readonly connectionString: string;
  readonly log: Logger;
}

interface State {
  /** Until when, on the monotonic clock, memory is known to be current. */
  currentUntilMs: number;
  isStopped: boolean;
  /** Ends the connection in use. */
  leave: () => void;
}

/** Listens on a connection of its own, and goes on doing so: one that breaks or falls silent is replaced. */
export async function listenOnPostgres(parts: ListenParts): Promise<Listener> {
  const state: State = { currentUntilMs: 0, isStopped: false, leave: () => undefined };
  const first = Promise.withResolvers<void>();
  const listening = keepListening(parts, state, first);
  await first.promise;
  return {
    isCurrent: () => performance.now() < state.currentUntilMs,
    stop: async () => {
      state.isStopped = true;
      state.leave();
      await listening;
    },
  };
}

async function keepListening(parts: ListenParts, state: State, first: PromiseWithResolvers<void>): Promise<void> {
  while (!state.isStopped) {
    try {
      await listenOnce(parts, state, first.resolve);
    } catch (error) {
      first.reject(error);
      if (!state.isStopped)
        parts.log.warn({ error: String(error) }, "the connection that listens to other servers broke");
    }
    state.currentUntilMs = 0;
    if (!state.isStopped) await pause(RECONNECT_PAUSE_MS);
  }
}

async function listenOnce(parts: ListenParts, state: State, ready: () => void): Promise<void> {
  const client = new pg.Client({
    connectionString: parts.connectionString,
    connectionTimeoutMillis: DEAD_MS,
    query_timeout: DEAD_MS,
    application_name: "licet notices",
  });
  const broken = Promise.withResolvers<never>();
  broken.promise.catch(() => undefined);
  client.on("error", broken.reject);
  client.on("end", () => broken.reject(new Error("the connection ended")));
  client.on("notification", ({ payload }) => parts.onNotice(payload ?? ""));
  state.leave = () => broken.reject(new Error("stopped"));
  const ask = (statement: string): Promise<unknown> => Promise.race([client.query(statement), broken.promise]);
  try {
    await Promise.race([client.connect(), broken.promise]);
    await ask(`listen ${NOTICE_CHANNEL}`);
    await parts.onGap();
    for (;;) {
      const askedMs = performance.now();
      await ask("select 1");
      state.currentUntilMs = askedMs + CURRENT_MS;
      ready();
      await Promise.race([pause(HEARTBEAT_PAUSE_MS), broken.promise]);
    }
  } finally {
    state.currentUntilMs = 0;
    // A connection whose other end is gone answers no farewell either.
    await Promise.race([client.end().catch(() => undefined), pause(RECONNECT_PAUSE_MS)]);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}
