import { type JsonObject, type JsonValue, accept } from "@licet/protocol";
import type { Context } from "../context.ts";
import type { KeptMapping } from "../events/journal-entry.ts";
import { writeFact } from "../events/write-fact.ts";
import { requireUpstream } from "../upstreams/register-upstream.ts";
import type { EventAnswer } from "../upstreams/save-event.ts";
import { type RestoredEvent, restoreEvent, restoreMappings } from "../upstreams/restore-upstream.ts";
import type { JournalFact } from "./read-journal.ts";
import type { Replayed } from "./replay-facts.ts";

/**
 * What was mapped for upstreams since the backup, and what they said: without that a later refusal
 * would be about nothing of ours, and an earlier one could be forgotten. Answers the names of what
 * cannot be mapped again because it is lost itself.
 */
export async function replayUpstreams(
  ctx: Context,
  facts: readonly JournalFact[],
  replayed: Replayed,
): Promise<readonly string[]> {
  const lost = new Map<string, string>();
  for (const past of facts) {
    const then: Context = { ...ctx, clock: { nowMs: () => past.atMs } };
    for (const mapping of past.mappings.filter((each) => !each.is_mapped)) lost.delete(keyOf(mapping));
    for (const mapping of await replayMappings(then, past, replayed)) lost.set(keyOf(mapping), nameOf(mapping));
    for (const { type, body } of past.events)
      if (type === "upstream.event-accepted") await replayEvent(then, body, replayed);
  }
  for (const upstreamId of registeredIn(facts))
    if (!(await requireUpstream(ctx, upstreamId)).ok) lost.set(upstreamId, upstreamId);
  return [...new Set(lost.values())];
}

function registeredIn(facts: readonly JournalFact[]): readonly string[] {
  return facts.flatMap(({ events }) =>
    events.filter(({ type }) => type === "upstream.registered").map(({ aggregate }) => aggregate),
  );
}

async function replayMappings(
  then: Context,
  { mappings }: JournalFact,
  replayed: Replayed,
): Promise<readonly KeptMapping[]> {
  if (mappings.length === 0) return [];
  const restored = await writeFact(then, async (fact) => accept(await restoreMappings(fact, mappings)));
  if (!restored.ok) return mappings;
  const { changed, lost } = restored.value;
  const type = mappings.some((mapping) => mapping.is_mapped) ? "upstream.works-mapped" : "upstream.works-unmapped";
  if (changed > 0) replayed.set(type, (replayed.get(type) ?? 0) + changed);
  return lost;
}

async function replayEvent(then: Context, body: JsonObject, replayed: Replayed): Promise<void> {
  const event = eventOf(body);
  if (event === undefined) return;
  const restored = await writeFact(then, async (fact) => accept(await restoreEvent(fact, event)));
  const type = "upstream.event-accepted";
  if (restored.ok && restored.value) replayed.set(type, (replayed.get(type) ?? 0) + 1);
}

const EFFECTS: readonly EventAnswer["effect"][] = ["applied", "not_mapped", "outdated", "noted"];

function eventOf(body: JsonObject): RestoredEvent | undefined {
  const { upstream_id, event_id, dataset_id, change } = body;
  const effect = EFFECTS.find((known) => known === body["effect"]);
  if (typeof upstream_id !== "string" || typeof event_id !== "string" || effect === undefined) return undefined;
  if (typeof dataset_id !== "string" || typeof change !== "string") return undefined;
  const subject = { dataset_id, content_id: textOrNull(body["content_id"]), jti: textOrNull(body["jti"]) };
  const sequence = typeof body["sequence"] === "number" ? body["sequence"] : null;
  return { upstream_id, event_id, ...subject, change, sequence, effect };
}

function textOrNull(value: JsonValue | undefined): string | null {
  return typeof value === "string" ? value : null;
}

function keyOf({ upstream_id, content_id, jti, ...theirs }: KeptMapping): string {
  const { upstream_dataset_id, upstream_content_id, upstream_jti } = theirs;
  return JSON.stringify([upstream_id, content_id, jti, upstream_dataset_id, upstream_content_id, upstream_jti]);
}

function nameOf({ upstream_id, content_id, jti }: KeptMapping): string {
  return `${upstream_id} ${content_id ?? jti ?? ""}`;
}
