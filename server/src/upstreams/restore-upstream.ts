import { lockConsents } from "../consents/lookup.ts";
import { lockContent } from "../content/lookup.ts";
import type { KeptMapping } from "../events/journal-entry.ts";
import type { Fact } from "../events/write-fact.ts";
import { type UpstreamEventRow, findEvent } from "./event-store.ts";
import { type EventAnswer, saveEvent } from "./save-event.ts";
import { lockUpstream } from "./store.ts";
import { deleteConsent, deleteWork, insertConsents, insertWorks } from "./work-store.ts";

export interface RestoredMappings {
  readonly changed: number;
  /** What cannot be mapped again: the upstream, the work or the consent itself is lost. */
  readonly lost: readonly KeptMapping[];
}

/** Maps again, or no more, what one fact mapped for an upstream, as the journal kept it. */
export async function restoreMappings(fact: Fact, mappings: readonly KeptMapping[]): Promise<RestoredMappings> {
  const [upstreamId] = mappings.map((mapping) => mapping.upstream_id);
  const upstream = upstreamId === undefined ? undefined : await lockUpstream(fact.trx, upstreamId);
  const idsOf = (column: "jti" | "content_id") =>
    [...new Set(mappings.flatMap((mapping) => mapping[column] ?? []))].sort();
  const known = new Set<string>();
  if (upstream !== undefined) {
    for (const { jti } of await lockConsents(fact.trx, idsOf("jti"))) known.add(jti);
    for (const { content_id } of await lockContent(fact.trx, idsOf("content_id"))) known.add(content_id);
  }
  const isKnown = ({ content_id, jti }: KeptMapping) => known.has(content_id ?? jti ?? "");
  let changed = 0;
  for (const mapping of mappings.filter(isKnown)) changed += (await restoreMapping(fact, mapping)) ? 1 : 0;
  if (changed > 0 && upstream !== undefined) {
    const type = mappings.some((mapping) => mapping.is_mapped) ? "upstream.works-mapped" : "upstream.works-unmapped";
    const { upstream_id } = upstream;
    fact.keep({ mappings });
    fact.record({ type, aggregate: upstream_id, body: { upstream_id, by: "restore", count: changed } });
  }
  return { changed, lost: mappings.filter((mapping) => mapping.is_mapped && !isKnown(mapping)) };
}

async function restoreMapping(fact: Fact, mapping: KeptMapping): Promise<boolean> {
  const { upstream_id, content_id, jti, upstream_dataset_id, upstream_content_id, upstream_jti, is_mapped } = mapping;
  const mapped_at = fact.now;
  if (jti !== null) {
    const row = { upstream_id, jti, upstream_jti };
    return is_mapped ? (await insertConsents(fact.trx, [{ ...row, mapped_at }])) > 0 : deleteConsent(fact.trx, row);
  }
  if (content_id === null || upstream_dataset_id === null || upstream_content_id === null) return false;
  const row = { upstream_id, content_id, upstream_dataset_id, upstream_content_id, upstream_jti };
  return is_mapped ? (await insertWorks(fact.trx, [{ ...row, mapped_at }])) > 0 : deleteWork(fact.trx, row);
}

export type RestoredEvent = Omit<UpstreamEventRow, "received_at" | "answer" | "serial"> & Pick<EventAnswer, "effect">;

/**
 * Takes an event again that was taken after the backup, so that what it refused cannot be mapped.
 * What it changed is in the journal by itself. Answers whether it was missing.
 */
export async function restoreEvent(fact: Fact, { effect, ...row }: RestoredEvent): Promise<boolean> {
  const upstream = await lockUpstream(fact.trx, row.upstream_id);
  if (upstream === undefined || (await findEvent(fact.trx, row.upstream_id, row.event_id)) !== undefined) return false;
  const nothing = { revoked_jtis: [], withdrawn_content_ids: [], suspended_ids: [], resumed_ids: [], datasets: [] };
  await saveEvent(fact, row, { event_id: row.event_id, effect, ...nothing, changed_count: 0 });
  return true;
}
