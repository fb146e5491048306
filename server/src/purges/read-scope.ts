import { cacheTags, parseSubject } from "@licet/protocol";
import { findConsent } from "../consents/lookup.ts";
import { readAddresses, readContentById } from "../content/lookup.ts";
import type { Context } from "../context.ts";
import { findDataset, readWorksOfConsent } from "../datasets/lookup.ts";
import { documentPaths } from "../documents/document-paths.ts";
import type { EventType } from "../events/event-jobs.ts";
import type { StoredEvent } from "../events/store.ts";
import { findLicense } from "../licenses/lookup.ts";
import { readListNumbers } from "../status-lists/lookup.ts";
import type { Items } from "./build-calls.ts";

/** Works of one event that are purged one by one; of more, everything that holds a work is. */
const MAX_WORKS = 10_000;

type Work = Awaited<ReturnType<typeof readAddresses>>[number];
type ReadScope = (ctx: Pick<Context, "db">, event: StoredEvent) => Promise<Items>;

const NOTHING: Items = { tags: [], urls: [], paths: [] };

/** What each event makes stale: the documents that say it, the works that it is about, and what edges hold of it. */
const SCOPES: Partial<Record<EventType, ReadScope>> = {
  "consent.revoked": scopeOfConsent,
  "consent.suspended": scopeOfConsent,
  "consent.expired": scopeOfConsent,
  "content.withdrawn": scopeOfContent,
  "content.suspended": scopeOfContent,
  "dataset.suspended": scopeOfDataset,
  "dataset.withdrawn": scopeOfDataset,
  "dataset.published": async (_ctx, event) =>
    event.body["version"] === 1
      ? NOTHING
      : { ...NOTHING, tags: [cacheTags.signals, cacheTags.dataset(event.aggregate)] },
  "license.revoked": scopeOfLicense,
  "license.expired": scopeOfLicense,
  "key.revoked": async (ctx) => ({
    tags: [cacheTags.all],
    urls: [],
    paths: [documentPaths.keySet, ...(await readListNumbers(ctx.db)).map(documentPaths.statusList)],
  }),
};

/** What is to be thrown out for an event. */
export async function readScope(ctx: Pick<Context, "db">, event: StoredEvent): Promise<Items> {
  const read = Object.entries(SCOPES).find(([type]) => type === event.type)?.[1];
  return read === undefined ? NOTHING : read(ctx, event);
}

async function scopeOfConsent({ db }: Pick<Context, "db">, event: StoredEvent): Promise<Items> {
  const consent = await findConsent(db, event.aggregate);
  if (consent === undefined) return NOTHING;
  const { jti, creator_id: creatorId, subject } = consent;
  const about = parseSubject(subject);
  const works =
    about?.kind === "creator"
      ? await readAddresses(db, { creatorId }, MAX_WORKS + 1)
      : await readAddresses(
          db,
          {
            contentIds:
              about?.kind === "content" ? [about.id] : await readWorksOfConsent(db, { jti, creatorId }, MAX_WORKS + 1),
          },
          MAX_WORKS + 1,
        );
  return scopeOf({ works, datasetIds: datasetsOf(event), lists: [consent.status_list] });
}

async function scopeOfContent({ db }: Pick<Context, "db">, event: StoredEvent): Promise<Items> {
  const works = await readContentById(db, [event.aggregate]);
  return scopeOf({ works, datasetIds: datasetsOf(event), lists: works.map((work) => work.status_list) });
}

/** Its works stand as they stood: what holds them is not stale. */
async function scopeOfDataset({ db }: Pick<Context, "db">, event: StoredEvent): Promise<Items> {
  const dataset = await findDataset(db, event.aggregate);
  return dataset === undefined
    ? NOTHING
    : scopeOf({ works: [], datasetIds: [event.aggregate], lists: [dataset.status_list] });
}

async function scopeOfLicense({ db }: Pick<Context, "db">, event: StoredEvent): Promise<Items> {
  const license = await findLicense(db, event.aggregate);
  return license === undefined ? NOTHING : scopeOf({ works: [], datasetIds: [], lists: [license.status_list] });
}

interface Touched {
  readonly works: readonly Work[];
  readonly datasetIds: readonly string[];
  readonly lists: readonly number[];
}

function scopeOf({ works, datasetIds, lists }: Touched): Items {
  const documents = [
    cacheTags.revocations,
    ...(datasetIds.length > 0 ? [cacheTags.signals] : []),
    ...datasetIds.map(cacheTags.dataset),
  ];
  const paths = lists.map(documentPaths.statusList);
  if (works.length > MAX_WORKS) return { tags: [...documents, cacheTags.contents], urls: [], paths };
  return {
    tags: [...documents, ...works.map((work) => cacheTags.content(work.content_id))],
    urls: works.map((work) => work.canonical_url),
    paths,
  };
}

function datasetsOf({ body }: StoredEvent): readonly string[] {
  const { dataset_ids } = body;
  return Array.isArray(dataset_ids) ? dataset_ids.filter((id) => typeof id === "string") : [];
}
