import { type Offence, REFUSING_CHANGES, type Result, accept, refuse } from "@licet/protocol";
import { lockConsents } from "../consents/lookup.ts";
import { lockContent } from "../content/lookup.ts";
import type { Context } from "../context.ts";
import type { KeptMapping } from "../events/journal-entry.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { actorOf, type Principal } from "../http/principal.ts";
import type { EventAnswer } from "./save-event.ts";
import { type UpstreamEventRow, readEventsAbout } from "./event-store.ts";
import { lockLiving } from "./register-upstream.ts";
import { deleteConsent, deleteWork, findCrowdedName, insertConsents, insertWorks } from "./work-store.ts";

/** A work of ours, by every name under which the upstream may take it back. */
export interface MappedWork {
  readonly content_id: string;
  readonly upstream_dataset_id: string;
  readonly upstream_content_id: string;
  readonly upstream_jti: string;
}

/** A consent of ours that stands on one of theirs. */
export interface MappedConsent {
  readonly jti: string;
  readonly upstream_jti: string;
}

export type Mapping = MappedWork | MappedConsent;

/** What one message may be about: all of it falls in one fact. */
const MAX_UNDER_ONE_NAME = 10_000;

export interface MappingChange {
  readonly principal: Principal;
  readonly mappings: readonly Mapping[];
}

/**
 * Says which works and consents of ours are carried for an upstream, all of them or none. What is
 * mapped so already stays. Refuses `not_found`, `upstream_ended`, and with the offenders named
 * `input_invalid`: what does not exist here, and what the upstream took back, or suspended, before;
 * `conflict` when one name would stand for too much.
 */
export async function mapWorks(
  ctx: Context,
  upstreamId: string,
  { principal, mappings }: MappingChange,
): Promise<Result<{ readonly mapped: number; readonly unchanged: number }>> {
  return writeFact(ctx, async (fact) => {
    const upstream = await lockLiving(fact, upstreamId);
    if (!upstream.ok) return upstream;
    const offences = await findOffences(fact, upstreamId, mappings);
    if (offences.length > 0)
      return {
        ok: false,
        refusal: {
          code: "input_invalid",
          detail: `${offences.length} of ${mappings.length} cannot be mapped; nothing was`,
          offences,
        },
      };
    const works = mappings.filter(isWork).map((work) => ({ ...work, upstream_id: upstreamId, mapped_at: fact.now }));
    const consents = mappings
      .filter(isConsent)
      .map((consent) => ({ ...consent, upstream_id: upstreamId, mapped_at: fact.now }));
    const mapped = (await insertWorks(fact.trx, works)) + (await insertConsents(fact.trx, consents));
    const crowded = await findCrowdedName(fact.trx, upstreamId, { limit: MAX_UNDER_ONE_NAME, works, consents });
    if (crowded !== undefined)
      return refuse(
        "conflict",
        `expected at most ${MAX_UNDER_ONE_NAME} works, and as many consents, under one name of the upstream: ${crowded} would have more`,
      );
    recordChange(fact, "upstream.works-mapped", { upstreamId, principal, mappings, count: mapped });
    return accept({ mapped, unchanged: mappings.length - mapped });
  });
}

/** Takes mappings away: what the upstream says of them from now on is about nothing of ours. What it holds suspended stays so. */
export async function unmapWorks(
  ctx: Context,
  upstreamId: string,
  { principal, mappings }: MappingChange,
): Promise<Result<{ readonly removed: number }>> {
  return writeFact(ctx, async (fact) => {
    const upstream = await lockLiving(fact, upstreamId);
    if (!upstream.ok) return upstream;
    let removed = 0;
    for (const mapping of mappings) {
      const named = { ...mapping, upstream_id: upstreamId };
      const wasMapped = isWork(named) ? await deleteWork(fact.trx, named) : await deleteConsent(fact.trx, named);
      if (wasMapped) removed += 1;
    }
    recordChange(fact, "upstream.works-unmapped", { upstreamId, principal, mappings, count: removed });
    return accept({ removed });
  });
}

function recordChange(
  fact: Fact,
  type: "upstream.works-mapped" | "upstream.works-unmapped",
  { upstreamId, principal, mappings, count }: RecordedChange,
): void {
  if (count === 0) return;
  fact.keep({ mappings: mappings.map((mapping) => keptOf(upstreamId, mapping, type === "upstream.works-mapped")) });
  fact.record({ type, aggregate: upstreamId, body: { upstream_id: upstreamId, by: actorOf(principal), count } });
}

interface RecordedChange extends MappingChange {
  readonly upstreamId: string;
  readonly count: number;
}

function keptOf(upstream_id: string, mapping: Mapping, is_mapped: boolean): KeptMapping {
  const none = { content_id: null, jti: null, upstream_dataset_id: null, upstream_content_id: null };
  return { ...none, ...mapping, upstream_id, is_mapped };
}

function isWork<M extends Mapping>(mapping: M): mapping is M & MappedWork {
  return "content_id" in mapping;
}

function isConsent(mapping: Mapping): mapping is MappedConsent {
  return "jti" in mapping;
}

/** What is not there, and what must not come back by the back door: the upstream refused it before it was mapped. */
async function findOffences(fact: Fact, upstreamId: string, mappings: readonly Mapping[]): Promise<readonly Offence[]> {
  const works = mappings.filter(isWork);
  const consents = mappings.filter(isConsent);
  const contentIds = works.map((work) => work.content_id);
  const jtis = consents.map((consent) => consent.jti);
  // The inserts refer to these rows and would lock them in the order of the request.
  const known = new Set([
    ...(await lockConsents(fact.trx, [...new Set(jtis)].sort())).map((row) => row.jti),
    ...(await lockContent(fact.trx, [...new Set(contentIds)].sort())).map((row) => row.content_id),
  ]);
  const refused = refusedBy(
    await readEventsAbout(fact.trx, upstreamId, {
      datasetIds: works.map((work) => work.upstream_dataset_id),
      contentIds: works.map((work) => work.upstream_content_id),
      jtis: mappings.map((mapping) => mapping.upstream_jti),
    }),
  );
  return mappings.flatMap((mapping, index): readonly Offence[] => {
    const at = `body.works.${index}`;
    const id = isWork(mapping) ? mapping.content_id : mapping.jti;
    if (!known.has(id))
      return [{ at, code: "not_found", detail: `there is no ${isWork(mapping) ? "content" : "consent"} ${id}` }];
    const event = refused(mapping);
    if (event === undefined) return [];
    const code = event.change === "suspended" ? "item_suspended" : "item_withdrawn";
    return [{ at, code, detail: `the upstream said ${event.change} of it in ${event.event_id}` }];
  });
}

/** Of each thing, the first event after which it may not be used; a suspension counts until it is lifted. */
function refusedBy(events: readonly UpstreamEventRow[]): (mapping: Mapping) => UpstreamEventRow | undefined {
  const refusals = new Map<string, UpstreamEventRow>();
  const suspensions = new Map<string, Map<string, UpstreamEventRow>>();
  for (const event of events) {
    for (const name of namesIn(event)) {
      const held = suspensions.get(name) ?? new Map<string, UpstreamEventRow>();
      suspensions.set(name, held);
      if (event.change === "suspended") held.set(event.dataset_id, event);
      else if (event.change === "resumed" && isLifting(event)) held.delete(event.dataset_id);
      else if (REFUSING_CHANGES.some((change) => change === event.change)) refusals.set(name, event);
    }
  }
  const refusalOf = (name: string) => refusals.get(name) ?? suspensions.get(name)?.values().next().value;
  return (mapping) =>
    (isWork(mapping) ? [`dataset ${mapping.upstream_dataset_id}`, `content ${mapping.upstream_content_id}`] : [])
      .concat(`jti ${mapping.upstream_jti}`)
      .map(refusalOf)
      .find((event) => event !== undefined);
}

/** A resumption that came too late lifted nothing. */
function isLifting({ answer }: UpstreamEventRow): boolean {
  const { effect }: EventAnswer = JSON.parse(answer);
  return effect !== "outdated";
}

function namesIn({ dataset_id, content_id, jti }: UpstreamEventRow): readonly string[] {
  if (content_id === null && jti === null) return [`dataset ${dataset_id}`];
  return [...(content_id === null ? [] : [`content ${content_id}`]), ...(jti === null ? [] : [`jti ${jti}`])];
}
