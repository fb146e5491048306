import { pino } from "pino";
import { publishBuiltInAgreement } from "./agreements/publish-agreement.ts";
import { countRollups } from "./analytics/count-rollups.ts";
import { createApp } from "./app.ts";
import type { Config } from "./config.ts";
import type { Clock, Context } from "./context.ts";
import { closeAbandonedDrafts } from "./consents/close-abandoned-drafts.ts";
import { finishAcceptances } from "./consents/sign-acceptances-again.ts";
import { compactDueDatasets } from "./datasets/compact-dataset.ts";
import { followWithStatuses, renderOrderedStatuses } from "./datasets/render-content-statuses.ts";
import { registerOffers, retryRegistrations } from "./datasets/register-dataset.ts";
import { migrate } from "./db/migrate.ts";
import { type Notices, startNotices } from "./db/notifications.ts";
import { type Database, openDatabase } from "./db/open-database.ts";
import { readMasterKey, settleMasterKey } from "./db/master-key.ts";
import { sealerOf } from "./db/sealing.ts";
import { type Copies, startCopies } from "./documents/copy-folder.ts";
import { createDocuments } from "./documents/documents.ts";
import { signDueDocuments } from "./documents/sign-due.ts";
import { turnEdgeMonths } from "./edges/turn-months.ts";
import { type Listening, listen } from "./http/listen.ts";
import { createNodeHandler } from "./http/node-handler.ts";
import { createOauthServer } from "./http/oauth/provider.ts";
import { createBootstrapToken } from "./http/oauth/sessions.ts";
import { deleteExpired } from "./http/oauth/store.ts";
import { forgetKeys } from "./http/idempotency.ts";
import { createRateLimits } from "./http/rate-limits.ts";
import { createOutbound } from "./http/outbound.ts";
import { openMetricsPort } from "./http/metrics-routes.ts";
import { createCommitTimes } from "./events/commit-times.ts";
import { createJournal } from "./events/journal.ts";
import { markHandled, readUnhandled } from "./events/store.ts";
import { createSequencer } from "./events/sequencer.ts";
import { createWaitingReaders } from "./feed/waiting-readers.ts";
import { issueInvoices } from "./invoices/issue-invoices.ts";
import { type InteractionLog, createInteractionLog } from "./interactions/interaction-log.ts";
import { recordIssuedToken } from "./interactions/record-interactions.ts";
import { type Jobs, type QueueName, startJobs } from "./jobs/jobs.ts";
import { hasSigningKeys, loadSigningKeys } from "./keys/load-signing-keys.ts";
import { opensKeys } from "./keys/open-keys.ts";
import { closeDuePeriods } from "./ledger/close-period.ts";
import { publishKeySet } from "./keys/publish-key-set.ts";
import { expireLicenses } from "./licenses/end-license.ts";
import { readModelLists } from "./models/read-lists.ts";
import { openLateCases } from "./remediations/open-late-cases.ts";
import { sweepRemediations } from "./remediations/sweep-cases.ts";
import { forgetRetiredOauthKeys, rotateDueOauthKey } from "./http/oauth/rotate-key.ts";
import { BY_SCHEDULE, rotateDueKeys } from "./keys/rotate-due-keys.ts";
import { retireKeys } from "./keys/rotate-keys.ts";
import { createDueBatches } from "./payouts/schedule-batches.ts";
import { forgetStripeEvents, sendDuePayouts } from "./payouts/send-payouts.ts";
import { forgetPurges } from "./purges/forget-purges.ts";
import { type Purges, startPurges } from "./purges/start-purges.ts";
import { reconcileDue } from "./reconciliation/reconcile.ts";
import { pullDueReceipts } from "./receipts/pull-receipts.ts";
import { expireConsents } from "./revocations/expire-consents.ts";
import { publishRevocationView } from "./revocations/render-view.ts";
import { forgetOldLegs, lookAtDueFacts } from "./propagation/follow-facts.ts";
import { publishPropagation } from "./propagation/publish-propagation.ts";
import { type Following, startFollowing } from "./propagation/start-following.ts";
import { createTimelineStreams } from "./propagation/timeline-streams.ts";
import { answerOlp } from "./signals/answer-olp.ts";
import { followDatasets } from "./signals/follow-datasets.ts";
import { publishSignals, renderDueSignals } from "./signals/render-due.ts";
import { publishBuiltInTerms } from "./terms/publish-terms.ts";
import { createDatabaseMeasures } from "./telemetry/measure-database.ts";
import { type Telemetry, createTelemetry } from "./telemetry/telemetry.ts";
import { type Deliveries, startDeliveries } from "./webhooks/deliver.ts";
import { fanOut } from "./webhooks/fan-out.ts";
import { forgetDeliveries } from "./webhooks/forget-deliveries.ts";

export interface ServerOptions {
  readonly config: Config;
  readonly clock?: Clock;
}

export interface RunningServer {
  readonly origin: string;
  /** Where clients show certificates; undefined when there is no such port. */
  readonly mtlsOrigin: string | undefined;
  /** The operator's token at the very first start, otherwise undefined: it is shown once. */
  readonly bootstrapToken: string | undefined;
  readonly ctx: Context;
  /** Lets open requests end, then jobs, then the database. */
  readonly stop: () => Promise<void>;
}

const SYSTEM_CLOCK: Clock = { nowMs: () => Date.now() };
/** An event that its job has not dealt with by then is looked after by the sweep. */
const UNHANDLED_MS = 3_000;
const MAX_UNHANDLED = 100;
/** What a fact left for the journal is written by the fact itself, unless that fails. */
const UNWRITTEN_MS = 3_000;
const SWEEP_SECONDS = {
  unhandled: 2,
  journal: 2,
  feed: 1,
  deliveries: 1,
  oldDeliveries: 3_600,
  refusals: 1,
  propagation: 15,
  purges: 1,
  oldPurges: 3_600,
  payoutDay: 60,
  stripeEvents: 3_600,
  expiry: 2,
  compaction: 5,
  contentStatuses: 1,
  signals: 1,
  drafts: 30,
  keys: 10,
  periods: 60,
  rollups: 2,
  reconciliation: 2,
  models: 60,
  remediations: 60,
  pulls: 15,
  sessions: 300,
  interactions: 1,
  months: 3_600,
  idempotency: 300,
  rateLimits: 60,
  tending: 60,
  signing: 5,
} as const;

/** Boots the whole server: database, keys, documents, jobs, HTTP. Throws a ConfigError on what contradicts itself. */
export async function startServer({ config, clock = SYSTEM_CLOCK }: ServerOptions): Promise<RunningServer> {
  const log = pino({ level: config.logLevel, base: null }, pino.destination({ dest: 2, sync: true }));
  const listening = await listen({ config, clock, log });
  const { origin, mtlsOrigin } = listening;
  const undo: (() => unknown)[] = [() => listening.close()];
  try {
    const telemetry = await createTelemetry(config);
    undo.unshift(() => telemetry.tracing.stop());
    const database = await openDatabase(config, log, telemetry.tracing);
    undo.unshift(() => database.close());
    const added = await migrate(database);
    if (added.length > 0) log.info({ migrations: added }, "the database is up to date");
    const jobs = await startJobs(database, log, telemetry.metrics);
    undo.unshift(() => jobs.stop());
    const notices = await startNotices(database, log);
    undo.unshift(() => notices.stop());
    // Of servers that start for the first time together, one makes keys, terms and the operator's token.
    const running = await database.alone(async () => {
      const ctx = await createContext({
        config: { ...config, origin },
        clock,
        database,
        jobs,
        notices,
        log,
        telemetry,
      });
      // The sweeps first: one of them would open the journal's file again.
      undo.unshift(async () => {
        await jobs.stop();
        await Promise.all([ctx.sequencer.stop(), ctx.journal.close(), ctx.outbound.close()]);
      });
      const stop = await serve(ctx, listening, database);
      return { origin, mtlsOrigin, bootstrapToken: await createBootstrapToken(ctx), ctx, stop };
    });
    log.info({ origin, engine: database.engine }, "listening");
    return running;
  } catch (error) {
    for (const step of undo) {
      try {
        await step();
      } catch (failure) {
        // What ended the start is the answer, and what fails now keeps nothing else from being undone.
        log.warn({ error: String(failure) }, "a start was not undone");
      }
    }
    throw error;
  }
}

interface ContextParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly database: Database;
  readonly jobs: Jobs;
  readonly notices: Notices;
  readonly log: Context["log"];
  /** By default nothing is traced, and what is counted nobody reads. */
  readonly telemetry?: Telemetry;
}

/** Wires what operations need. */
export async function createContext(parts: ContextParts): Promise<Context> {
  const { config, clock, jobs, notices, log } = parts;
  const { metrics, tracing } = parts.telemetry ?? (await createTelemetry({ tracing: undefined }));
  const { db } = parts.database;
  const { origin } = config;
  await settleMasterKey(config, (key) => opensKeys(db, sealerOf(key)));
  const sealer = sealerOf(readMasterKey(config, { isFirstStart: !(await hasSigningKeys(db)) }));
  const signingKeys = await loadSigningKeys({ db, sealer, clock, mode: config.mode });
  notices.on("signing-keys", () => signingKeys.reload());
  const documents = createDocuments({ db, clock, origin, signingKeys, notices, config });
  return {
    config,
    origin,
    clock,
    log,
    db,
    sealer,
    signingKeys,
    notices,
    documents,
    followDatasets,
    sequencer: createSequencer({ db, clock, log, notices }),
    commits: createCommitTimes({ db, clock, log }),
    journal: createJournal({ db, folder: config.journalFolder, origin, clock, log }),
    jobs,
    rateLimits: createRateLimits({ config, db, log, metrics }),
    outbound: createOutbound({ allowedHosts: config.allowedHosts, tracing }),
    metrics,
    tracing,
  };
}

async function serve(ctx: Context, listening: Listening, database: Database): Promise<() => Promise<void>> {
  await publishKeySet(ctx);
  await finishAcceptances(ctx);
  await publishBuiltInTerms(ctx);
  await publishBuiltInAgreement(ctx);
  await publishRevocationView(ctx);
  await publishPropagation(ctx);
  await publishSignals(ctx);
  const deliveries = startDeliveries(ctx);
  const purges = startPurges(ctx);
  await ctx.journal.sweep({ beforeMs: Number.MAX_SAFE_INTEGER });
  const following = startFollowing(ctx);
  await startWorkers(ctx, { deliveries, purges, following });
  const copies = startCopiesOf(ctx);
  let draining = false;
  const oauth = await createOauthServer(ctx, {
    mtlsOrigin: listening.mtlsOrigin,
    answerOlp: (principal, call) => answerOlp(ctx, principal, call),
  });
  const interactions = createInteractionLog(ctx);
  const readers = createWaitingReaders(ctx);
  const streams = createTimelineStreams();
  const closeMetrics = await answerMetrics(ctx, database);
  await sweepRequests(ctx, interactions);
  if (database.tend !== undefined) ctx.jobs.every(SWEEP_SECONDS.tending, "tend the embedded database", database.tend);
  const parts = { oauth, interactions, readers, streams, purges, isDraining: () => draining };
  const api = createApp(ctx, parts);
  const answer = createNodeHandler(ctx, {
    oauth,
    api,
    onTokenIssued: (issued) => void recordIssuedToken(ctx, interactions, issued),
  });
  listening.answerWith((request, response) => {
    // Whoever is answered while the server stops comes back on another connection, to another server.
    if (draining) response.shouldKeepAlive = false;
    answer(request, response);
  });
  let stopped: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    draining = true;
    await new Promise((resolve) => setTimeout(resolve, ctx.config.unreadySeconds * 1_000));
    // Not before nobody comes any more: whoever waited would be let go at once, ask again, and so on.
    readers.stop();
    streams.stop();
    await listening.drain(ctx.config.drainSeconds);
    await ctx.jobs.stop();
    await interactions
      .flush()
      .catch((error: unknown) => ctx.log.error({ error: String(error) }, "interactions were lost at the stop"));
    await Promise.all([deliveries.settle(), purges.settle(), following.settle()]);
    await ctx.commits.settle();
    await ctx.sequencer.stop();
    await ctx.journal.close();
    await ctx.outbound.close();
    await closeMetrics();
    await copies?.stop();
    await ctx.notices.stop();
    await database.close();
    await ctx.tracing.stop();
  };
  return () => (stopped ??= stop());
}

/** What requests leave behind: their log, by batches and by months, their idempotency keys, their buckets. */
async function sweepRequests(ctx: Context, interactions: InteractionLog): Promise<void> {
  await interactions.turnMonths();
  ctx.jobs.every(SWEEP_SECONDS.interactions, "write interactions", interactions.flush);
  ctx.jobs.every(SWEEP_SECONDS.months, "turn the interaction log's months", interactions.turnMonths);
  await turnEdgeMonths(ctx);
  ctx.jobs.every(SWEEP_SECONDS.months, "turn the months of edges' events", () => turnEdgeMonths(ctx));
  ctx.jobs.every(SWEEP_SECONDS.idempotency, "forget idempotency keys", () => forgetKeys(ctx));
  ctx.jobs.every(SWEEP_SECONDS.rateLimits, "forget full buckets", ctx.rateLimits.sweep);
}

/** Says what the metrics are read from, and opens their own port if there is to be one. */
function answerMetrics(ctx: Context, database: Database): Promise<() => Promise<void>> {
  ctx.metrics.watch({
    pool: database.pool,
    isListenerCurrent: ctx.notices.isCurrent,
    journalFailingSinceMs: ctx.journal.failingSinceMs,
    nowMs: ctx.clock.nowMs,
    measureDatabase: createDatabaseMeasures(ctx),
  });
  return openMetricsPort(ctx.config, ctx.metrics);
}

/** A copy's reader cannot have it signed again, so a server that keeps copies signs ahead. */
function startCopiesOf(ctx: Context): Copies | undefined {
  const { copiesFolder } = ctx.config;
  if (copiesFolder === undefined) return undefined;
  ctx.jobs.every(SWEEP_SECONDS.signing, "sign documents again", (signal) => signDueDocuments(ctx, signal));
  return startCopies({ ...ctx, folder: copiesFolder });
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

interface Workers {
  readonly deliveries: Deliveries;
  readonly purges: Purges;
  readonly following: Following;
}

async function startWorkers(ctx: Context, { deliveries, purges, following }: Workers): Promise<void> {
  await workOn(ctx, "fan-out", async (eventId) => {
    await fanOut(ctx, eventId);
    await deliveries.wake();
    following.begin(eventId);
  });
  await workOn(ctx, "content-status", (eventId) => followWithStatuses(ctx, eventId));
  ctx.jobs.every(SWEEP_SECONDS.contentStatuses, "render content statuses", (signal) =>
    renderOrderedStatuses(ctx, signal),
  );
  await workOn(ctx, "purge", purges.plan);
  await workOn(ctx, "register-dataset", (eventId) => registerOffers(ctx, eventId));
  await workOn(ctx, "open-remediations", (eventId) => openLateCases(ctx, eventId));
  await workOn(ctx, "issue-invoices", (eventId) => issueInvoices(ctx, eventId));
  ctx.jobs.every(ctx.config.payments.sending.intervalSeconds, "send payouts", (signal) => sendDuePayouts(ctx, signal));
  ctx.jobs.every(SWEEP_SECONDS.payoutDay, "make payout batches", () => createDueBatches(ctx));
  ctx.jobs.every(SWEEP_SECONDS.stripeEvents, "forget Stripe's events", () => forgetStripeEvents(ctx));
  ctx.jobs.every(SWEEP_SECONDS.deliveries, "deliver webhooks", () => deliveries.wake());
  ctx.jobs.every(SWEEP_SECONDS.oldDeliveries, "forget old deliveries", () => forgetDeliveries(ctx));
  ctx.jobs.every(SWEEP_SECONDS.refusals, "look how far refusals are", (signal) => lookAtDueFacts(ctx, signal));
  ctx.jobs.every(SWEEP_SECONDS.propagation, "publish how long refusals take", () => publishPropagation(ctx));
  ctx.jobs.every(SWEEP_SECONDS.oldDeliveries, "add up old refusals", () => forgetOldLegs(ctx));
  ctx.jobs.every(SWEEP_SECONDS.purges, "purge caches", purges.sweep);
  ctx.jobs.every(SWEEP_SECONDS.oldPurges, "forget old purges", () => forgetPurges(ctx));
  ctx.jobs.every(SWEEP_SECONDS.deliveries, "register datasets", () => retryRegistrations(ctx));
  ctx.jobs.every(SWEEP_SECONDS.journal, "write the journal", () =>
    ctx.journal.sweep({ beforeMs: ctx.clock.nowMs() - UNWRITTEN_MS }),
  );
  ctx.jobs.every(SWEEP_SECONDS.feed, "give events their positions", ctx.sequencer.run);
  ctx.sequencer.start();
  ctx.jobs.every(SWEEP_SECONDS.expiry, "expire consents", () => expireConsents(ctx));
  ctx.jobs.every(SWEEP_SECONDS.expiry, "expire licenses", () => expireLicenses(ctx));
  ctx.jobs.every(SWEEP_SECONDS.compaction, "compact datasets", () => compactDueDatasets(ctx));
  ctx.jobs.every(SWEEP_SECONDS.signals, "render rights signals", (signal) => renderDueSignals(ctx, signal));
  ctx.jobs.every(SWEEP_SECONDS.periods, "close months", () => closeDuePeriods(ctx));
  ctx.jobs.every(SWEEP_SECONDS.rollups, "count usage and earnings", (signal) => countRollups(ctx, signal));
  ctx.jobs.every(SWEEP_SECONDS.reconciliation, "reconcile", (signal) => reconcileDue(ctx, signal));
  ctx.jobs.every(SWEEP_SECONDS.models, "read lists of models", (signal) => readModelLists(ctx, signal));
  ctx.jobs.every(SWEEP_SECONDS.remediations, "look after remediations", () => sweepRemediations(ctx));
  ctx.jobs.every(SWEEP_SECONDS.pulls, "pull receipts", (signal) => pullDueReceipts(ctx, signal));
  ctx.jobs.every(SWEEP_SECONDS.drafts, "close abandoned drafts", () => closeAbandonedDrafts(ctx));
  ctx.jobs.every(SWEEP_SECONDS.keys, "hand over keys", async () => {
    await rotateDueKeys(ctx);
    await rotateDueOauthKey(ctx, BY_SCHEDULE);
  });
  ctx.jobs.every(SWEEP_SECONDS.keys, "retire keys", () => retireKeys(ctx));
  ctx.jobs.every(SWEEP_SECONDS.keys, "forget retired OAuth keys", () => forgetRetiredOauthKeys(ctx));
  ctx.jobs.every(SWEEP_SECONDS.sessions, "forget expired sessions", () =>
    deleteExpired(ctx.db, Math.floor(ctx.clock.nowMs() / 1_000)),
  );
}
