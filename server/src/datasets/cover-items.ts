import {
  type ConsentClaims,
  type DatasetOffer,
  type JsonObject,
  type Offence,
  type PublicJwk,
  type Refusal,
  type Result,
  type StandingConsent,
  accept,
  canonicalize,
  checkCoverage,
  formatInstant,
  parseJsonObject,
  publicKeyPem,
  refuse,
} from "@licet/protocol";
import { setImmediate as pause } from "node:timers/promises";
import { type ConsentRow, claimsOf, readConsentsAbout } from "../consents/lookup.ts";
import { type ContentRow, readContentById, recordOf } from "../content/lookup.ts";
import { readCreatorKeys } from "../creators/lookup.ts";
import type { Db } from "../db/open-database.ts";
import { readPlatformKeys } from "../keys/find-key.ts";
import { audienceRefusal } from "./check-audiences.ts";
import type { ItemReference } from "./dataset-input.ts";
import { readOffers } from "./offer-store.ts";
import { readCurrentJtis } from "./version-store.ts";

/** A work and the one consent that covers it for everything the dataset offers. */
export interface CoveredItem {
  readonly content: ContentRow;
  readonly record: JsonObject;
  readonly consent: ConsentRow;
  readonly claims: ConsentClaims;
  /** The public key the consent was signed with, in PEM. */
  readonly publicKey: string;
}

interface Candidate extends StandingConsent {
  readonly row: ConsentRow;
}

export interface Coverage {
  readonly offer: DatasetOffer;
  /** Seconds since the epoch. */
  readonly now: number;
}

/** The works of a dataset, each with the consent that covers it, and what that rests on beside them. */
export interface Covered {
  readonly items: readonly CoveredItem[];
  /** Works that are no part of it but that hold it back should they fall. */
  readonly ancestorIds: readonly string[];
  /** Marketplaces that will read this version, because the dataset is offered to them already. */
  readonly offeredTo: readonly string[];
}

/** Works that are looked at between two pauses, in which others have their turn. */
const BATCH = 200;

/**
 * Finds the one consent that covers each work. It locks nothing and pauses often: what is found is
 * checked once more, under locks, when the version is committed.
 *
 * Refuses `items_not_covered` with every work that is not covered and why.
 */
export async function coverItems(
  db: Db,
  references: readonly ItemReference[],
  { offer, now }: Coverage,
): Promise<Result<Covered>> {
  const offeredTo = (await readOffers(db, offer.datasetId)).map((row) => row.marketplace_id);
  const ancestors = new Set<string>();
  const items: CoveredItem[] = [];
  const offences: Offence[] = [];
  const seen = new Set<string>();
  for (let at = 0; at < references.length; at += BATCH) {
    const batch = references.slice(at, at + BATCH);
    const surroundings = await readSurroundings(db, batch, { offer, now, offeredTo });
    for (const id of surroundings.ancestorIds) ancestors.add(id);
    for (const reference of batch) {
      const item = seen.has(reference.content_id)
        ? refuse("conflict", `${reference.content_id} is listed twice`)
        : coverItem(reference, surroundings);
      seen.add(reference.content_id);
      if (item.ok) items.push(item.value);
      else offences.push({ at: reference.content_id, code: item.refusal.code, detail: item.refusal.detail });
    }
    await pause();
  }
  return offences.length === 0
    ? accept({ items, ancestorIds: [...ancestors], offeredTo })
    : refuse(
        "items_not_covered",
        `${offences.length} of ${references.length} works cannot be in the dataset`,
        offences,
      );
}

interface Work {
  readonly row: ContentRow;
  readonly record: JsonObject;
}

/** What the works of a batch are judged by. */
interface Surroundings {
  readonly offer: DatasetOffer;
  readonly offeredTo: readonly string[];
  readonly works: ReadonlyMap<string, Work>;
  /** By their subjects. */
  readonly consents: ReadonlyMap<string, readonly Candidate[]>;
  readonly currentJtis: ReadonlyMap<string, string>;
  /** Works that an ancestor holds back, and which one it is. */
  readonly heldBack: ReadonlyMap<string, string>;
  readonly ancestorIds: readonly string[];
  /** In PEM, by kid. */
  readonly publicKeys: ReadonlyMap<string, string>;
}

async function readSurroundings(
  db: Db,
  references: readonly ItemReference[],
  { offer, now, offeredTo }: Coverage & { readonly offeredTo: readonly string[] },
): Promise<Surroundings> {
  const contentIds = references.map((reference) => reference.content_id);
  const works = (await readContentById(db, contentIds)).map((row) => ({ row, record: recordOf(row) }));
  const creatorIds = [...new Set(works.map(({ row }) => row.creator_id))];
  const consents = await readConsentsAbout(db, { creatorIds, contentIds, datasetId: offer.datasetId });
  const lineage = await readLineage(db, works);
  return {
    offer,
    offeredTo,
    works: new Map(works.map((work) => [work.row.content_id, work])),
    consents: Map.groupBy(consents.filter((row) => row.expires_at > now).map(candidateOf), (held) => held.row.subject),
    currentJtis: await readCurrentJtis(db, offer.datasetId, contentIds),
    heldBack: lineage.heldBack,
    ancestorIds: lineage.ancestorIds,
    publicKeys: await readPublicKeys(db, creatorIds),
  };
}

function coverItem(reference: ItemReference, surroundings: Surroundings): Result<CoveredItem> {
  const work = surroundings.works.get(reference.content_id);
  if (work === undefined) return refuse("not_found", `there is no content ${reference.content_id}`);
  const { row: content, record } = work;
  const standing = checkStanding(content);
  if (!standing.ok) return standing;
  const same = checkSameAsRegistered(reference, { ...record, state: "standing" });
  if (!same.ok) return same;
  const ancestor = surroundings.heldBack.get(content.content_id);
  if (ancestor !== undefined)
    return refuse(
      "item_withdrawn",
      `${content.content_id} descends from ${ancestor}, which was withdrawn or suspended`,
    );
  const candidate = findCover(content, surroundings);
  if (!candidate.ok) return candidate;
  const { row, claims } = candidate.value;
  const publicKey = surroundings.publicKeys.get(row.kid) ?? "";
  if ((reference[KEY_MEMBER] ?? publicKey) !== publicKey)
    return refuse("conflict", `${KEY_MEMBER}: expected the key that ${row.jti} was signed with, got another`);
  return accept({ content, record, consent: row, claims, publicKey });
}

function checkStanding({ content_id, withdrawn_at, suspended_at }: ContentRow): Result<true> {
  if (withdrawn_at !== null)
    return refuse("item_withdrawn", `${content_id} was withdrawn at ${formatInstant(withdrawn_at)}`);
  if (suspended_at !== null)
    return refuse("item_suspended", `${content_id} is suspended since ${formatInstant(suspended_at)}`);
  return accept(true);
}

/**
 * The consent the work stands on now, if it still covers: a consent that is given later does not
 * make the same content another version. Otherwise the first that covers, the ones for this very
 * work before wider ones. Otherwise what is wrong with the one that comes closest.
 */
function findCover(work: ContentRow, surroundings: Surroundings): Result<Candidate> {
  const { offer, offeredTo, currentJtis, consents } = surroundings;
  const described = {
    content_id: work.content_id,
    creator_id: work.creator_id,
    mime_type: work.mime_type,
    registered_at: formatInstant(work.registered_at),
  };
  const about = [`content:${work.content_id}`, `creator:${work.creator_id}`, `dataset:${offer.datasetId}`];
  const candidates = about.flatMap((subject) => consents.get(subject) ?? []);
  const current = candidates.find((candidate) => candidate.row.jti === currentJtis.get(work.content_id));
  let closest: Refusal | undefined;
  for (const candidate of current === undefined ? candidates : [current, ...candidates]) {
    const covers = checkCoverage(candidate, described, offer);
    const refusal = covers.ok ? whyNotNow(candidate, offeredTo) : covers.refusal;
    if (refusal === undefined) return accept(candidate);
    if (closest === undefined || closest.code === "subject_other_work") closest = refusal;
  }
  return closest === undefined || closest.code === "subject_other_work"
    ? refuse("no_consent", `${work.creator_id} has given no consent that is about ${work.content_id}`)
    : { ok: false, refusal: closest };
}

/** What speaks against a consent although it covers; undefined when nothing does. */
function whyNotNow({ row, claims }: Candidate, offeredTo: readonly string[]): Refusal | undefined {
  return row.state === "suspended"
    ? { code: "consent_suspended", detail: `${row.jti} would cover it and is suspended` }
    : audienceRefusal(claims, offeredTo);
}

/** Not registered with the work: it follows from the consent that covers it. */
const KEY_MEMBER = "creator_public_key";

/** A request may repeat what is registered, and must then repeat it exactly. */
function checkSameAsRegistered(reference: ItemReference, record: JsonObject): Result<true> {
  if (Object.keys(reference).length === 1) return accept(true);
  const given = parseJsonObject(JSON.stringify(reference));
  if (!given.ok) return given;
  const different = Object.entries(given.value).find(
    ([member, value]) => member !== KEY_MEMBER && canonicalize(value) !== canonicalize(record[member] ?? null),
  );
  if (different === undefined) return accept(true);
  const [member, value] = different;
  return refuse(
    "conflict",
    `${member}: expected ${canonicalize(record[member] ?? null)} as registered, got ${canonicalize(value)}`,
  );
}

function candidateOf(row: ConsentRow): Candidate {
  return { row, claims: claimsOf(row), creatorId: row.creator_id };
}

function ancestorsOf(record: JsonObject): readonly string[] {
  const { lineage } = record;
  if (!Array.isArray(lineage)) return [];
  return lineage.flatMap((entry) =>
    typeof entry === "string" && entry.startsWith("content:") ? [entry.slice("content:".length)] : [],
  );
}

/** Consents are signed with their creators' keys, or with the platform's. */
async function readPublicKeys(db: Db, creatorIds: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const creatorKeys = (await readCreatorKeys(db, creatorIds)).map((row): [string, PublicJwk] => [
    row.kid,
    JSON.parse(row.public_jwk),
  ]);
  const platformKeys = (await readPlatformKeys(db)).map((key): [string, PublicJwk] => [key.kid, key.jwk]);
  return new Map([...creatorKeys, ...platformKeys].map(([kid, jwk]) => [kid, publicKeyPem(jwk)]));
}

/** Generations that are looked at; a lineage that goes back further, or in a circle, ends there. */
const MAX_GENERATIONS = 64;

/** The works whose lineage, however far back, leads to one that was withdrawn or is suspended: it holds them back until somebody decides. */
async function readLineage(
  db: Db,
  works: readonly Work[],
): Promise<{ readonly heldBack: ReadonlyMap<string, string>; readonly ancestorIds: readonly string[] }> {
  const parents = new Map<string, readonly string[]>(
    works.map((work) => [work.row.content_id, ancestorsOf(work.record)]),
  );
  const fallen = new Set<string>();
  const ancestors = new Set<string>();
  let next = [...parents.values()].flat();
  for (let generation = 0; next.length > 0 && generation < MAX_GENERATIONS; generation += 1) {
    const rows = await readContentById(db, [...new Set(next)]);
    for (const row of rows) {
      ancestors.add(row.content_id);
      parents.set(row.content_id, ancestorsOf(recordOf(row)));
      if (row.withdrawn_at !== null || row.suspended_at !== null) fallen.add(row.content_id);
    }
    next = rows.flatMap((row) => parents.get(row.content_id) ?? []).filter((id) => !parents.has(id));
  }
  const heldBack = works.flatMap(({ row: { content_id } }) => {
    const culprit = fallen.size === 0 ? undefined : findAncestor(content_id, parents, fallen);
    return culprit === undefined ? [] : [[content_id, culprit] as const];
  });
  return { heldBack: new Map(heldBack), ancestorIds: [...ancestors] };
}

function findAncestor(
  contentId: string,
  parents: ReadonlyMap<string, readonly string[]>,
  wanted: ReadonlySet<string>,
): string | undefined {
  const seen = new Set<string>();
  const waiting = [...(parents.get(contentId) ?? [])];
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    if (wanted.has(id)) return id;
    if (!seen.has(id)) waiting.push(...(parents.get(id) ?? []));
    seen.add(id);
  }
  return undefined;
}
