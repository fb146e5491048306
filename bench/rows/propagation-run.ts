import { type Load, type LoadCounts, type Withdrawal, sleep, createLoad } from "./propagation-load.ts";
import type { LicensedWork, PropagationStage } from "./propagation-stage.ts";

export interface RunPlan {
  /** Requests a second that are sent whether or not the edge keeps up. */
  readonly perSecond: number;
  /** The pause between two requests for a URL whose refusal is waited for. */
  readonly probeMs: number;
  /** One revocation begins every so many milliseconds, whether or not the last one was answered. */
  readonly everyMs: number;
  /** A request for a work that was taken back and is sent so long after the 200 must not pass. */
  readonly boundMs: number;
  /** The server is killed after half of the revocations, and the bound is this one for what it could not tell the edge. */
  readonly crash: { readonly boundMs: number } | undefined;
}

/** What each revocation took, in milliseconds since it was sent. */
export interface Took {
  readonly answered: readonly number[];
  readonly refused: readonly number[];
  readonly heard: readonly number[];
}

export interface RunResult extends LoadCounts {
  readonly took: Took;
  /** Requests that passed although they were sent after the bound. */
  readonly letThrough: number;
  /** Requests that passed, within the bound, after another one had been refused. */
  readonly passedAgain: number;
  readonly downMs: number | undefined;
}

const RETRY_MS = 100;
/** An edge that never refuses is watched no longer than this. */
const PATIENCE_MS = 60_000;
/** The second round of purges, five seconds after the first, is over by then. */
const TAIL_MS = 6_500;
/** What was answered so shortly before the server died may not have been told to anybody. */
const UNTOLD_MS = 1_000;
const HEARD_POLL_MS = 20;

interface Down {
  readonly fromMs: number;
  backMs: number | undefined;
}

interface Run {
  readonly stage: PropagationStage;
  readonly plan: RunPlan;
  readonly load: Load;
  down: Down | undefined;
}

/** Takes back every work of the stage under load, and watches each until it is refused everywhere. */
export async function runPropagation(stage: PropagationStage, plan: RunPlan, signal: AbortSignal): Promise<RunResult> {
  const run: Run = { stage, plan, load: createLoad(stage, plan.perSecond), down: undefined };
  try {
    await untilAllPass(run, signal);
    run.load.start();
    const withdrawals = await takeAllBack(run, signal);
    await sleep(Math.max(TAIL_MS, ...withdrawals.map((each) => deadlineOf(run, each) - performance.now())));
    // Once more, well after the bound: none may pass.
    for (const withdrawal of withdrawals) await run.load.askFor(withdrawal);
    const heard = await untilHeard(run, withdrawals, signal);
    await run.load.end();
    const down = run.down;
    return {
      ...run.load.counts(),
      took: {
        answered: withdrawals.map((each) => answeredMsOf(each) - each.askedMs),
        refused: withdrawals.map((each) => refusedMsOf(each) - each.askedMs),
        heard,
      },
      letThrough: sumOf(withdrawals, (each) => lateOf(run, each).length),
      passedAgain: sumOf(withdrawals, (each) => passedAgainOf(each) - lateOf(run, each).length),
      downMs: down?.backMs === undefined ? undefined : down.backMs - down.fromMs,
    };
  } finally {
    await run.load.end();
  }
}

function sumOf(withdrawals: readonly Withdrawal[], countOf: (withdrawal: Withdrawal) => number): number {
  return withdrawals.reduce((sum, each) => sum + Math.max(0, countOf(each)), 0);
}

/** Each work is to be had before it is taken back; otherwise a refusal would say nothing. */
async function untilAllPass({ stage, load }: Run, signal: AbortSignal): Promise<void> {
  const untilMs = performance.now() + PATIENCE_MS;
  for (const work of [...stage.works, ...stage.standing])
    for (;;) {
      signal.throwIfAborted();
      const outcome = await load.askOnce(work);
      if (outcome.kind === "passed") break;
      // The first of all waits for keys and lists, on a machine that is busy with the setting up.
      if (performance.now() > untilMs)
        throw new Error(`expected ${work.path} to pass before it was taken back, got ${outcome.detail}`);
      await sleep(RETRY_MS);
    }
}

async function takeAllBack(run: Run, signal: AbortSignal): Promise<readonly Withdrawal[]> {
  const { stage, plan } = run;
  const startedMs = performance.now();
  const taking: Promise<Withdrawal>[] = [];
  const crashAt = Math.floor(stage.works.length / 2);
  let crashing: Promise<void> | undefined;
  for (const [index, work] of stage.works.entries()) {
    await sleep(Math.max(0, startedMs + index * plan.everyMs - performance.now()));
    signal.throwIfAborted();
    if (plan.crash !== undefined && index === crashAt) crashing = crash(run);
    const taken = takeBack(run, work, signal);
    // Whoever waits for all of them learns of it.
    taken.catch(() => undefined);
    taking.push(taken);
  }
  await crashing;
  return Promise.all(taking);
}

async function crash(run: Run): Promise<void> {
  const down: Down = { fromMs: performance.now(), backMs: undefined };
  run.down = down;
  await run.stage.platform.crash();
  down.backMs = performance.now();
}

async function takeBack(run: Run, work: LicensedWork, signal: AbortSignal): Promise<Withdrawal> {
  const withdrawal = run.load.begin(work);
  await Promise.all([revoke(run, withdrawal, signal), probe(run, withdrawal, signal)]);
  return withdrawal;
}

/** Asks until it is answered: while the server is down nobody answers. */
async function revoke({ stage, plan }: Run, withdrawal: Withdrawal, signal: AbortSignal): Promise<void> {
  const path = `/api/v1/consents/${withdrawal.work.jti}/revoke`;
  for (;;) {
    signal.throwIfAborted();
    const answer = await stage.creator.caller.post(path, {}).catch((error: unknown) => {
      if (plan.crash === undefined) throw error;
    });
    if (answer?.status === 200) break;
    if (answer !== undefined && (plan.crash === undefined || answer.status < 500))
      throw new Error(`expected 200 to a revocation, got ${answer.status}: ${answer.text.slice(0, 300)}`);
    await sleep(RETRY_MS);
  }
  withdrawal.answeredMs = performance.now();
}

async function probe({ load, plan }: Run, withdrawal: Withdrawal, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    const { kind, detail } = await load.askFor(withdrawal);
    if (kind === "taken-back") return;
    if (performance.now() > (withdrawal.answeredMs ?? Number.POSITIVE_INFINITY) + PATIENCE_MS)
      throw new Error(
        `expected ${withdrawal.work.path} to be refused within ${PATIENCE_MS / 1_000} s of its revocation, at last it ${kind === "passed" ? "passed" : `got ${detail}`}`,
      );
    await sleep(plan.probeMs);
  }
}

function answeredMsOf({ answeredMs }: Withdrawal): number {
  return answeredMs ?? Number.NaN;
}

/** From when on no request passes. */
function deadlineOf({ plan, down }: Run, withdrawal: Withdrawal): number {
  const answeredMs = answeredMsOf(withdrawal);
  if (plan.crash === undefined || down?.backMs === undefined) return answeredMs + plan.boundMs;
  const isUntold = answeredMs >= down.fromMs - UNTOLD_MS && withdrawal.askedMs <= down.backMs;
  return isUntold ? Math.max(answeredMs, down.backMs) + plan.crash.boundMs : answeredMs + plan.boundMs;
}

function lateOf(run: Run, withdrawal: Withdrawal): readonly number[] {
  return withdrawal.passesSentMs.filter((sentMs) => sentMs > deadlineOf(run, withdrawal));
}

/** The first refusal after which nothing passed. */
function refusedMsOf({ passesSentMs, refusals }: Withdrawal): number {
  const lastPassMs = Math.max(Number.NEGATIVE_INFINITY, ...passesSentMs);
  return Math.min(...refusals.filter(({ sentMs }) => sentMs > lastPassMs).map(({ atMs }) => atMs));
}

function passedAgainOf({ passesSentMs, refusals }: Withdrawal): number {
  const firstMs = Math.min(...refusals.map(({ atMs }) => atMs));
  return passesSentMs.filter((sentMs) => sentMs > firstMs).length;
}

/** When the last endpoint that answers at once has heard of each, since it was asked for. */
async function untilHeard(
  { stage }: Run,
  withdrawals: readonly Withdrawal[],
  signal: AbortSignal,
): Promise<readonly number[]> {
  const untilMs = performance.now() + PATIENCE_MS;
  const took: number[] = [];
  for (const { work, askedMs } of withdrawals) {
    let heardMs = stage.receiver.heardMs(work.jti, stage.prompt);
    while (heardMs === undefined) {
      signal.throwIfAborted();
      if (performance.now() > untilMs)
        throw new Error(`expected ${stage.prompt} endpoints to hear of ${work.jti} within ${PATIENCE_MS / 1_000} s`);
      await sleep(HEARD_POLL_MS);
      heardMs = stage.receiver.heardMs(work.jti, stage.prompt);
    }
    took.push(heardMs - askedMs);
  }
  return took;
}
