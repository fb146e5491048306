/** One line of docs/benchmarks.md: what was measured here, beside its bare baseline in the same run. */
export interface Row {
  readonly what: string;
  /** As docs/architecture.md's budgets have it. */
  readonly budget: string;
  readonly ours: string;
  readonly baseline: string;
  /** Ours to the baseline, or what else can be compared with another machine. */
  readonly ratio: string;
  /** Undefined where a number alone does not say. */
  readonly holds: boolean | undefined;
  /** What exactly was done, how often, and what the baseline is. */
  readonly how: string;
}

export interface BenchSettings {
  /** `quick` makes everything smaller, to see that it runs. */
  readonly isQuick: boolean;
  /** A PostgreSQL server on which databases may be made and dropped; without it the embedded database is measured. */
  readonly postgresUrl: string | undefined;
  /** Tells the person who waits what is being done. */
  readonly note: (text: string) => void;
}

/** Measures one thing, on its own processes and data, and takes them away again. */
export type Measure = (settings: BenchSettings) => Promise<readonly Row[]>;

/** The value below which a share of the samples lies. */
export function quantile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5);
}

export interface Samples {
  readonly ours: readonly number[];
  readonly baseline: readonly number[];
}

/**
 * Ours to the baseline, turn by turn: a slow moment of the machine meets both, so the median of
 * these says more than the ratio of the medians. The text holds the middle half of them, too.
 */
export function ratioOf({ ours, baseline }: Samples): { readonly median: number; readonly text: string } {
  const ratios = ours.map((value, turn) => value / (baseline[turn] ?? Number.NaN));
  const [low, middle, high] = [quantile(ratios, 0.25), median(ratios), quantile(ratios, 0.75)];
  return { median: middle, text: `${digits(middle)} (${digits(low)}–${digits(high)})` };
}

/** Runs two things by turns, so that a slow moment of the machine meets both, and answers what each took in ms. */
export async function byTurns(
  rounds: number,
  ours: () => Promise<unknown>,
  baseline: () => Promise<unknown>,
): Promise<Samples> {
  const samples = { ours: [] as number[], baseline: [] as number[] };
  for (let round = 0; round < rounds; round += 1) {
    samples.ours.push(await millisecondsOf(ours));
    samples.baseline.push(await millisecondsOf(baseline));
  }
  return samples;
}

export async function millisecondsOf(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

/** Three digits, which is more than a shared machine can promise. */
export function digits(value: number): string {
  return value >= 1_000 ? Math.round(value).toLocaleString("en-US") : String(Number(value.toPrecision(3)));
}
