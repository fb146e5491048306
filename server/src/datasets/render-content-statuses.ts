import {
  type JsonObject,
  MAX_CONTENT_GRANTS,
  type Result,
  accept,
  cacheTags,
  formatInstant,
  modalityOf,
  normaliseContentUrl,
  sha256Hex,
} from "@licet/protocol";
import { type ContentRow, readContentById } from "../content/lookup.ts";
import type { Context } from "../context.ts";
import { readOwnJson } from "../db/own-json.ts";
import type { Trx } from "../db/open-database.ts";
import { documentPaths } from "../documents/document-paths.ts";
import type { DocumentContent } from "../documents/render-document.ts";
import { findEvent } from "../events/store.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { statusReference } from "../status-lists/allocate-status.ts";
import {
  type HoldingRow,
  type StatusOrder,
  type WorkAddress,
  advanceOrder,
  claimOrder,
  finishOrder,
  hasContentStatus,
  lockOrder,
  orderStatuses,
  readHoldings,
  readWorksAt,
  readWorksOf,
  releaseOrder,
  saveAddresses,
} from "./content-status-store.ts";

/** Works in one transaction: whoever signs or revokes meanwhile waits for one step at most. */
const STEP = 100;
/** Longer than a step can take; should this process die, another one goes on after it. */
const LEASE_MS = 60_000;
/** An order that cannot be rendered now waits for as long, and the others go on. */
const PAUSE_MS = 5_000;

/** After a publication, has the content status of every work rendered; after a revision, renders the work's at once. */
export async function followWithStatuses(ctx: Context, eventId: string): Promise<void> {
  const event = await findEvent(ctx.db, eventId);
  if (event?.type === "dataset.published") await orderStatuses(ctx.db, event.aggregate, ctx.clock.nowMs());
  if (event?.type !== "content.revised" || !(await hasContentStatus(ctx.db, event.aggregate))) return;
  await writeFact(ctx, async (fact) => {
    await publishStatuses(fact, [event.aggregate]);
    return accept(undefined);
  });
}

/**
 * Renders what was ordered, step by step: each is committed with how far it is, so that a crash loses
 * no more than one. Servers that do it at once take different datasets. Between two steps it rests
 * for as long as the last one took, so that it never takes more than half of a processor. Throws, once
 * it went on with the others, when some could not be rendered.
 */
export async function renderOrderedStatuses(ctx: Context, signal: AbortSignal): Promise<void> {
  let failed = 0;
  while (!signal.aborted) {
    const nowMs = ctx.clock.nowMs();
    const order = await claimOrder(ctx.db, { nowMs, leaseUntilMs: nowMs + LEASE_MS });
    if (order === undefined) break;
    if (!(await renderOrder(ctx, order, signal))) failed += 1;
  }
  if (failed > 0) throw new Error(`the content statuses of ${failed} datasets were not rendered`);
}

/** Answers false when a step failed: then the order waits, and comes again. */
async function renderOrder(ctx: Context, claimed: StatusOrder, signal: AbortSignal): Promise<boolean> {
  let order: StatusOrder | undefined = claimed;
  while (order !== undefined) {
    const step: StatusOrder = order;
    if (signal.aborted) {
      await releaseOrder(ctx.db, step);
      return true;
    }
    const startedMs = performance.now();
    try {
      const next: Result<StatusOrder | undefined> = await writeFact(ctx, (fact) => renderStep(fact, step));
      order = next.ok ? next.value : undefined;
    } catch (error) {
      const { dataset_id } = step;
      ctx.log.error({ dataset_id, error: String(error) }, "content statuses were not rendered and will be tried again");
      await releaseOrder(ctx.db, step, ctx.clock.nowMs() + PAUSE_MS);
      return false;
    } finally {
      const tookMs = performance.now() - startedMs;
      await new Promise((resolve) => setTimeout(resolve, tookMs));
    }
  }
  return true;
}

/** Answers the order as it goes on; undefined when it is done, or no longer ours. */
async function renderStep(fact: Fact, order: StatusOrder): Promise<Result<StatusOrder | undefined>> {
  if (!(await lockOrder(fact.trx, order))) return accept(undefined);
  const { dataset_id, after_content_id: after } = order;
  const works = await readWorksOf(fact.trx, dataset_id, { after, limit: STEP });
  await publishStatuses(fact, works);
  const last = works.at(-1);
  if (last === undefined || works.length < STEP) {
    await finishOrder(fact.trx, dataset_id);
    return accept(undefined);
  }
  const next = { ...order, after_content_id: last, lease_until_ms: fact.ctx.clock.nowMs() + LEASE_MS };
  await advanceOrder(fact.trx, next);
  return accept(next);
}

/** Has the content statuses of works rendered in this fact. A work whose address is none for the web has none. */
async function publishStatuses(fact: Fact, contentIds: readonly string[]): Promise<void> {
  const addresses = (await readContentById(fact.trx, contentIds)).flatMap((row) => addressOf(row));
  await saveAddresses(fact.trx, addresses);
  const urls = new Map(addresses.map(({ url, url_sha256 }) => [url_sha256, url]));
  let rendered: Promise<ReadonlyMap<string, JsonObject>> | undefined;
  for (const [url_sha256, url] of urls)
    fact.publish(documentPaths.contentStatus(url), async (trx): Promise<DocumentContent> => {
      // All at once, when the documents are locked: what is read from here on is still so at the commit.
      rendered ??= contentsAt(fact.ctx, trx, [...urls.keys()]);
      const content = (await rendered).get(url_sha256);
      if (content === undefined) throw new TypeError(`expected a work at ${url}`);
      return { kind: "content-status", content, tags: [cacheTags.all] };
    });
}

function addressOf({ content_id, canonical_url }: ContentRow): readonly WorkAddress[] {
  const url = normaliseContentUrl(canonical_url);
  return url.ok ? [{ content_id, url: url.value, url_sha256: sha256Hex(url.value) }] : [];
}

/** What the content status of each address says. */
async function contentsAt(
  ctx: Context,
  trx: Trx,
  urlSha256s: readonly string[],
): Promise<ReadonlyMap<string, JsonObject>> {
  const addresses = await readWorksAt(trx, urlSha256s);
  const contentIds = addresses.map((address) => address.content_id);
  const works = new Map((await readContentById(trx, contentIds)).map((row) => [row.content_id, row]));
  const holdings = Map.groupBy(await readHoldings(trx, contentIds), (holding) => holding.content_id);
  return new Map(
    [...Map.groupBy(addresses, (address) => address.url_sha256)].flatMap(([urlSha256, there]) => {
      const work = works.get(there[0]?.content_id ?? "");
      if (work === undefined) return [];
      if (there.length > 1) ctx.log.warn({ content_ids: there.map((at) => at.content_id) }, TWO_WORKS);
      const holding = there.length > 1 ? [] : (holdings.get(work.content_id) ?? []);
      return [[urlSha256, contentOf(ctx, { work, url: there[0]?.url ?? "", urlSha256, holding })] as const];
    }),
  );
}

/** The edge could not tell which of them a license is for, nor whose opt-out counts: so none opens it. */
const TWO_WORKS = "works are registered at two spellings of one address, which therefore grants nothing";

interface Described {
  readonly work: ContentRow;
  readonly url: string;
  readonly urlSha256: string;
  readonly holding: readonly HoldingRow[];
}

function contentOf({ origin }: Context, { work, url, urlSha256, holding }: Described): JsonObject {
  const modality = modalityOf(work.mime_type);
  return {
    url,
    url_sha256: urlSha256,
    content_id: work.content_id,
    ...(modality === undefined ? {} : { modality }),
    status: statusReference(origin, work),
    grants: holding.slice(0, MAX_CONTENT_GRANTS).map((row) => ({
      dataset_id: row.dataset_id,
      version: row.version,
      scope: readOwnJson(row.offer, `the scope of ${row.dataset_id}`)["scope"] ?? [],
      jti: row.jti,
      expires_at: formatInstant(row.consent_expires_at),
      dataset_status: statusReference(origin, { status_list: row.dataset_list, status_idx: row.dataset_idx }),
      consent_status: statusReference(origin, { status_list: row.consent_list, status_idx: row.consent_idx }),
    })),
  };
}
