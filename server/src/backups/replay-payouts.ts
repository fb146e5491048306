import { type JsonValue, parseMicros } from "@licet/protocol";
import type { Context } from "../context.ts";
import type { PayoutAdapterName } from "../db/payment-tables.ts";
import { BY_RESTORE } from "../events/journal-entry.ts";
import { type LostPayout, lookAtMsOf, restorePayouts } from "../payouts/restore-payouts.ts";
import { type Settlement, settlePayout } from "../payouts/settle-payout.ts";
import type { JournalEvent } from "./read-journal.ts";

/** Its own reason is not in the journal, which holds no free text. */
const REPLAYED_REASON = "kept_in_the_journal";

/**
 * Makes payouts of after the backup again, held, and settles those that were settled since. Answers
 * how often that changed something, by the type of the event.
 */
export async function replayPayouts(
  ctx: Context,
  then: Context,
  events: readonly JournalEvent[],
): Promise<ReadonlyMap<string, number>> {
  const changed = new Map<string, number>();
  const lost = events.flatMap(lostPayoutOf);
  if (lost.length > 0) changed.set("payout.created", await restorePayouts(then, lost, lookAtMsOf(ctx)));
  for (const event of events) {
    const settlement = settlementOf(event);
    if (settlement === undefined) continue;
    const settled = await settlePayout(then, textOf(event.body["payout_id"]), [settlement]);
    if (settled.ok) changed.set(event.type, (changed.get(event.type) ?? 0) + 1);
  }
  return changed;
}

function lostPayoutOf({ type, body }: JournalEvent): readonly LostPayout[] {
  if (type !== "payout.created") return [];
  const adapter = adapterNameOf(body["adapter"]);
  const amountMicros = parseMicros(textOf(body["amount_micros"]));
  if (adapter === undefined || amountMicros === undefined) return [];
  return [
    {
      payoutId: textOf(body["payout_id"]),
      batchId: textOf(body["batch_id"]),
      creatorId: textOf(body["creator_id"]),
      adapter,
      currency: textOf(body["currency"]),
      amountMicros,
    },
  ];
}

function adapterNameOf(value: JsonValue | undefined): PayoutAdapterName | undefined {
  return value === "csv" || value === "stripe" ? value : undefined;
}

function settlementOf({ type, body }: JournalEvent): Settlement | undefined {
  const by = BY_RESTORE;
  switch (type) {
    case "payout.sent":
      return { outcome: "sent", externalId: textOf(body["external_id"]), by };
    case "payout.paid":
      return { outcome: "paid", externalId: textOf(body["external_id"]) || undefined, by };
    case "payout.failed":
      return { outcome: "failed", reason: REPLAYED_REASON, by };
    case "payout.returned": {
      const returnedMicros = parseMicros(textOf(body["returned_micros"])) ?? 0n;
      return { outcome: "returned", returnedMicros, reason: REPLAYED_REASON, by };
    }
    default:
      return undefined;
  }
}

function textOf(value: JsonValue | undefined): string {
  return typeof value === "string" ? value : "";
}
