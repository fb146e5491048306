import { type BenchSettings, type Row, digits, median, quantile } from "../row.ts";
import { type RunPlan, type RunResult, runPropagation } from "./propagation-run.ts";
import { type StageSize, type Variant, openStage } from "./propagation-stage.ts";

const BUDGET_MS = 1_000;
const TTL_SECONDS = 2;
const ENDPOINTS = 1_000;
/** Of the rate that was meant so much must have been sent, or nothing was shown. */
const KEPT_UP = 0.9;
/** Kinds of answers that were not meant, the most frequent ones. */
const MAX_SURPRISES = 5;
/** Nothing takes longer, the setting up included; then it is given up. */
const MAX_VARIANT_MS = 900_000;

const MISHAPS = ["none", "purges", "endpoints", "restart"] as const satisfies readonly Variant["mishap"][];
const MISHAP_WORDS: Readonly<Record<Variant["mishap"], string>> = {
  none: "",
  purges: ", every purge fails",
  endpoints: ", one endpoint dead and one slow",
  restart: ", the server killed in the middle",
};

interface Size {
  readonly perSecond: number;
  readonly probeMs: number;
  readonly works: number;
  readonly everyMs: number;
  readonly endpoints: number;
}

/** So many endpoints take a server a second for each revocation: fewer of them, further apart. */
function sizeOf({ mishap }: Variant, isQuick: boolean): Size {
  const pace = isQuick ? { perSecond: 20, probeMs: 50, everyMs: 500 } : { perSecond: 200, probeMs: 10, everyMs: 200 };
  if (mishap !== "endpoints") return { ...pace, works: isQuick ? 10 : 200, endpoints: 1 };
  return isQuick ? { ...pace, works: 10, endpoints: 50 } : { ...pace, everyMs: 3_000, works: 40, endpoints: ENDPOINTS };
}

/** Taking back under load: until 200, until the edge refuses, until the marketplaces have heard; and what the edge let through too late. */
export async function measurePropagation(settings: BenchSettings): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const mishap of MISHAPS)
    for (const host of ["workerd", "Node"] as const) {
      const variant = { host, mishap };
      const row = await measureVariant(settings, variant, sizeOf(variant, settings.isQuick));
      settings.note(`    ${row.ours}\n    ${row.how}`);
      rows.push(row);
    }
  return rows;
}

async function measureVariant(settings: BenchSettings, variant: Variant, size: Size): Promise<Row> {
  const { mishap } = variant;
  const isShort = mishap === "purges" || mishap === "restart";
  const stageSize: StageSize = { ...size, ttlSeconds: isShort ? TTL_SECONDS : undefined };
  settings.note(`  ${variant.host}${MISHAP_WORDS[mishap]}: ${size.works} works, ${size.endpoints} endpoints`);
  const stage = await openStage(settings, variant, stageSize);
  const given = new AbortController();
  const timer = setTimeout(() => given.abort(new Error("the run took too long and was given up")), MAX_VARIANT_MS);
  const plan: RunPlan = {
    ...size,
    boundMs: mishap === "purges" ? TTL_SECONDS * 1_000 : BUDGET_MS,
    crash: mishap === "restart" ? { boundMs: TTL_SECONDS * 1_000 } : undefined,
  };
  try {
    const result = await runPropagation(stage, plan, given.signal);
    return rowOf({ variant, size, plan, result, engine: stage.platform.engine });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`${variant.host}${MISHAP_WORDS[mishap]}: ${reason}`, { cause: error });
  } finally {
    clearTimeout(timer);
    given.abort();
    await stage.stop();
  }
}

interface Measured {
  readonly variant: Variant;
  readonly size: Size;
  readonly plan: RunPlan;
  readonly result: RunResult;
  readonly engine: string;
}

function rowOf({ variant: { host, mishap }, size, plan, result, engine }: Measured): Row {
  const { took, letThrough } = result;
  const hasBudget = mishap === "none" || mishap === "endpoints";
  const bound = `${plan.boundMs / 1_000} s`;
  const many = size.endpoints > 1 ? ` of ${digits(size.endpoints)}` : "";
  return {
    what: `${size.works} revocations under load, ${host}${MISHAP_WORDS[mishap]}${many}, ${engine}`,
    budget: `${hasBudget ? "edge refuses: p99 < 1 s; " : ""}let through after ${bound}: 0`,
    ours: [
      `200: ${spread(took.answered)}`,
      `edge refuses: ${spread(took.refused)}`,
      `webhook delivered: ${spread(took.heard)}`,
      `let through after the bound: ${letThrough}`,
    ].join("; "),
    baseline: "–",
    ratio: `${digits(median(took.refused) / median(took.answered))} × until 200`,
    holds:
      letThrough === 0 &&
      result.peopleRefused === 0 &&
      result.sentPerSecond >= KEPT_UP * size.perSecond &&
      (!hasBudget || quantile(took.refused, 0.99) < BUDGET_MS),
    how: howOf({ mishap, size, plan, result }),
  };
}

function spread(samples: readonly number[]): string {
  const [p50, p95, p99, worst] = [0.5, 0.95, 0.99, 1].map((share) => digits(quantile(samples, share)));
  return `p50 ${p50}, p95 ${p95}, p99 ${p99}, max ${worst} ms`;
}

function howOf({
  mishap,
  size,
  plan,
  result,
}: Pick<Measured, "size" | "plan" | "result"> & { readonly mishap: Variant["mishap"] }): string {
  const { people, peopleRefused, standing, standingRefused, passedAgain } = result;
  const bounds: Readonly<Record<Variant["mishap"], string>> = {
    none: "The bound is 1 s.",
    purges: `The edge hears nothing, so its first clock is the bound, ${TTL_SECONDS} s in this run and 15 s otherwise.`,
    endpoints:
      "The bound is 1 s. A webhook counts as delivered when the last of the endpoints that answer at once has it: the dead one takes no connection, the slow one answers after 9 s.",
    restart: `Killed as by a crash and started anew, it answered ${digits((result.downMs ?? Number.NaN) / 1_000)} s later; revocations in between were asked for until they got their 200. The bound is 1 s, and for those that were under way or answered in the second before, the edge's first clock after the server is back, ${TTL_SECONDS} s in this run.`,
  };
  const load = [
    `${digits(result.sentPerSecond)} requests/s of ${size.perSecond} meant`,
    `a third people's (${peopleRefused} of ${people} refused)`,
    `a third licensed ones for works that stand (${standingRefused} of ${standing} not let through)`,
    "a third for works just taken back",
  ];
  const surprises = [...result.surprises]
    .toSorted(([, one], [, other]) => other - one)
    .slice(0, MAX_SURPRISES)
    .map(([surprise, count]) => ` ${count} got ${surprise}.`)
    .join("");
  const again = passedAgain > 0 ? ` ${passedAgain} passed, within the bound, after a first refusal.` : "";
  return `One revocation every ${plan.everyMs} ms, each of one work on a consent of its own. Times are from sending it; each URL is asked for every ${plan.probeMs} ms until it is refused, and whatever passes after that counts. ${bounds[mishap]} The load: ${load.join(", ")}.${surprises}${again}`;
}
