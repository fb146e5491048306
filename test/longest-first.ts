import { BaseSequencer, type TestSpecification } from "vitest/node";

/**
 * The files that take longest, the longest first. Begun among the others they would be what is
 * waited for at the end, with one core at work: a clean checkout remembers no durations.
 */
const LONGEST = [
  "test/nothing-acknowledged-is-lost.test.ts",
  "test/money-survives-crashes.test.ts",
  "test/money-adds-up.test.ts",
  "server/src/reconciliation/reconciliation.test.ts",
  "server/src/payouts/stripe.test.ts",
  "server/src/purges/cloudflare.test.ts",
];

/** Vitest's own order, but with the longest files of all projects before everything else. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.toSorted((left, right) => rankOf(left) - rankOf(right));
  }
}

function rankOf({ moduleId }: TestSpecification): number {
  const rank = LONGEST.findIndex((file) => moduleId.endsWith(`/${file}`));
  return rank === -1 ? LONGEST.length : rank;
}
