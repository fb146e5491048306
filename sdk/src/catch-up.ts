import { type ReceivedEvent, refuse } from "@licet/protocol";
import type { LicetClient } from "./client.ts";
import { MAX_PAGES } from "./limits.ts";
import { type Answer, localProblem } from "./problem.ts";

/**
 * From where to catch up, and what to do with what was missed.
 *
 * @example { after: stored.position, onEvent: (event) => stopTraining(event.dataset_id) }
 */
export interface CatchUpOptions {
  /** The position that the last catching up answered; without one, everything since the datasets were offered. */
  readonly after?: string | undefined;
  /** Called for each event in order, one after the other, as that of a webhook receiver is. What it throws, `catchUp` throws. */
  readonly onEvent: (event: ReceivedEvent, body: string) => void | Promise<void>;
  /** Set to true to accept what a platform in test mode says. */
  readonly allowTest?: boolean;
}

/**
 * Reads what a marketplace missed while it was away, from its position to the end of the feed, and
 * answers the position to keep for the next time. An event that also came as a webhook has the same
 * `event_id`, so what deals with webhooks deals with it too: a repeated one changes nothing, and a
 * lower `sequence` never replaces newer state.
 *
 * Refuses what the server refused, `test_document`, and `unavailable` when the feed has no end.
 * docs/wire-formats.md, "The event feed".
 *
 * @example
 * const caughtUp = await catchUp(client, { after: stored.position, onEvent });
 * if (caughtUp.ok) store.save(caughtUp.value);
 */
export async function catchUp(
  client: Pick<LicetClient, "listEvents">,
  { after, onEvent, allowTest = false }: CatchUpOptions,
): Promise<Answer<string>> {
  let position = after;
  for (let turned = 0; turned < MAX_PAGES; turned += 1) {
    const page = await client.listEvents(position === undefined ? {} : { after: position });
    if (!page.ok) return page;
    const { entries, next, upTo } = page.value;
    for (const entry of entries) {
      if (entry.event.test === true && !allowTest)
        return fail("test_document", `the event ${entry.event.event_id} says test: true`);
      await onEvent(entry.event, entry.body);
    }
    if (next === null) return { ok: true, value: upTo };
    position = next;
  }
  return fail("unavailable", `expected the feed to end within ${MAX_PAGES} pages`);
}

function fail(code: "test_document" | "unavailable", detail: string): Answer<never> {
  return { ok: false, refusal: localProblem(refuse(code, detail).refusal) };
}
