import type { DatasetReport, SeenSequences, VerifiedItem } from "@licet/sdk";
import { z } from "zod";
import type { Store } from "./store.ts";

const DATASET = z.object({
  dataset_id: z.string(),
  name: z.string(),
  version: z.number(),
  manifest_url: z.string(),
  items_root: z.string(),
  items_count: z.number(),
  status: z.string(),
  revoked_count: z.number(),
  withdrawn_items_count: z.number(),
  verified_at: z.string(),
  training: z.enum(["allowed", "stopped"]),
  reason: z.string().nullable(),
  sequence: z.number(),
  model_id: z.string().nullable(),
  model_fingerprint: z.string().nullable(),
});

/** A dataset as this marketplace knows it. `sequence` is that of the newest webhook about it. */
export type StoredDataset = z.infer<typeof DATASET>;

export function findDataset(store: Store, datasetId: string): StoredDataset | undefined {
  return store.all(DATASET, "select * from dataset where dataset_id = ?", datasetId)[0];
}

export function listDatasets(store: Store, after: string, limit: number): StoredDataset[] {
  return store.all(DATASET, "select * from dataset where dataset_id > ? order by dataset_id limit ?", after, limit);
}

/** A dataset whose verification succeeded: what is kept of the report. */
export interface VerifiedDataset {
  readonly manifestUrl: string;
  readonly manifest: NonNullable<DatasetReport["manifest"]>;
  readonly status: NonNullable<DatasetReport["status"]>;
  readonly items: readonly VerifiedItem[];
  readonly verifiedAt: string;
}

/** Stores a verified dataset with its items. It says nothing about a stop that is in force, except that a new dataset begins without one. */
export function saveVerified(
  store: Store,
  { manifestUrl, manifest, status, items, verifiedAt }: VerifiedDataset,
): void {
  store.run(
    `insert into dataset (dataset_id, name, version, manifest_url, items_root, items_count, status, revoked_count, withdrawn_items_count, verified_at, training)
     values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'allowed')
     on conflict (dataset_id) do update set name = excluded.name, version = excluded.version, manifest_url = excluded.manifest_url, items_root = excluded.items_root,
       items_count = excluded.items_count, status = excluded.status, revoked_count = excluded.revoked_count,
       withdrawn_items_count = excluded.withdrawn_items_count, verified_at = excluded.verified_at`,
    manifest.dataset_id,
    manifest.name,
    manifest.version,
    manifestUrl,
    manifest.items_root,
    manifest.items_count,
    status.status,
    status.revoked_count,
    status.withdrawn_items_count,
    verifiedAt,
  );
  store.run("delete from dataset_item where dataset_id = ?", manifest.dataset_id);
  for (const { position, content_id, canonical_url, sha256, mime_type, length_seconds, size_bytes, jti } of items) {
    store.run(
      "insert into dataset_item (dataset_id, position, content_id, canonical_url, sha256, mime_type, length_seconds, size_bytes, jti) values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
      manifest.dataset_id,
      position,
      content_id,
      canonical_url,
      sha256,
      mime_type,
      length_seconds ?? null,
      size_bytes ?? null,
      jti,
    );
  }
}

/** What a verification that failed still learned. */
export function saveStatus(store: Store, datasetId: string, status: string): void {
  store.run("update dataset set status = ? where dataset_id = ?", status, datasetId);
}

export function allowTraining(store: Store, datasetId: string): void {
  store.run("update dataset set training = 'allowed', reason = null where dataset_id = ?", datasetId);
}

/** Stops training on a dataset, the running ones too. While it lasts, no receipt counts for future training. */
export function stopTraining(store: Store, datasetId: string, reason: string, at: string): void {
  store.run("update dataset set training = 'stopped', reason = ? where dataset_id = ?", reason, datasetId);
  store.run(
    "update training_run set state = 'stopped', reason = ?, ended_at = ? where dataset_id = ? and state = 'running'",
    reason,
    at,
    datasetId,
  );
}

/** True when a status tells of more refusals than the last verification saw. */
export function wasTakenBack(
  dataset: StoredDataset,
  status: Pick<VerifiedDataset["status"], "revoked_count" | "withdrawn_items_count">,
): boolean {
  return status.revoked_count > dataset.revoked_count || status.withdrawn_items_count > dataset.withdrawn_items_count;
}

/** For good: what these receipts stand for includes something that was taken back. */
export function invalidateReceipts(store: Store, datasetId: string): void {
  store.run("update receipt set valid_for_future_training = 0 where dataset_id = ?", datasetId);
}

const ITEM = z.object({
  position: z.number(),
  content_id: z.string(),
  canonical_url: z.string(),
  sha256: z.string(),
  mime_type: z.string(),
  length_seconds: z.number().nullable(),
  size_bytes: z.number().nullable(),
  jti: z.string(),
});

/** An item that may be trained on. */
export type StoredItem = z.infer<typeof ITEM>;

export function standingItems(store: Store, datasetId: string): StoredItem[] {
  return store.all(
    ITEM,
    "select position, content_id, canonical_url, sha256, mime_type, length_seconds, size_bytes, jti from dataset_item where dataset_id = ? and withdrawn_at is null order by position",
    datasetId,
  );
}

/** Marks what a refusal names: one work when it names one, otherwise every work under the token. */
export function withdrawItems(
  store: Store,
  datasetId: string,
  named: { readonly jti?: string | undefined; readonly content_id?: string | undefined },
  at: string,
): void {
  if (named.content_id !== undefined)
    store.run(
      "update dataset_item set withdrawn_at = ? where dataset_id = ? and content_id = ?",
      at,
      datasetId,
      named.content_id,
    );
  else if (named.jti !== undefined)
    store.run("update dataset_item set withdrawn_at = ? where dataset_id = ? and jti = ?", at, datasetId, named.jti);
}

/** True right now, and to be asked again before every use. */
export function mayTrainOn(
  store: Store,
  dataset: Pick<StoredDataset, "dataset_id" | "version">,
  position: number,
): boolean {
  const rows = store.all(
    z.object({ position: z.number() }),
    "select position from dataset_item join dataset using (dataset_id) where dataset_id = ? and version = ? and training = 'allowed' and position = ? and withdrawn_at is null",
    dataset.dataset_id,
    dataset.version,
    position,
  );
  return rows.length === 1;
}

export function loadSeen(store: Store): SeenSequences {
  return Object.fromEntries(
    store
      .all(z.object({ url: z.string(), seq: z.number() }), "select url, seq from seen_document")
      .map(({ url, seq }) => [url, seq]),
  );
}

/** A lower sequence never replaces a higher one. */
export function saveSeen(store: Store, seen: SeenSequences): void {
  for (const [url, seq] of Object.entries(seen)) {
    store.run(
      "insert into seen_document (url, seq) values (?, ?) on conflict (url) do update set seq = max(seq, excluded.seq)",
      url,
      seq,
    );
  }
}
