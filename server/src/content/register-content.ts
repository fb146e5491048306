import {
  type JsonObject,
  type Result,
  accept,
  canonicalize,
  encodeBase64url,
  formatInstant,
  parseInstant,
  refuse,
} from "@licet/protocol";
import { randomBytes } from "node:crypto";
import { ulid } from "ulid";
import type { Context } from "../context.ts";
import { findCreator } from "../creators/lookup.ts";
import { hasHappened } from "../events/store.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { allocateStatus, statusReference } from "../status-lists/allocate-status.ts";
import { DEFAULT_LICENSE } from "../terms/built-in-terms.ts";
import { requireTerms } from "../terms/find-terms.ts";
import type { ContentView, DescribedContent } from "./content-input.ts";
import {
  type ContentRow,
  findClash,
  findContent,
  insertContent,
  insertRevision,
  recordOf,
  updateContent,
} from "./store.ts";

export type RegistrationStatus = "created" | "unchanged" | "revised";

export interface Registration {
  readonly status: RegistrationStatus;
  readonly item: ContentView;
}

const SALT_BYTES = 16;
/** A work that is dated later than this after now has a wrong clock behind it. */
const MAX_FUTURE_SECONDS = 86_400;

/**
 * Registers a work, whose bytes stay at its URL. The same again changes nothing; other bytes at the
 * same URL are a new revision, which datasets published before do not see.
 *
 * Refuses `not_found` (creator), `already_exists`, `conflict`, `item_withdrawn`, `lineage_unknown`, `input_invalid`.
 */
export async function registerContent(ctx: Context, input: DescribedContent): Promise<Result<Registration>> {
  return writeFact(ctx, async (fact) => {
    const checked = await checkInput(fact, input);
    if (!checked.ok) return checked;
    const contentId = input.content_id ?? `content_${ulid(ctx.clock.nowMs())}`;
    const clash = await findClash(fact.trx, contentId, input.canonical_url);
    return clash === undefined
      ? createItem(fact, contentId, input)
      : reviseItem(fact, clash, { ...input, content_id: input.content_id ?? clash.content_id });
  });
}

async function checkInput(fact: Fact, input: DescribedContent): Promise<Result<true>> {
  const createdAt = parseInstant(input.created_at) ?? 0;
  if (createdAt > fact.now + MAX_FUTURE_SECONDS)
    return refuse(
      "input_invalid",
      `created_at: expected not after ${formatInstant(fact.now)}, got ${input.created_at}`,
    );
  if ((await findCreator(fact.trx, input.creator_id)) === undefined)
    return refuse("not_found", `creator_id: there is no creator ${input.creator_id}`);
  const terms = await requireTerms(fact.trx, input.license ?? DEFAULT_LICENSE);
  return terms.ok ? checkLineage(fact, input.lineage ?? []) : terms;
}

/** Ancestors of our own must exist, and a withdrawn one holds its descendants back. */
async function checkLineage(fact: Fact, lineage: readonly string[]): Promise<Result<true>> {
  for (const ancestor of lineage) {
    const [kind, id] = [ancestor.slice(0, ancestor.indexOf(":")), ancestor.slice(ancestor.indexOf(":") + 1)];
    if (kind === "content") {
      const row = await findContent(fact.trx, id);
      if (row === undefined) return refuse("lineage_unknown", `lineage: there is no content ${id}`);
      if (row.withdrawn_at !== null) return refuse("item_withdrawn", `lineage: the ancestor ${id} was withdrawn`);
    }
    if (kind === "dataset" && !(await hasHappened(fact.trx, "dataset.published", id)))
      return refuse("lineage_unknown", `lineage: there is no dataset ${id}`);
  }
  return accept(true);
}

async function createItem(fact: Fact, contentId: string, input: DescribedContent): Promise<Result<Registration>> {
  const place = await allocateStatus(fact);
  const record = recordFor(input, {
    content_id: contentId,
    revision: 1,
    registered_at: formatInstant(fact.now),
    status: statusReference(fact.ctx.origin, place),
  });
  const row: ContentRow = {
    content_id: contentId,
    creator_id: input.creator_id,
    canonical_url: input.canonical_url,
    sha256: input.sha256,
    mime_type: input.mime_type,
    registered_at: fact.now,
    revision: 1,
    ...place,
    withdrawn_at: null,
    suspended_at: null,
    record: canonicalize(record),
  };
  await insertContent(fact.trx, row);
  await insertRevision(fact.trx, {
    content_id: contentId,
    revision: 1,
    sha256: input.sha256,
    record: row.record,
    registered_at: fact.now,
  });
  fact.record({
    type: "content.registered",
    aggregate: contentId,
    body: { content_id: contentId, creator_id: input.creator_id, sha256: input.sha256 },
  });
  return accept({ status: "created", item: contentView(row) });
}

async function reviseItem(fact: Fact, held: ContentRow, input: DescribedContent): Promise<Result<Registration>> {
  if (held.content_id !== input.content_id || held.canonical_url !== input.canonical_url) {
    return refuse(
      "already_exists",
      `${held.content_id} is registered at ${held.canonical_url}; expected the same id and URL, got ${input.content_id} at ${input.canonical_url}`,
    );
  }
  if (held.creator_id !== input.creator_id)
    return refuse("conflict", `${held.content_id} belongs to ${held.creator_id}, not to ${input.creator_id}`);
  if (held.withdrawn_at !== null)
    return refuse("item_withdrawn", `${held.content_id} was withdrawn at ${formatInstant(held.withdrawn_at)}`);
  if (input.lineage?.includes(`content:${held.content_id}`) === true)
    return refuse("input_invalid", `lineage: expected ancestors, got ${held.content_id} itself`);
  const before = recordOf(held);
  const kept = { content_id: held.content_id, status: before["status"] ?? null };
  const salt = typeof before["salt"] === "string" ? before["salt"] : undefined;
  const unchanged = recordFor(
    input,
    { ...kept, revision: held.revision, registered_at: before["registered_at"] ?? null },
    salt,
  );
  if (canonicalize(unchanged) === held.record) return accept({ status: "unchanged", item: contentView(held) });

  const isSameBytes = held.sha256 === input.sha256;
  const revision = held.revision + 1;
  const registered_at = isSameBytes ? held.registered_at : fact.now;
  const record = canonicalize(recordFor(input, { ...kept, revision, registered_at: formatInstant(registered_at) }));
  const changes = { sha256: input.sha256, mime_type: input.mime_type, revision, record, registered_at };
  await updateContent(fact.trx, held.content_id, changes);
  await insertRevision(fact.trx, {
    content_id: held.content_id,
    revision,
    sha256: input.sha256,
    record,
    registered_at: fact.now,
  });
  fact.record({
    type: "content.revised",
    aggregate: held.content_id,
    body: { content_id: held.content_id, creator_id: held.creator_id, revision, sha256: input.sha256 },
  });
  return accept({ status: "revised", item: contentView({ ...held, ...changes }) });
}

/** The record as datasets pin it. `length_seconds` is rounded up, `length_ms` exact. */
function recordFor(
  input: DescribedContent,
  added: JsonObject,
  salt = encodeBase64url(randomBytes(SALT_BYTES)),
): JsonObject {
  const { size_bytes, length_ms, token_count, p_hash, p_hash_alg } = input;
  return {
    ...added,
    creator_id: input.creator_id,
    canonical_url: input.canonical_url,
    sha256: input.sha256,
    mime_type: input.mime_type,
    created_at: input.created_at,
    license: input.license ?? DEFAULT_LICENSE,
    lineage: input.lineage ?? [],
    salt,
    ...(size_bytes === undefined ? {} : { size_bytes }),
    ...(token_count === undefined ? {} : { token_count }),
    ...(length_ms === undefined ? {} : { length_ms, length_seconds: Math.ceil(length_ms / 1_000) }),
    ...(p_hash === undefined || p_hash_alg === undefined ? {} : { p_hash, p_hash_alg }),
  };
}

export function contentView(row: ContentRow): ContentView {
  const { content_id, creator_id, canonical_url, sha256, mime_type, revision } = row;
  return {
    ...recordOf(row),
    content_id,
    creator_id,
    canonical_url,
    sha256,
    mime_type,
    revision,
    registered_at: formatInstant(row.registered_at),
    state: stateOf(row),
  };
}

function stateOf({ withdrawn_at, suspended_at }: ContentRow): ContentView["state"] {
  if (withdrawn_at !== null) return "withdrawn";
  return suspended_at === null ? "standing" : "suspended";
}
