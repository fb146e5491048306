import { z } from "zod";
import type { MarketplaceContext } from "./context.ts";
import type { Store } from "./store.ts";

/** Acknowledgements sent in one go; the rest follow at the next. */
const MAX_AT_ONCE = 100;
/** What the platform may answer otherwise the next time. */
const MAY_PASS: readonly string[] = ["unavailable", "internal", "unauthenticated", "token_invalid", "rate_limited"];

/** Notes, with the refusal itself, that the platform is to hear that we have stopped. */
export function noteStopped(store: Store, eventId: string): void {
  store.run("insert into acknowledgement (event_id, state) values (?, 'waiting') on conflict do nothing", eventId);
}

/**
 * Tells the platform which refusals are applied here. One it cannot take now waits for the next call;
 * one it does not ask for is kept with the reason. Telling it twice is harmless.
 */
export async function acknowledgeRefusals({ connected, store }: MarketplaceContext): Promise<void> {
  if (connected === undefined) return;
  const waiting = store.all(
    z.object({ event_id: z.string() }),
    "select event_id from acknowledgement where state = 'waiting' order by event_id limit ?",
    MAX_AT_ONCE,
  );
  for (const { event_id } of waiting) {
    const told = await connected.client.acknowledgeRevocation(event_id);
    if (told.ok) {
      store.run("update acknowledgement set state = 'sent', reason = null where event_id = ?", event_id);
      continue;
    }
    const { code, detail } = told.refusal;
    const state = MAY_PASS.includes(code) ? "waiting" : "refused";
    store.run(
      "update acknowledgement set state = ?, reason = ? where event_id = ?",
      state,
      `${code}: ${detail}`,
      event_id,
    );
  }
}
