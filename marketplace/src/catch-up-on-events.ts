import { catchUp } from "@licet/sdk";
import { z } from "zod";
import type { Connected, MarketplaceContext } from "./context.ts";
import type { Connection } from "./connection-store.ts";
import { takeEvent } from "./receive-webhook.ts";
import type { Store } from "./store.ts";

/**
 * Takes what happened while nobody listened here, from the platform's event feed. What came as a
 * webhook as well is known by its id and changes nothing. Answers false when the platform did not
 * answer to the end: what came before that is taken, and comes again next time.
 */
export async function catchUpOnEvents(
  context: MarketplaceContext,
  { client, connection }: Connected,
): Promise<boolean> {
  const { store, config } = context;
  const caughtUp = await catchUp(client, {
    after: loadPosition(store, connection),
    allowTest: config.test,
    onEvent: (event, body) => void takeEvent(context, event, body),
  });
  if (caughtUp.ok) {
    savePosition(store, connection, caughtUp.value);
    return true;
  }
  const { code, detail } = caughtUp.refusal;
  process.stderr.write(`${JSON.stringify({ level: "warn", message: "what was missed is not known", code, detail })}\n`);
  return false;
}

/** Each platform counts its positions by itself. */
function loadPosition(store: Store, { origin, marketplace_id }: Connection): string | undefined {
  return store.all(
    z.object({ position: z.string() }),
    "select position from feed_position where origin = ? and marketplace_id = ?",
    origin,
    marketplace_id,
  )[0]?.position;
}

function savePosition(store: Store, { origin, marketplace_id }: Connection, position: string): void {
  store.run(
    `insert into feed_position (origin, marketplace_id, position) values (?, ?, ?)
     on conflict (origin, marketplace_id) do update set position = excluded.position`,
    origin,
    marketplace_id,
    position,
  );
}
