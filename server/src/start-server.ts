import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import { once } from "node:events";
import { pino } from "pino";
import { createApp } from "./app.ts";
import { type Config, ConfigError, urlHost } from "./config.ts";
import type { Clock, Context } from "./context.ts";
import { closeAbandonedDrafts } from "./consents/close-abandoned-drafts.ts";
import { registerOffers, retryRegistrations } from "./datasets/register-dataset.ts";
import { migrate } from "./db/migrate.ts";
import { type Database, openDatabase } from "./db/open-database.ts";
import { readMasterKey, sealerOf } from "./db/sealing.ts";
import { createDocuments } from "./documents/documents.ts";
import { createNodeHandler } from "./http/node-handler.ts";
import { createOauthServer } from "./http/oauth/provider.ts";
import { createBootstrapToken } from "./http/oauth/sessions.ts";
import { deleteExpired } from "./http/oauth/store.ts";
import { createOutbound } from "./http/outbound.ts";
import { markHandled, readUnhandled } from "./events/store.ts";
import { type Jobs, type QueueName, startJobs } from "./jobs/jobs.ts";
import { hasSigningKeys, loadSigningKeys } from "./keys/load-signing-keys.ts";
import { publishKeySet } from "./keys/publish-key-set.ts";
import { expireConsents } from "./revocations/expire-consents.ts";
import { publishRevocationView } from "./revocations/render-view.ts";
import { publishBuiltInTerms } from "./terms/publish-terms.ts";
import { type Deliveries, startDeliveries } from "./webhooks/deliver.ts";
import { fanOut } from "./webhooks/fan-out.ts";

export interface ServerOptions {
  readonly config: Config;
  readonly clock?: Clock;
}

export interface RunningServer {
  readonly origin: string;
  /** The operator's token at the very first start, otherwise undefined: it is shown once. */
  readonly bootstrapToken: string | undefined;
  readonly ctx: Context;
  /** Lets open requests end, then jobs, then the database. */
  readonly stop: () => Promise<void>;
}

const SYSTEM_CLOCK: Clock = { nowMs: () => Date.now() };
const HEADERS_TIMEOUT_MS = 15_000;
/** Longer than a reverse proxy keeps its connections, so that none is closed under a request of its. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000;
const REQUEST_TIMEOUT_MS = 120_000;
const MAX_HEADER_BYTES = 16_384;
/** While stopping, a connection is closed this soon after its last request. */
const IDLE_CHECK_MS = 50;
/** An event that its job has not dealt with by then is looked after by the sweep. */
const UNHANDLED_MS = 3_000;
const MAX_UNHANDLED = 100;
const SWEEP_SECONDS = { unhandled: 2, deliveries: 1, expiry: 2, drafts: 30, sessions: 300 } as const;

/** Boots the whole server: database, keys, documents, jobs, HTTP. Throws a ConfigError on what contradicts itself. */
export async function startServer({ config, clock = SYSTEM_CLOCK }: ServerOptions): Promise<RunningServer> {
  const log = pino({ level: config.logLevel, base: null }, pino.destination({ dest: 2, sync: true }));
  const server = createServer({
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    maxHeaderSize: MAX_HEADER_BYTES,
  });
  server.on("request", answerNotReady);
  const origin = await listen(server, config);
  const undo: (() => unknown)[] = [() => server.close()];
  try {
    const database = await openDatabase(config, log);
    undo.unshift(() => database.close());
    await database.holdAlone();
    const added = await migrate(database);
    if (added.length > 0) log.info({ migrations: added }, "the database is up to date");
    const jobs = await startJobs(database, log);
    undo.unshift(() => jobs.stop());
    const ctx = await createContext({ config: { ...config, origin }, clock, database, jobs, log });
    const stop = await serve(ctx, server, database);
    const bootstrapToken = await createBootstrapToken(ctx);
    log.info({ origin, engine: database.engine }, "listening");
    return { origin, bootstrapToken, ctx, stop };
  } catch (error) {
    for (const step of undo) await step();
    throw error;
  }
}

function answerNotReady(_request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(503, { "retry-after": "1", "cache-control": "no-store" }).end();
}

/** The port is taken first, because a free one becomes part of the origin that everything is signed with. */
async function listen(server: Server, config: Config): Promise<string> {
  server.listen(config.port, config.host);
  try {
    await once(server, "listening");
  } catch (error) {
    throw new ConfigError(
      `LICET_PORT: cannot listen on ${config.host}:${config.port} (${error instanceof Error ? error.message : String(error)})`,
    );
  }
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : config.port;
  return config.origin === "" ? `http://${urlHost(config.host)}:${port}` : config.origin;
}

interface ContextParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly database: Database;
  readonly jobs: Jobs;
  readonly log: Context["log"];
}

async function createContext({ config, clock, database: { db }, jobs, log }: ContextParts): Promise<Context> {
  const { origin } = config;
  const sealer = sealerOf(readMasterKey(config, { isFirstStart: !(await hasSigningKeys(db)) }));
  const signingKeys = await loadSigningKeys({ db, sealer, clock });
  const documents = createDocuments({ db, clock, origin, signingKeys });
  return {
    config,
    origin,
    clock,
    log,
    db,
    sealer,
    signingKeys,
    documents,
    jobs,
    outbound: createOutbound(config.allowedHosts),
  };
}

async function serve(ctx: Context, server: Server, database: Database): Promise<() => Promise<void>> {
  await publishKeySet(ctx);
  await publishBuiltInTerms(ctx);
  await publishRevocationView(ctx);
  const deliveries = startDeliveries(ctx);
  await startWorkers(ctx, deliveries);
  let draining = false;
  const oauth = await createOauthServer(ctx);
  const api = createApp(ctx, { oauth, isDraining: () => draining });
  server.off("request", answerNotReady);
  server.on("request", createNodeHandler(ctx, oauth, api));
  let stopped: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    draining = true;
    await drain(server, ctx.config.drainSeconds);
    await ctx.jobs.stop();
    await deliveries.settle();
    await database.close();
  };
  return () => (stopped ??= stop());
}

/** A worker is woken by its job; an event whose job was lost in a crash is found by the sweep. */
async function workOn(ctx: Context, queue: QueueName, worker: (eventId: string) => Promise<void>): Promise<void> {
  const handle = async (eventId: string): Promise<void> => {
    await worker(eventId);
    await markHandled(ctx.db, queue, eventId);
  };
  await ctx.jobs.work(queue, (job) => handle(job.event_id));
  ctx.jobs.every(SWEEP_SECONDS.unhandled, `${queue} again`, async () => {
    const beforeMs = ctx.clock.nowMs() - UNHANDLED_MS;
    for (const eventId of await readUnhandled(ctx.db, queue, { beforeMs, limit: MAX_UNHANDLED })) {
      await handle(eventId).catch((error: unknown) =>
        ctx.log.error({ event_id: eventId, queue, error: String(error) }, "an event could not be dealt with"),
      );
    }
  });
}

async function startWorkers(ctx: Context, deliveries: Deliveries): Promise<void> {
  await workOn(ctx, "fan-out", async (eventId) => {
    await fanOut(ctx, eventId);
    await deliveries.wake();
  });
  await workOn(ctx, "register-dataset", (eventId) => registerOffers(ctx, eventId));
  ctx.jobs.every(SWEEP_SECONDS.deliveries, "deliver webhooks", () => deliveries.wake());
  ctx.jobs.every(SWEEP_SECONDS.deliveries, "register datasets", () => retryRegistrations(ctx));
  ctx.jobs.every(SWEEP_SECONDS.expiry, "expire consents", () => expireConsents(ctx));
  ctx.jobs.every(SWEEP_SECONDS.drafts, "close abandoned drafts", () => closeAbandonedDrafts(ctx));
  ctx.jobs.every(SWEEP_SECONDS.sessions, "forget expired sessions", () =>
    deleteExpired(ctx.db, Math.floor(ctx.clock.nowMs() / 1_000)),
  );
}

/** Stops taking connections, lets requests end, and cuts what is still open after the allowed time. */
async function drain(server: Server, drainSeconds: number): Promise<void> {
  const closed = once(server, "close");
  server.close();
  const idle = setInterval(() => server.closeIdleConnections(), IDLE_CHECK_MS);
  const cut = setTimeout(() => server.closeAllConnections(), drainSeconds * 1_000);
  await closed;
  clearTimeout(cut);
  clearInterval(idle);
}
