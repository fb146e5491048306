import { type DatasetStatus, type KeySet, type Result, isIdentifier, isOrigin, refuse } from "@licet/protocol";
import { type CheckDatasetOptions, checkDataset, readManifestUrl } from "./check-dataset.ts";
import { type Checking, readKeys, readStatus } from "./check-documents.ts";
import { epochSeconds } from "./clock.ts";
import type { DatasetReport, SeenSequences } from "./dataset-report.ts";
import { type HttpSourceOptions, httpSource } from "./dataset-source.ts";

/**
 * How a dataset is fetched and judged. With `client` everything is checked; without it the public
 * documents are, and the checks of items and consents stay `unknown`.
 *
 * @example { client, marketplaceId: "mkt_1", previous: lastReport.seen }
 */
export type VerifyDatasetOptions = HttpSourceOptions & Partial<CheckDatasetOptions>;

/**
 * Verifies a dataset from its manifest URL without trusting the platform for anything but its keys:
 * key set, both manifests, status, revocation view, status lists, every consent, every item, both
 * Merkle roots. Answers a checklist, a summary and the items that stand.
 *
 * It never throws on what a platform may send. Every body, page, redirect and time has a limit
 * (`limits.ts`); nothing outside the manifest's origin is asked; documents that say `test: true`
 * are refused unless `allowTest` says otherwise. It remembers nothing: hand in the last report's `seen` as `previous`, and a document
 * older than one seen before fails with `document_rolled_back`.
 *
 * @example
 * const report = await verifyDataset("https://platform.example/datasets/ds_1/manifest.json", { client });
 * if (!report.summary.usable) for (const check of report.checks) console.log(check.outcome, check.id, check.detail);
 */
export async function verifyDataset(manifestUrl: string, options: VerifyDatasetOptions = {}): Promise<DatasetReport> {
  const { now = epochSeconds, previous, marketplaceId, onItem, allowTest, ...sourceOptions } = options;
  const place = readManifestUrl(manifestUrl);
  const source = httpSource(place.ok ? place.value.origin : "", sourceOptions);
  return checkDataset(manifestUrl, source, { now, previous, marketplaceId, onItem, allowTest });
}

/**
 * Whose key set, and how it is judged.
 *
 * @example { origin: "https://platform.example", previous: lastReport.seen }
 */
export interface KeySetQuery extends Omit<HttpSourceOptions, "client"> {
  readonly origin: string;
  /** Seconds since the epoch. */
  readonly now?: () => number;
  readonly previous?: SeenSequences;
  /** Accepts what a platform in test mode signs; without it, `test: true` is refused as `test_document`. */
  readonly allowTest?: boolean | undefined;
}

/**
 * Fetches and verifies a platform's key set, for `verifyConsent` and `verifyCountersignature`.
 * Refuses as {@link fetchDatasetStatus} does.
 *
 * @example const keys = await fetchKeySet({ origin: "https://platform.example" });
 */
export async function fetchKeySet({
  origin,
  now = epochSeconds,
  previous = {},
  allowTest,
  ...sending
}: KeySetQuery): Promise<Result<KeySet>> {
  if (!isOrigin(origin)) return refuse("identifier_invalid", `expected an origin, got ${origin}`);
  return readKeys({
    origin,
    datasetId: "",
    source: httpSource(origin, sending),
    now,
    previous,
    seen: new Map(),
    findings: new Map(),
    allowTest,
  });
}

/**
 * Which dataset's status, and how it is judged.
 *
 * @example { origin: "https://platform.example", datasetId: "ds_1", version: 1 }
 */
export interface StatusQuery extends KeySetQuery {
  readonly datasetId: string;
  /** The version that is used. When told, any other current version is refused as `conflict`. */
  readonly version?: number;
}

/**
 * A verified status, and the sequences to hand in next time.
 *
 * @example { status: { status: "active", seq: 9, … }, seen: { "https://platform.example/.well-known/keys.json": 3, … } }
 */
export interface VerifiedStatus {
  readonly status: DatasetStatus;
  readonly seen: SeenSequences;
}

/**
 * The light question, to be asked before and during training: is the dataset still what it was?
 * Fetches the key set and `/.well-known/dataset-status/{id}` and verifies both. It fails closed: a
 * status that is expired, unreachable or rolled back is refused.
 *
 * Hand in the `version` that was verified: once a newer one is out, the status no longer speaks of
 * the old one. The rest is the caller's to compare: a `partially_revoked` dataset goes on after a
 * new verification.
 *
 * Refuses `unavailable`, `conflict` (another version is current), `document_invalid`,
 * `document_expired`, `document_rolled_back`, `test_document` and what signatures are refused for.
 *
 * @example
 * const asked = await fetchDatasetStatus({ origin: "https://platform.example", datasetId: "ds_1", version: 1 });
 * if (!asked.ok || asked.value.status.status !== "active") stopTraining();
 */
export async function fetchDatasetStatus({
  origin,
  datasetId,
  version,
  now = epochSeconds,
  previous = {},
  allowTest,
  ...sending
}: StatusQuery): Promise<Result<VerifiedStatus>> {
  if (!isOrigin(origin) || !isIdentifier(datasetId))
    return refuse("identifier_invalid", `expected an origin and a dataset id, got ${origin} and ${datasetId}`);
  const checking: Checking = {
    origin,
    datasetId,
    source: httpSource(origin, sending),
    now,
    previous,
    seen: new Map(),
    findings: new Map(),
    allowTest,
  };
  const keys = await readKeys(checking);
  if (!keys.ok) return keys;
  const read = await readStatus(checking, keys.value);
  if (!read.ok) return read;
  const status = read.value.value;
  if (version !== undefined && status.current_version !== version)
    return refuse(
      "conflict",
      `expected version ${version} of ${datasetId} to be current, got ${status.current_version}: verify again`,
    );
  return { ok: true, value: { status, seen: Object.fromEntries(checking.seen) } };
}
