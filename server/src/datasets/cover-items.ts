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
import { type ConsentRow, lockActiveConsentsOf } from "../consents/lookup.ts";
import { type ContentRow, lockContent, recordOf } from "../content/lookup.ts";
import { readCreatorKeys } from "../creators/lookup.ts";
import type { Trx } from "../db/open-database.ts";
import { readPlatformKeys } from "../keys/find-key.ts";
import { audienceRefusal } from "./check-audiences.ts";
import type { ItemReference } from "./dataset-input.ts";
import { readOffers } from "./offer-store.ts";
import { readCurrentJtis } from "./store.ts";

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

/**
 * Finds the one consent that covers each work. Locks the creators' active consents, then the works,
 * for sharing, so that what is covered here still is when the dataset commits.
 *
 * Refuses `items_not_covered` with every work that is not covered and why.
 */
export async function coverItems(
  trx: Trx,
  references: readonly ItemReference[],
  { offer, now }: Coverage,
): Promise<Result<readonly CoveredItem[]>> {
  const ids = references.map((reference) => reference.content_id);
  const creatorIds = [...new Set((await readCreatorIds(trx, ids)).values())];
  const consents = Map.groupBy(
    (await lockActiveConsentsOf(trx, creatorIds)).filter((row) => row.expires_at > now).map(candidateOf),
    (candidate) => candidate.creatorId,
  );
  const works = new Map((await lockContent(trx, ids, "share")).map((row) => [row.content_id, row]));
  const surroundings: Surroundings = {
    offer,
    offeredTo: (await readOffers(trx, offer.datasetId)).map((row) => row.marketplace_id),
    currentJtis: await readCurrentJtis(trx, offer.datasetId),
    heldBack: await readHeldBack(trx, [...works.values()]),
    publicKeys: await readPublicKeys(trx, creatorIds),
  };

  const covered: CoveredItem[] = [];
  const offences: Offence[] = [];
  const seen = new Set<string>();
  for (const reference of references) {
    const work = works.get(reference.content_id);
    const candidates = consents.get(work?.creator_id ?? "") ?? [];
    const item = seen.has(reference.content_id)
      ? refuse("conflict", `${reference.content_id} is listed twice`)
      : coverItem({ reference, work, candidates }, surroundings);
    seen.add(reference.content_id);
    if (item.ok) covered.push(item.value);
    else offences.push({ at: reference.content_id, code: item.refusal.code, detail: item.refusal.detail });
  }
  return offences.length === 0
    ? accept(covered)
    : refuse(
        "items_not_covered",
        `${offences.length} of ${references.length} works cannot be in the dataset`,
        offences,
      );
}

/** What is the same for every work of the dataset. */
interface Surroundings {
  readonly offer: DatasetOffer;
  /** Marketplaces that will read this version, because the dataset is offered to them already. */
  readonly offeredTo: readonly string[];
  readonly currentJtis: ReadonlyMap<string, string>;
  /** Works that a withdrawn ancestor holds back, and which one it is. */
  readonly heldBack: ReadonlyMap<string, string>;
  /** In PEM, by kid. */
  readonly publicKeys: ReadonlyMap<string, string>;
}

interface ItemParts {
  readonly reference: ItemReference;
  readonly work: ContentRow | undefined;
  readonly candidates: readonly Candidate[];
}

function coverItem({ reference, work, candidates }: ItemParts, surroundings: Surroundings): Result<CoveredItem> {
  if (work === undefined) return refuse("not_found", `there is no content ${reference.content_id}`);
  if (work.withdrawn_at !== null)
    return refuse("item_withdrawn", `${work.content_id} was withdrawn at ${formatInstant(work.withdrawn_at)}`);
  const record = recordOf(work);
  const same = checkSameAsRegistered(reference, { ...record, state: "standing" });
  if (!same.ok) return same;
  const ancestor = surroundings.heldBack.get(work.content_id);
  if (ancestor !== undefined)
    return refuse("item_withdrawn", `${work.content_id} descends from ${ancestor}, which was withdrawn`);
  const candidate = findCover(work, candidates, surroundings);
  if (!candidate.ok) return candidate;
  const { row, claims } = candidate.value;
  const publicKey = surroundings.publicKeys.get(row.kid) ?? "";
  if ((reference[KEY_MEMBER] ?? publicKey) !== publicKey)
    return refuse("conflict", `${KEY_MEMBER}: expected the key that ${row.jti} was signed with, got another`);
  return accept({ content: work, record, consent: row, claims, publicKey });
}

/**
 * The first consent that covers, and before all others the one the work stands on now: a consent
 * that is given later does not make the same content another version. Otherwise what is wrong with
 * the one that comes closest.
 */
function findCover(
  work: ContentRow,
  candidates: readonly Candidate[],
  { offer, offeredTo, currentJtis }: Surroundings,
): Result<Candidate> {
  const described = {
    content_id: work.content_id,
    creator_id: work.creator_id,
    mime_type: work.mime_type,
    registered_at: formatInstant(work.registered_at),
  };
  const current = currentJtis.get(work.content_id);
  let found: Candidate | undefined;
  let closest: Refusal | undefined;
  for (const candidate of candidates) {
    const covers = checkCoverage(candidate, described, offer);
    const refusal = covers.ok ? audienceRefusal(candidate.claims, offeredTo) : covers.refusal;
    if (refusal === undefined && (found === undefined || candidate.row.jti === current)) found = candidate;
    if (refusal !== undefined && (closest === undefined || closest.code === "subject_other_work")) closest = refusal;
  }
  if (found !== undefined) return accept(found);
  return closest === undefined || closest.code === "subject_other_work"
    ? refuse("no_consent", `${work.creator_id} has given no consent that is about ${work.content_id}`)
    : { ok: false, refusal: closest };
}

/** Not registered with the work: it follows from the consent that covers it. */
const KEY_MEMBER = "creator_public_key";

/** A request may repeat what is registered, and must then repeat it exactly. */
function checkSameAsRegistered(reference: ItemReference, record: JsonObject): Result<true> {
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
  const claims: ConsentClaims = JSON.parse(row.claims);
  return { row, claims, creatorId: row.creator_id };
}

async function readCreatorIds(trx: Trx, contentIds: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const rows = await lockContent(trx, contentIds, "none");
  return new Map(rows.map((row) => [row.content_id, row.creator_id]));
}

function ancestorsOf(record: JsonObject): readonly string[] {
  const { lineage } = record;
  if (!Array.isArray(lineage)) return [];
  return lineage.flatMap((entry) =>
    typeof entry === "string" && entry.startsWith("content:") ? [entry.slice("content:".length)] : [],
  );
}

/** Consents are signed with their creators' keys, or with the platform's. */
async function readPublicKeys(trx: Trx, creatorIds: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const creatorKeys = (await readCreatorKeys(trx, creatorIds)).map((row): [string, PublicJwk] => [
    row.kid,
    JSON.parse(row.public_jwk),
  ]);
  const platformKeys = (await readPlatformKeys(trx)).map((key): [string, PublicJwk] => [key.kid, key.jwk]);
  return new Map([...creatorKeys, ...platformKeys].map(([kid, jwk]) => [kid, publicKeyPem(jwk)]));
}

/** Generations that are looked at; a lineage that goes back further, or in a circle, ends there. */
const MAX_GENERATIONS = 64;

/** The works whose lineage, however far back, leads to one that was withdrawn: it holds them back until somebody decides. */
async function readHeldBack(trx: Trx, works: readonly ContentRow[]): Promise<ReadonlyMap<string, string>> {
  const parents = new Map<string, readonly string[]>(
    works.map((work) => [work.content_id, ancestorsOf(recordOf(work))]),
  );
  const withdrawn = new Set<string>();
  let next = [...parents.values()].flat();
  for (let generation = 0; next.length > 0 && generation < MAX_GENERATIONS; generation += 1) {
    const rows = await lockContent(trx, [...new Set(next)], "share");
    for (const row of rows) {
      parents.set(row.content_id, ancestorsOf(recordOf(row)));
      if (row.withdrawn_at !== null) withdrawn.add(row.content_id);
    }
    next = rows.flatMap((row) => parents.get(row.content_id) ?? []).filter((id) => !parents.has(id));
  }
  return new Map(
    works.flatMap(({ content_id }) => {
      const culprit = withdrawn.size === 0 ? undefined : findAncestor(content_id, parents, withdrawn);
      return culprit === undefined ? [] : [[content_id, culprit] as const];
    }),
  );
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
