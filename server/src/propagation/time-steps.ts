import type { TimeStep } from "./aggregate-store.ts";

/** Times up to this are counted exactly; longer ones in steps that are less than a hundredth of them. */
const EXACT_MS = 128;
const SIGNIFICANT_BITS = 7;

/** The end of the step that a time lies in: never less than the time, and less than a hundredth more. */
export function timeStepOf(ms: number): number {
  if (ms < EXACT_MS) return ms;
  const width = 2 ** (Math.floor(Math.log2(ms)) - SIGNIFICANT_BITS);
  return Math.ceil(ms / width) * width;
}

/** The time within which a part of the legs (such as 0.99) was done, by nearest rank; never more than the worst. Undefined when there are none. */
export function percentileOf(steps: readonly Omit<TimeStep, "leg">[], part: number): number | undefined {
  const total = steps.reduce((sum, step) => sum + step.legs, 0);
  const worst = Math.max(...steps.map((step) => step.worst_ms));
  let counted = 0;
  for (const step of steps) {
    counted += step.legs;
    if (counted >= Math.ceil(total * part)) return Math.min(step.up_to_ms, worst);
  }
  return undefined;
}
