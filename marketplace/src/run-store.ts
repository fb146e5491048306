import { type JsonObject, type UsageReceipt, canonicalize, parseJsonObject } from "@licet/protocol";
import { z } from "zod";
import type { Store } from "./store.ts";

/** A training run that begins. */
export interface NewRun {
  readonly run_id: string;
  readonly dataset_id: string;
  readonly version: number;
  readonly model_id: string;
  readonly started_at: string;
}

/** False when training on the dataset was stopped in the meantime. */
export function beginRun(store: Store, { run_id, dataset_id, version, model_id, started_at }: NewRun): boolean {
  const inserted = store.run(
    "insert into training_run (run_id, dataset_id, version, model_id, state, started_at) select ?, dataset_id, version, ?, 'running', ? from dataset where dataset_id = ? and version = ? and training = 'allowed'",
    run_id,
    model_id,
    started_at,
    dataset_id,
    version,
  );
  return inserted === 1;
}

/** What a run came to. */
export interface RunResult {
  readonly items: number;
  readonly modelFingerprint: string;
  readonly endedAt: string;
  readonly receipts: readonly UsageReceipt[];
}

/**
 * Ends a run well: its model and receipts come into being together. False, and then there are none,
 * when it was stopped before or another version was verified while it ran.
 */
export function completeRun(
  store: Store,
  run: NewRun,
  { items, modelFingerprint, endedAt, receipts }: RunResult,
): boolean {
  return store.transaction(() => {
    const completed = store.run(
      "update training_run set state = 'completed', items = ?, model_fingerprint = ?, ended_at = ? where run_id = ? and state = 'running' and exists (select 1 from dataset where dataset_id = ? and version = ? and training = 'allowed')",
      items,
      modelFingerprint,
      endedAt,
      run.run_id,
      run.dataset_id,
      run.version,
    );
    if (completed === 0) return false;
    store.run(
      "update dataset set model_id = ?, model_fingerprint = ? where dataset_id = ?",
      run.model_id,
      modelFingerprint,
      run.dataset_id,
    );
    for (const receipt of receipts) {
      store.run(
        "insert into receipt (receipt_id, run_id, dataset_id, body, state, valid_for_future_training) values (?, ?, ?, ?, 'waiting', 1)",
        receipt.receipt_id,
        run.run_id,
        run.dataset_id,
        canonicalize({ ...receipt }),
      );
    }
    return true;
  });
}

export function endRun(
  store: Store,
  runId: string,
  state: "failed" | "stopped",
  reason: string,
  endedAt: string,
): void {
  store.run(
    "update training_run set state = ?, reason = ?, ended_at = ? where run_id = ? and state = 'running'",
    state,
    reason,
    endedAt,
    runId,
  );
}

/** Why a run did not complete. */
export function runReason(store: Store, runId: string): string | undefined {
  return (
    store.all(z.object({ reason: z.string().nullable() }), "select reason from training_run where run_id = ?", runId)[0]
      ?.reason ?? undefined
  );
}

/** A process that went down took its trainings with it. */
export function stopInterruptedRuns(store: Store, at: string): void {
  store.run(
    "update training_run set state = 'stopped', reason = 'the marketplace went down', ended_at = ? where state = 'running'",
    at,
  );
}

const RUN = z.object({
  run_id: z.string(),
  dataset_id: z.string(),
  version: z.number(),
  model_id: z.string(),
  state: z.string(),
  reason: z.string().nullable(),
  items: z.number(),
  model_fingerprint: z.string().nullable(),
  started_at: z.string(),
  ended_at: z.string().nullable(),
});

export function listRuns(store: Store, datasetId: string, limit: number): z.infer<typeof RUN>[] {
  return store.all(
    RUN,
    "select * from training_run where dataset_id = ? order by rowid desc limit ?",
    datasetId,
    limit,
  );
}

const MODEL = z.object({ model_id: z.string(), model_fingerprint: z.string(), published_at: z.string() });

/** The models this marketplace has made, each with when its first training completed, the oldest first. */
export function listModels(store: Store, limit: number): z.infer<typeof MODEL>[] {
  return store.all(
    MODEL,
    "select max(model_id) as model_id, model_fingerprint, min(ended_at) as published_at from training_run where state = 'completed' group by model_fingerprint order by published_at, model_fingerprint limit ?",
    limit,
  );
}

const RECEIPT = z.object({
  id: z.number(),
  receipt_id: z.string(),
  body: z.string(),
  state: z.enum(["waiting", "posted", "refused"]),
  valid_for_future_training: z.number(),
});

/** A receipt as it is kept: countersigned once the platform took it. */
export interface StoredReceipt {
  readonly id: number;
  readonly receiptId: string;
  readonly document: JsonObject;
  readonly state: "waiting" | "posted" | "refused";
  readonly validForFutureTraining: boolean;
}

function toReceipt(row: z.infer<typeof RECEIPT>): StoredReceipt {
  const document = parseJsonObject(row.body);
  if (!document.ok) throw new Error(`receipt ${row.receipt_id}: ${document.refusal.detail}`);
  return {
    id: row.id,
    receiptId: row.receipt_id,
    document: document.value,
    state: row.state,
    validForFutureTraining: row.valid_for_future_training === 1,
  };
}

const RECEIPT_COLUMNS =
  "select id, receipt_id, body, state, (valid_for_future_training and training = 'allowed') as valid_for_future_training from receipt join dataset using (dataset_id)";

export function listReceipts(
  store: Store,
  datasetId: string | undefined,
  after: number,
  limit: number,
): StoredReceipt[] {
  return store
    .all(
      RECEIPT,
      `${RECEIPT_COLUMNS} where (? is null or dataset_id = ?) and id > ? order by id limit ?`,
      datasetId ?? null,
      datasetId ?? null,
      after,
      limit,
    )
    .map(toReceipt);
}

export function receiptsOfRun(store: Store, runId: string): StoredReceipt[] {
  return store.all(RECEIPT, `${RECEIPT_COLUMNS} where run_id = ? order by id`, runId).map(toReceipt);
}

export function waitingReceipts(store: Store, limit: number): StoredReceipt[] {
  return store.all(RECEIPT, `${RECEIPT_COLUMNS} where state = 'waiting' order by id limit ?`, limit).map(toReceipt);
}

export function markPosted(store: Store, id: number, document: JsonObject): void {
  store.run("update receipt set state = 'posted', reason = null, body = ? where id = ?", canonicalize(document), id);
}

export function markNotPosted(store: Store, id: number, state: "waiting" | "refused", reason: string): void {
  store.run("update receipt set state = ?, reason = ? where id = ?", state, reason, id);
}
