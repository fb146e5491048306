import {
  type Offence,
  type Result,
  type UsageReceipt,
  accept,
  canonicalBytes,
  encodeBase64url,
  formatInstant,
  refuse,
  sha256Hex,
} from "@licet/protocol";
import { signReceipt } from "@licet/sdk";
import { type StatusWatch, stoppedRefusal, watchStatus } from "./check-training.ts";
import type { Connected, MarketplaceContext } from "./context.ts";
import { type StoredDataset, type StoredItem, findDataset, mayTrainOn, standingItems } from "./dataset-store.ts";
import { type Usage, measureItem } from "./measure-item.ts";
import { obtainLicense } from "./obtain-license.ts";
import { type NewRun, beginRun, completeRun, endRun, runReason } from "./run-store.ts";

export const DEFAULT_MODEL_ID = "reference-model-1";
const MAX_OFFENCES = 100;

/** A training that completed. Each receipt is for one unit of usage. */
export interface CompletedTraining {
  readonly run: NewRun;
  readonly items: number;
  readonly modelFingerprint: string;
  readonly receipts: readonly UsageReceipt[];
}

/**
 * "Trains" on a dataset: fetches every item that stands, checks its bytes, counts it, and derives a
 * model fingerprint. Whether it may go on is asked before each item and before it completes; a
 * webhook that says stop aborts the item it is at. Refuses `not_found`, `conflict` (training is stopped), `unavailable`,
 * what the platform says when it gives no license, and `content_mismatch` with every work whose bytes are not the ones that were licensed.
 */
export async function trainModel(
  context: MarketplaceContext,
  datasetId: string,
  modelId: string,
): Promise<Result<CompletedTraining>> {
  const { connected, store, trainings, now } = context;
  const dataset = findDataset(store, datasetId);
  if (dataset === undefined) return refuse("not_found", `no dataset ${datasetId} is registered`);
  if (connected === undefined) return refuse("unavailable", "expected PUT /api/v1/connection first");
  if (dataset.training === "stopped") return stoppedRefusal(context, datasetId);
  const watch = watchStatus(context, connected, dataset);
  const fresh = await watch.check();
  if (!fresh.ok) return fresh.refusal.code === "conflict" ? stoppedRefusal(context, datasetId) : fresh;
  const items = standingItems(store, datasetId);
  const modelFingerprint = fingerprintOf(modelId, dataset, items);
  const license = await obtainLicense(context, connected, { datasetId, modelId, fingerprint: modelFingerprint });
  if (!license.ok) return license;
  const run: NewRun = {
    run_id: `run_${randomText()}`,
    dataset_id: datasetId,
    version: dataset.version,
    model_id: modelId,
    started_at: formatInstant(now()),
  };
  if (!beginRun(store, run)) return stoppedRefusal(context, datasetId);
  const training = trainings.begin(datasetId);
  try {
    const usage = await useItems(context, { dataset, items, watch, signal: training.signal });
    return usage.ok
      ? await finish(context, connected, {
          run,
          dataset,
          items,
          usage: usage.value,
          modelFingerprint,
          licenseId: license.value,
        })
      : endBadly(context, run, usage);
  } finally {
    training.end();
  }
}

interface Training {
  readonly dataset: StoredDataset;
  readonly items: readonly StoredItem[];
  readonly watch: StatusWatch;
  readonly signal: AbortSignal;
}

type UsageByUnit = ReadonlyMap<Usage["unit"], number>;

async function useItems(
  context: MarketplaceContext,
  { dataset, items, watch, signal }: Training,
): Promise<Result<UsageByUnit>> {
  const usage = new Map<Usage["unit"], number>();
  const offences: Offence[] = [];
  for (const item of items) {
    const fresh = await watch.check();
    if (!fresh.ok) return fresh;
    if (signal.aborted || !mayTrainOn(context.store, dataset, item.position))
      return stoppedRefusal(context, dataset.dataset_id);
    const measured = await measureItem(item, { fetch: context.fetchWork, signal });
    if (signal.aborted) return stoppedRefusal(context, dataset.dataset_id);
    if (measured.ok) usage.set(measured.value.unit, (usage.get(measured.value.unit) ?? 0) + measured.value.count);
    else offences.push({ at: item.content_id, code: measured.refusal.code, detail: measured.refusal.detail });
    if (offences.length === MAX_OFFENCES) break;
  }
  const [first] = offences;
  if (first === undefined) return (await mayComplete(context, { dataset, watch, signal })) ?? accept(usage);
  const isTransient = offences.every(({ code }) => code === "unavailable");
  return refuse(
    isTransient ? "unavailable" : "content_mismatch",
    `${offences.length} of ${items.length} items could not be used, the first is ${first.at}: ${first.detail}`,
    offences,
  );
}

/** The last item may have taken long: a model of what is no longer allowed is none. */
async function mayComplete(
  context: MarketplaceContext,
  { dataset, watch, signal }: Pick<Training, "dataset" | "watch" | "signal">,
): Promise<Result<never> | undefined> {
  const fresh = await watch.check();
  if (!fresh.ok) return fresh;
  return signal.aborted ? stoppedRefusal(context, dataset.dataset_id) : undefined;
}

/** A stop has written its own end of the run already; anything else is a failure. */
function endBadly(
  { store, now }: MarketplaceContext,
  { run_id }: NewRun,
  result: Result<never> | Result<UsageByUnit>,
): Result<never> {
  if (result.ok) throw new TypeError("expected a refusal");
  endRun(
    store,
    run_id,
    result.refusal.code === "conflict" ? "stopped" : "failed",
    result.refusal.detail,
    formatInstant(now()),
  );
  return result;
}

interface Finished extends Pick<Training, "dataset" | "items"> {
  readonly run: NewRun;
  readonly usage: UsageByUnit;
  readonly modelFingerprint: string;
  readonly licenseId: string;
}

async function finish(
  context: MarketplaceContext,
  connected: Connected,
  { run, dataset, items, usage, modelFingerprint, licenseId }: Finished,
): Promise<Result<CompletedTraining>> {
  const { store, now } = context;
  const endedAt = formatInstant(now());
  const content = {
    iss: connected.connection.marketplace_id,
    aud: connected.connection.origin,
    license_id: licenseId,
    model_id: run.model_id,
    dataset_id: run.dataset_id,
    dataset_version: run.version,
    dataset_fingerprint: dataset.items_root,
    model_fingerprint: modelFingerprint,
    licensed_at: run.started_at,
    period: { from: run.started_at, to: endedAt },
  };
  const receipts: UsageReceipt[] = [];
  for (const [unit, count] of usage)
    receipts.push(await signReceipt({ ...content, usage: { unit, count } }, context.receiptSigner, now));
  const completed = completeRun(store, run, { items: items.length, modelFingerprint, endedAt, receipts });
  if (completed) return accept({ run, items: items.length, modelFingerprint, receipts });
  return refuse(
    "conflict",
    `training on ${run.dataset_id} is stopped: ${runReason(store, run.run_id) ?? "the run was stopped"}`,
  );
}

/** What a model is made of names it: the dataset, the works in order, and the model's own id. */
function fingerprintOf(model_id: string, { items_root }: StoredDataset, items: readonly StoredItem[]): string {
  return sha256Hex(
    canonicalBytes({ model_id, dataset_fingerprint: items_root, items: items.map(({ sha256 }) => sha256) }),
  );
}

function randomText(): string {
  return encodeBase64url(crypto.getRandomValues(new Uint8Array(16)));
}
