import type { ReceivedEvent } from "@licet/protocol";
import { z } from "zod";
import type { Store } from "./store.ts";

/** An event as it is remembered, to tell a repetition from a contradiction. */
export interface RememberedEvent {
  readonly event: ReceivedEvent;
  readonly contentSha256: string;
  readonly refuses: boolean;
  readonly receivedAt: string;
}

/** The hash of the event's content that came first under this id, or undefined. */
export function knownContent(store: Store, eventId: string): string | undefined {
  return store.all(
    z.object({ content_sha256: z.string() }),
    "select content_sha256 from webhook_event where event_id = ?",
    eventId,
  )[0]?.content_sha256;
}

export function rememberEvent(store: Store, { event, contentSha256, refuses, receivedAt }: RememberedEvent): void {
  store.run(
    "insert into webhook_event (event_id, content_sha256, dataset_id, change, refuses, sequence, received_at) values (?, ?, ?, ?, ?, ?, ?)",
    event.event_id,
    contentSha256,
    event.dataset_id,
    event.change,
    Number(refuses),
    event.sequence ?? 0,
    receivedAt,
  );
}

/**
 * The number of the newest refusal that arrived for a dataset. A verification that began before a
 * refusal must not undo it, so the number is taken at its start and compared at its end; it also
 * covers a refusal that overtakes a registration.
 */
export function newestRefusal(store: Store, datasetId: string): number {
  return (
    store.all(
      z.object({ id: z.number() }),
      "select coalesce(max(id), 0) as id from webhook_event where dataset_id = ? and refuses = 1",
      datasetId,
    )[0]?.id ?? 0
  );
}

/** Answers false when something newer is known already, or when the event does not say how new it is. */
export function advanceSequence(store: Store, { dataset_id, sequence, dataset }: ReceivedEvent): boolean {
  if (sequence === undefined || dataset === undefined) return false;
  return (
    store.run(
      "update dataset set sequence = ?, status = ? where dataset_id = ? and sequence < ?",
      sequence,
      dataset.status,
      dataset_id,
      sequence,
    ) === 1
  );
}
