import { type Result, refuse } from "@licet/protocol";

/** Lets few things run at once and few more wait, in their order. */
export interface Slots {
  /** Runs when a place is free. Refuses `unavailable` when too many wait already. */
  readonly within: <T>(run: () => Promise<Result<T>>) => Promise<Result<T>>;
}

/** Downloads under way at once, each with a file as large as it is. */
const MAX_DOWNLOADS = 8;
/** A bulk of registrations may wait whole. */
const MAX_WAITING_DOWNLOADS = 1_000;

export function createDownloadSlots(limit = MAX_DOWNLOADS, maxWaiting = MAX_WAITING_DOWNLOADS): Slots {
  const waiting: (() => void)[] = [];
  let taken = 0;

  async function take(): Promise<void> {
    if (taken < limit) taken += 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
  }

  /** The place goes straight to the one who waits longest. */
  function give(): void {
    const next = waiting.shift();
    if (next === undefined) taken -= 1;
    else next();
  }

  return {
    within: async (run) => {
      if (taken >= limit && waiting.length >= maxWaiting)
        return refuse("unavailable", `expected at most ${maxWaiting} downloads to wait, got one more`);
      await take();
      try {
        return await run();
      } finally {
        give();
      }
    },
  };
}
