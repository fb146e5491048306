import { CLOCKS, checkFresh } from "./freshness.ts";
import { type JsonObject, parseJsonObject } from "./json.ts";
import type { KeySet } from "./key-set.ts";
import { type Result, accept, refuse } from "./refusal.ts";
import { anything, count, exactly, instant, listOf, objectOf, oneOf, origin, readShape } from "./shape.ts";
import { verifyDocument } from "./signed-document.ts";

/** Where the document is. */
export const PROPAGATION_PATH = "/propagation.json";

/**
 * The legs of a refusal on its way to everybody: committed, each purge of a cache confirmed, each
 * edge refreshed, each webhook taken (2xx), each marketplace's word that it has stopped.
 */
export const PROPAGATION_LEGS = ["committed", "purge", "edge", "webhook", "acknowledgement"] as const;

const LEG = objectOf(
  { leg: oneOf(...PROPAGATION_LEGS), done: count, waiting: count, failed: count },
  { p50_ms: count, p95_ms: count, p99_ms: count, worst_ms: count, longest_waiting_ms: count },
);

/**
 * How long one leg took: `done` targets within `p50_ms`, `p95_ms`, `p99_ms` and at most `worst_ms`
 * milliseconds of the refusal, absent when none was. Percentiles are by nearest rank, each less than
 * a hundredth above what was measured and never below it. `waiting` targets are not counted in;
 * `longest_waiting_ms` says how long one of them waits already. `failed` were given up.
 */
export type LegTimes = ReturnType<typeof LEG>;

const PROPAGATION = objectOf(
  {
    type: exactly("propagation"),
    iss: origin,
    seq: count,
    window_days: count,
    from: instant,
    facts: count,
    legs: listOf(LEG, { max: PROPAGATION_LEGS.length }),
    ...CLOCKS,
  },
  { test: anything },
);

/** `/propagation.json`: how long the refusals (`facts`) since `from`, the last `window_days` days, took to get everywhere. */
export type Propagation = ReturnType<typeof PROPAGATION>;

/** Reads the document without checking its signature. Refuses `document_invalid`, also when times fall or a leg comes twice. */
export function readPropagation(document: JsonObject): Result<Propagation> {
  const read = readShape(PROPAGATION, document, "propagation", "document_invalid");
  if (!read.ok) return read;
  const wrong = read.value.legs.find((leg, index, legs) => legs.findIndex((other) => other.leg === leg.leg) !== index);
  if (wrong !== undefined)
    return refuse("document_invalid", `propagation.legs: expected ${wrong.leg} once, got it twice`);
  const contradictory = read.value.legs.find((leg) => !isConsistent(leg));
  return contradictory === undefined
    ? read
    : refuse(
        "document_invalid",
        `propagation.legs: expected times of ${contradictory.leg} that rise, and none when nothing is done`,
      );
}

function isConsistent({ done, p50_ms, p95_ms, p99_ms, worst_ms }: LegTimes): boolean {
  const times = [p50_ms, p95_ms, p99_ms, worst_ms];
  if (done === 0) return times.every((time) => time === undefined);
  return times.every((time, index) => time !== undefined && time >= (times[index - 1] ?? 0));
}

export interface PropagationCheck {
  readonly keys: KeySet;
  /** Seconds since the epoch. */
  readonly now: number;
}

/**
 * Reads and verifies the document as it came: JSON, members, signature, and that it is fresh.
 *
 * Refuses what {@link parseJsonObject}, {@link verifyDocument} and {@link checkFresh} refuse, and `document_invalid`.
 */
export async function verifyPropagation(
  bytes: string | Uint8Array,
  { keys, now }: PropagationCheck,
): Promise<Result<Propagation>> {
  const document = parseJsonObject(bytes);
  if (!document.ok) return document;
  const propagation = readPropagation(document.value);
  if (!propagation.ok) return propagation;
  const verified = await verifyDocument(document.value, { type: "propagation", keys, madeAt: now });
  if (!verified.ok) return verified;
  const fresh = checkFresh(propagation.value, now);
  return fresh.ok ? accept(propagation.value) : fresh;
}
