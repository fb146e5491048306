import {
  type Shape,
  count,
  flag,
  identifier,
  instant,
  listOf,
  objectOf,
  oneOf,
  readShape,
  textUpTo,
} from "@licet/protocol";
import { type PageQuery, jsonRequest } from "./api-requests.ts";
import type { AuthorizedCalls } from "./authorized-calls.ts";
import { type Answer, parseAnswer } from "./problem.ts";

const ACKNOWLEDGEMENT = objectOf({
  revocation_id: identifier,
  marketplace_id: identifier,
  dataset_ids: listOf(identifier, { max: 100_000 }),
  acknowledged_at: instant,
  took_ms: count,
});
/** That the platform knows a marketplace has stopped: of these datasets, so long after the refusal. @example { revocation_id: "evt_…", took_ms: 41, … } */
export type Acknowledgement = ReturnType<typeof ACKNOWLEDGEMENT>;

const legShape = oneOf("committed", "purge", "edge", "webhook", "acknowledgement");
const MAX_ENTRIES = 1_000;
const nextShape: Shape<string | null> = (value, at) => (value === null ? null : textUpTo(2_048)(value, at));
const TIMELINE = objectOf({
  revocation_id: identifier,
  type: textUpTo(64),
  aggregate: textUpTo(256),
  at: instant,
  at_ms: count,
  done: flag,
  timeline_url: textUpTo(2_048),
  legs: listOf(
    objectOf(
      { leg: legShape, targets: count, done: count, waiting: count, failed: count },
      { first_ms: count, last_ms: count },
    ),
    { max: 5 },
  ),
  entries: listOf(
    objectOf(
      { leg: legShape, target: textUpTo(2_048), state: oneOf("waiting", "done", "failed"), attempts: count },
      {
        marketplace_id: identifier,
        dataset_id: identifier,
        at_ms: count,
        took_ms: count,
        last_error: textUpTo(10_000),
      },
    ),
    { max: MAX_ENTRIES },
  ),
  next: nextShape,
});
/** How far a refusal has come: its legs added up, and a page of them one by one. Times in `_ms` are counted from the refusal, but `at_ms`, which is an instant. @example { revocation_id: "evt_…", done: false, legs: [{ leg: "webhook", targets: 2, … }], … } */
export type RevocationTimeline = ReturnType<typeof TIMELINE>;

/** The calls about refusals: whoever took something back, or was told of it. */
export interface RevocationCalls {
  /**
   * Says that whatever was refused is used here no more. `id` is the `event_id` of the webhook, or of
   * the entry of the feed, that told of it. Say it once trainings have stopped, not when the webhook
   * has arrived: the platform publishes how long that takes. Harmless again.
   */
  readonly acknowledgeRevocation: (id: string) => Promise<Answer<Acknowledgement>>;
  /** By the id of a refusal, the jti of a consent, or the `event_id` of a webhook. A marketplace sees its own legs. */
  readonly getRevocation: (id: string, page?: PageQuery) => Promise<Answer<RevocationTimeline>>;
}

/** Makes the calls of {@link RevocationCalls} for one client. @example revocationCalls(origin, calls).acknowledgeRevocation(event.event_id) */
export function revocationCalls(origin: string, { call }: Pick<AuthorizedCalls, "call">): RevocationCalls {
  const pathOf = (id: string): string => `/api/v1/revocations/${encodeURIComponent(id)}`;
  return {
    acknowledgeRevocation: (id) =>
      call(jsonRequest(origin, { method: "POST", path: `${pathOf(id)}/acknowledgements` }), (answer) =>
        parseAnswer(answer, (body) => readShape(ACKNOWLEDGEMENT, body, "acknowledgement", "document_invalid")),
      ),
    getRevocation: (id, page = {}) =>
      call(jsonRequest(origin, { method: "GET", path: pathOf(id), query: { ...page } }), (answer) =>
        parseAnswer(answer, (body) => readShape(TIMELINE, body, "timeline", "document_invalid")),
      ),
  };
}
