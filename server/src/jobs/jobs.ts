import { type Job, type JobResult, PgBoss, fromKysely } from "pg-boss";
import type { Logger } from "pino";
import type { Database, Trx } from "../db/open-database.ts";
import type { Metrics } from "../telemetry/metrics.ts";

/** The queues. They wake workers; order and truth live in the slices' own tables. */
export const QUEUES = [
  "fan-out",
  "purge",
  "content-status",
  "register-dataset",
  "issue-invoices",
  "open-remediations",
] as const;
export type QueueName = (typeof QUEUES)[number];

export interface JobData {
  readonly event_id: string;
}

export interface Jobs {
  /** Adds jobs in the transaction of the fact that causes them. */
  readonly send: (trx: Trx, queue: QueueName, jobs: readonly JobData[]) => Promise<void>;
  /** Starts working on a queue, one job after the other. A job whose worker throws comes again, with growing delays; the others go on. */
  readonly work: (queue: QueueName, worker: (data: JobData) => Promise<void>) => Promise<void>;
  /** Calls a sweep every `seconds`, one run at a time; a run that fails is logged and the next one comes. A long one ends when its signal says so. */
  readonly every: (seconds: number, name: string, sweep: (signal: AbortSignal) => Promise<void>) => void;
  /** Waits for running jobs and stops. */
  readonly stop: () => Promise<void>;
}

/** Workers are woken by NOTIFY; polling is only for what a lost notification leaves behind, and for what is tried again. */
const POLLING_SECONDS = 5;
/**
 * A notification wakes a worker once, however many jobs are there by then: so it takes as many as
 * there are, and goes on at once while there are more.
 */
const WORK_OPTIONS = {
  pollingIntervalSeconds: POLLING_SECONDS,
  notifyPollingIntervalSeconds: POLLING_SECONDS,
  batchSize: 100,
  burstWhenBatchFull: true,
  perJobResults: true,
} as const;
const STOP_TIMEOUT_MS = 10_000;
const QUEUE_OPTIONS = { notify: true, retryLimit: 20, retryDelay: 1, retryBackoff: true, retryDelayMax: 60 };

export async function startJobs(
  database: Database,
  log: Logger,
  metrics?: Pick<Metrics, "sweepPlanned" | "sweepEnded">,
): Promise<Jobs> {
  const boss = new PgBoss({ ...database.bossOptions, schema: "pgboss" });
  boss.on("error", (error) => log.error({ error: error.message }, "the job queue failed"));
  try {
    await boss.start();
    for (const queue of QUEUES) await boss.createQueue(queue, QUEUE_OPTIONS);
  } catch (error) {
    // Its connections would stay open, and whoever tries again would open more.
    await boss
      .stop({ graceful: false, close: true })
      .catch((failure: unknown) => log.warn({ error: String(failure) }, "the job queue was not stopped"));
    throw error;
  }
  const timers = new Set<NodeJS.Timeout>();
  const sweeps = new Set<Promise<void>>();
  const stopping = new AbortController();

  return {
    send: async (trx, queue, jobs) => {
      await boss.insert(
        queue,
        jobs.map((data) => ({ data })),
        { db: fromKysely(trx) },
      );
    },
    work: async (queue, worker) => {
      await boss.work(queue, WORK_OPTIONS, async (jobs: readonly Job<JobData>[]) => {
        const results: JobResult[] = [];
        for (const job of jobs) results.push(await runJob(job, worker, log.child({ queue })));
        return results;
      });
    },
    every: (seconds, name, sweep) => {
      timers.add(startSweep({ seconds, name, sweep, log, metrics, sweeps, signal: stopping.signal }));
    },
    stop: async () => {
      stopping.abort();
      for (const timer of timers) clearInterval(timer);
      await Promise.all(sweeps);
      await boss.stop({ graceful: true, timeout: STOP_TIMEOUT_MS });
    },
  };
}

async function runJob(
  { id, data }: Job<JobData>,
  worker: (data: JobData) => Promise<void>,
  log: Logger,
): Promise<JobResult> {
  try {
    await worker(data);
    return { id, status: "completed" };
  } catch (error) {
    log.error({ event_id: data.event_id, error: String(error) }, "a job failed and will be tried again");
    return { id, status: "failed", output: { error: String(error) } };
  }
}

interface Sweep {
  readonly seconds: number;
  readonly name: string;
  readonly sweep: (signal: AbortSignal) => Promise<void>;
  readonly log: Logger;
  readonly metrics: Pick<Metrics, "sweepPlanned" | "sweepEnded"> | undefined;
  readonly sweeps: Set<Promise<void>>;
  readonly signal: AbortSignal;
}

function startSweep({ seconds, name, sweep, log, metrics, sweeps, signal }: Sweep): NodeJS.Timeout {
  let running: Promise<void> | undefined;
  metrics?.sweepPlanned(name);
  return setInterval(() => {
    if (running !== undefined) return;
    const startedMs = performance.now();
    const ended = (isDone: boolean): void =>
      metrics?.sweepEnded(name, { isDone, seconds: (performance.now() - startedMs) / 1_000 });
    const run = sweep(signal)
      .then(() => ended(true))
      .catch((error: unknown) => {
        ended(false);
        log.error({ sweep: name, error: String(error) }, "a sweep failed");
      })
      .finally(() => {
        sweeps.delete(run);
        running = undefined;
      });
    running = run;
    sweeps.add(run);
  }, seconds * 1_000);
}
