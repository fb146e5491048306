import { type Offence, type Result, accept, canonicalize, formatInstant, isJsonObject, refuse } from "@licet/protocol";
import { setTimeout as sleep } from "node:timers/promises";
import type { Context } from "../context.ts";
import { nowSeconds } from "../context.ts";
import { readJsonBody } from "../http/api.ts";
import { attemptError } from "../jobs/attempt-error.ts";
import { readLicensedDatasets } from "../licenses/lookup.ts";
import { type MarketplaceRow, findMarketplace, platformTokenLabel, readAskable } from "../marketplaces/lookup.ts";
import { CHUNK, MAX_BATCH_BYTES } from "./accept-batch.ts";
import { acceptReceipts } from "./accept-receipts.ts";
import { type PullName, type PullRow, addPulls, claimPull, readDuePulls, readPullsOf, savePull } from "./pull-store.ts";
import { type KeptRefusal, readRefusals } from "./read-pulls.ts";

/** What a marketplace had for one dataset. */
export interface PullOutcome {
  readonly dataset_id: string;
  readonly accepted: number;
  readonly known: number;
  readonly refused: number;
  /** The first of the refused ones, each with its `receipt_id` if it has one. */
  readonly refusals: readonly Offence[];
  /** False when there is more, or when it failed. */
  readonly complete: boolean;
  readonly error?: string;
}

const NOTHING_PULLED = { accepted: 0, known: 0, refused: 0, refusals: [], complete: false } as const;
const PAGE = 1_000;
const PAGE_TIMEOUT_MS = 30_000;
/** One pull ends here, and the next one goes on. */
const MAX_PAGES = 50;
/** Refusals that an answer names, and that are kept of a dataset's receipts. */
const MAX_REFUSALS = 100;
const MAX_CURSOR_LENGTH = 256;
const MAX_NAME_LENGTH = 128;
const MAX_DETAIL_LENGTH = 500;
/** Taken anew with each page. Should this process die, another one goes on after it; should a page take longer, whoever took over has it. */
const LEASE_MS = 120_000;
/** Who asks for receipts while pulls of them are under way waits so often, and so long each time, for all of a marketplace's. */
const MAX_WAITS = 50;
const WAIT_MS = 100;
const UNDER_WAY = "another pull of these receipts is under way, or was cut off within the last two minutes";
const TAKEN_OVER = "it took so long that another pull took these receipts over";
/** Pulls at once, so that a marketplace that hangs does not keep the others waiting. */
const MAX_DUE = 10;
const DEFAULT_WAIT_SECONDS = 3_600;
const MAX_WAIT_SECONDS = 86_400;

/** Asks the marketplaces whose time has come. A server that stops ends it after the page it is at. */
export async function pullDueReceipts(ctx: Context, signal: AbortSignal): Promise<void> {
  if (ctx.config.money.receiptPullSeconds === undefined) return;
  const nowMs = ctx.clock.nowMs();
  const marketplaces = new Map((await readAskable(ctx.db)).map((row) => [row.marketplace_id, row]));
  if (marketplaces.size === 0) return;
  await addPulls(ctx.db, await readLicensedDatasets(ctx.db, [...marketplaces.keys()]), nowMs);
  const due = await readDuePulls(ctx.db, nowMs, MAX_DUE);
  const ended = await Promise.allSettled(
    due.map(async (name) => {
      const marketplace = marketplaces.get(name.marketplace_id);
      if (marketplace === undefined) return;
      const pull = await claimPull(ctx.db, name, { nowMs, leaseUntilMs: nowMs + LEASE_MS, onlyDue: true });
      if (pull !== undefined) await pullOne(ctx, marketplace, { pull, signal });
    }),
  );
  const reasons = ended.flatMap((end) => (end.status === "rejected" ? [String(end.reason)] : []));
  if (reasons.length > 0) throw new Error(reasons.join("; "));
}

/**
 * Asks a marketplace for its receipts now, whether or not its time has come, after a pull that is under
 * way. Refuses `not_found`, and `conflict` when it never said how it knows the platform.
 */
export async function pullReceipts(ctx: Context, marketplaceId: string): Promise<Result<readonly PullOutcome[]>> {
  const marketplace = await findMarketplace(ctx.db, marketplaceId);
  if (marketplace === undefined) return refuse("not_found", `there is no marketplace ${marketplaceId}`);
  if (marketplace.sealed_platform_token === null)
    return refuse("conflict", `${marketplaceId} was registered without a platform_token: it cannot be asked`);
  await addPulls(ctx.db, await readLicensedDatasets(ctx.db, [marketplaceId]), ctx.clock.nowMs());
  const outcomes: PullOutcome[] = [];
  const patience = { waits: MAX_WAITS };
  for (const name of await readPullsOf(ctx.db, marketplaceId)) {
    const pull = await claimInTurn(ctx, name, patience);
    outcomes.push(
      pull === undefined
        ? { ...NOTHING_PULLED, dataset_id: name.dataset_id, error: UNDER_WAY }
        : await pullOne(ctx, marketplace, { pull }),
    );
  }
  return accept(outcomes);
}

async function claimInTurn(ctx: Context, name: PullName, patience: { waits: number }): Promise<PullRow | undefined> {
  for (;;) {
    const nowMs = ctx.clock.nowMs();
    const pull = await claimPull(ctx.db, name, { nowMs, leaseUntilMs: nowMs + LEASE_MS, onlyDue: false });
    if (pull !== undefined || patience.waits === 0) return pull;
    patience.waits -= 1;
    await sleep(WAIT_MS);
  }
}

interface Pulling {
  readonly pull: PullRow;
  readonly signal?: AbortSignal | undefined;
}

/** Reads page after page from where the last pull ended, and writes down where it came to. */
async function pullOne(ctx: Context, marketplace: MarketplaceRow, { pull, signal }: Pulling): Promise<PullOutcome> {
  const { marketplace_id, dataset_id } = pull;
  const progress: Progress = { accepted: 0, known: 0, refused: 0, refusals: [], kept: keptOf(pull), held: pull };
  const read = await readPages(ctx, marketplace, { signal, progress }).catch((error: unknown) => {
    ctx.log.error({ marketplace_id, dataset_id, error: String(error) }, "a pull of receipts broke off");
    return refuse("internal", "it broke off here, not at the marketplace; the log says why");
  });
  const isKept = await saveEnd(ctx, progress, read);
  const error = read.ok ? undefined : attemptError(read.refusal.detail);
  if (error !== undefined) ctx.log.warn({ marketplace_id, dataset_id, error }, "receipts could not be pulled");
  const { accepted, known, refused, refusals } = progress;
  if (refused > 0)
    ctx.log.warn({ marketplace_id, dataset_id, refused, first: refusals[0] }, "pulled receipts were refused");
  return {
    dataset_id,
    accepted,
    known,
    refused,
    refusals,
    complete: read.ok && read.value && isKept,
    ...(error === undefined ? (isKept ? {} : { error: TAKEN_OVER }) : { error }),
  };
}

/** Writes down what came of a pull, and lets go of it; false when somebody else has it by now. */
async function saveEnd(ctx: Context, { held, kept }: Progress, read: Result<boolean>): Promise<boolean> {
  const failures = read.ok ? 0 : held.failures + 1;
  const isMore = read.ok && !read.value;
  const wait = Math.min(
    (ctx.config.money.receiptPullSeconds ?? DEFAULT_WAIT_SECONDS) * 2 ** failures,
    MAX_WAIT_SECONDS,
  );
  const saved = await savePull(ctx.db, held, {
    last_at: nowSeconds(ctx),
    last_error: read.ok ? null : attemptError(read.refusal.detail),
    failures,
    refusals: refusalsText(kept),
    next_at_ms: ctx.clock.nowMs() + (isMore ? 0 : wait * 1_000),
    lease_until_ms: 0,
  });
  return saved !== undefined;
}

/** What a pull has come to so far. */
interface Progress {
  accepted: number;
  known: number;
  refused: number;
  refusals: Offence[];
  /** What is refused by now, by what it is called; the newest last. */
  readonly kept: Map<string, KeptRefusal>;
  /** Its row, as it was written down last. */
  held: PullRow;
}

function keptOf(pull: PullRow): Map<string, KeptRefusal> {
  return new Map(readRefusals(pull).map((refusal) => [refusal.receipt_id, refusal]));
}

function refusalsText(kept: Progress["kept"]): string {
  return canonicalize([...kept.values()].slice(-MAX_REFUSALS).map((refusal) => ({ ...refusal })));
}

/** True when the marketplace had no more; its last page is read again next time, since it may have grown. */
async function readPages(
  ctx: Context,
  marketplace: MarketplaceRow,
  { signal, progress }: { readonly signal: AbortSignal | undefined; readonly progress: Progress },
): Promise<Result<boolean>> {
  for (let page = 0; page < MAX_PAGES; page += 1) {
    if (signal?.aborted === true) break;
    const { dataset_id: datasetId, cursor } = progress.held;
    const read = await readPage(ctx, marketplace, { datasetId, cursor });
    if (!read.ok) return read;
    const { receipts, next } = read.value;
    await acceptPage(ctx, marketplace.marketplace_id, { receipts, progress });
    if (next === null) return accept(true);
    if (next === cursor)
      return refuse("source_unavailable", `expected another cursor than the one that was sent, got ${next}`);
    const changes = {
      cursor: next,
      refusals: refusalsText(progress.kept),
      lease_until_ms: ctx.clock.nowMs() + LEASE_MS,
    };
    const held = await savePull(ctx.db, progress.held, changes);
    if (held === undefined) return refuse("conflict", TAKEN_OVER);
    progress.held = held;
  }
  return accept(false);
}

interface ReceiptPageRead {
  readonly receipts: readonly unknown[];
  readonly next: string | null;
}

async function readPage(
  ctx: Context,
  { marketplace_id, base_url, sealed_platform_token }: MarketplaceRow,
  { datasetId, cursor }: { readonly datasetId: string; readonly cursor: string | null },
): Promise<Result<ReceiptPageRead>> {
  const query = new URLSearchParams({ dataset_id: datasetId, limit: String(PAGE) });
  if (cursor !== null) query.set("after", cursor);
  const token =
    sealed_platform_token === null ? "" : ctx.sealer.open(platformTokenLabel(marketplace_id), sealed_platform_token);
  const answer = await ctx.outbound.read(`${base_url}/api/v1/usage-receipts?${query.toString()}`, {
    maxBytes: MAX_BATCH_BYTES,
    timeoutMs: PAGE_TIMEOUT_MS,
    accept: "application/json",
    authorization: `Bearer ${token}`,
  });
  return answer.ok ? parsePage(answer.value.body) : answer;
}

/** Each receipt is read strictly later on, for itself: one that is broken must not keep the others back for ever. */
function parsePage(body: string): Result<ReceiptPageRead> {
  const page = parseLoosely(body);
  const receipts: unknown = page?.["receipts"];
  const next: unknown = page?.["next"] ?? null;
  if (!Array.isArray(receipts) || receipts.length > PAGE)
    return refuse("source_unavailable", `expected {receipts: [at most ${PAGE}], next}, got ${body.slice(0, 100)}`);
  if (next !== null && !isCursor(next))
    return refuse(
      "source_unavailable",
      `expected next to be a cursor of at most ${MAX_CURSOR_LENGTH} characters, without U+0000 and halves of characters`,
    );
  return accept({ receipts, next });
}

function isCursor(next: unknown): next is string {
  return typeof next === "string" && next.length <= MAX_CURSOR_LENGTH && next.isWellFormed() && !next.includes("\0");
}

function parseLoosely(body: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const parsed: unknown = JSON.parse(body);
    return typeof parsed === "object" && parsed !== null ? { ...parsed } : undefined;
  } catch {
    return undefined;
  }
}

async function acceptPage(
  ctx: Context,
  marketplaceId: string,
  { receipts, progress }: { readonly receipts: readonly unknown[]; readonly progress: Progress },
): Promise<void> {
  for (let at = 0; at < receipts.length; at += CHUNK) {
    const chunk = receipts.slice(at, at + CHUNK).map((receipt) => readJsonBody(JSON.stringify(receipt)));
    const results = await acceptReceipts(ctx, { marketplaceId, pulled: true }, chunk);
    for (const [index, result] of results.entries()) {
      const read = chunk[index];
      const receiptId = read?.ok === true && isJsonObject(read.value) ? read.value["receipt_id"] : undefined;
      const name = typeof receiptId === "string" ? receiptId : `receipts[${at + index}]`;
      if (result.ok) {
        progress[result.value.isNew ? "accepted" : "known"] += 1;
        progress.kept.delete(name);
      } else noteRefusal(ctx, progress, { at: name, code: result.refusal.code, detail: result.refusal.detail });
    }
  }
}

function noteRefusal(ctx: Context, progress: Progress, refusal: Offence): void {
  progress.refused += 1;
  if (progress.refusals.length < MAX_REFUSALS) progress.refusals.push(refusal);
  const { at, code, detail } = refusal;
  const receipt_id = at.slice(0, MAX_NAME_LENGTH).toWellFormed();
  progress.kept.delete(receipt_id);
  progress.kept.set(receipt_id, {
    receipt_id,
    code,
    detail: detail.slice(0, MAX_DETAIL_LENGTH).toWellFormed(),
    at: formatInstant(nowSeconds(ctx)),
  });
}
