import {
  type CurrentManifest,
  type DatasetStatus,
  type KeySet,
  type Manifest,
  type Result,
  TTL_SECONDS,
  accept,
  checkStatus,
  isIdentifier,
  refuse,
} from "@licet/protocol";
import { type HeldConsent, checkConsents } from "./check-consents.ts";
import {
  type Checking,
  type ReadDocument,
  checkAgreement,
  checkPreviousVersion,
  checkRepeats,
  checkState,
  readCurrent,
  readKeys,
  readRevocations,
  readStatus,
  readVersion,
} from "./check-documents.ts";
import { type ItemCounts, checkItems } from "./check-items.ts";
import {
  type DatasetReport,
  type Findings,
  type SeenSequences,
  type VerifiedItem,
  checksInOrder,
  fail,
  isUsable,
  leaveUnknown,
  record,
  recordTally,
} from "./dataset-report.ts";
import type { DatasetSource } from "./dataset-source.ts";
import { type StatusEntries, statusEntries } from "./status-entries.ts";

/**
 * How a dataset is judged, apart from its evidence.
 *
 * @example { now: () => 1768737900, marketplaceId: "mkt_1" }
 */
export interface CheckDatasetOptions {
  /** Seconds since the epoch. */
  readonly now: () => number;
  /** What an earlier report's `seen` said: with it, an older document is refused as `document_rolled_back`. */
  readonly previous?: SeenSequences | undefined;
  /** When told, consents that name marketplaces must name this one. */
  readonly marketplaceId?: string | undefined;
  /** Accepts what a platform in test mode signs; without it, `test: true` is refused as `test_document`. */
  readonly allowTest?: boolean | undefined;
  /** Takes each verified item as it streams by, so that the report need not hold them all. The items count for nothing unless the report then says `usable`. */
  readonly onItem?: ((item: VerifiedItem) => void | Promise<void>) | undefined;
}

/**
 * Where a manifest URL points.
 *
 * @example { origin: "https://platform.example", datasetId: "ds_1" }
 */
export interface ManifestPlace {
  readonly origin: string;
  readonly datasetId: string;
  /** There when the URL names a version's own manifest. */
  readonly version?: number;
}

const MANIFEST_PATH = /^\/datasets\/([^/]+)(?:\/versions\/([1-9]\d{0,8}))?\/manifest\.json$/;

/**
 * Takes a manifest URL apart. Refuses (`identifier_invalid`) what is not
 * `<origin>/datasets/{id}/manifest.json` or `<origin>/datasets/{id}/versions/{n}/manifest.json`.
 *
 * @example readManifestUrl("https://platform.example/datasets/ds_1/manifest.json")
 * // → { ok: true, value: { origin: "https://platform.example", datasetId: "ds_1" } }
 */
export function readManifestUrl(manifestUrl: string): Result<ManifestPlace> {
  const url = URL.canParse(manifestUrl) ? new URL(manifestUrl) : undefined;
  const [, datasetId = "", version] = MANIFEST_PATH.exec(url?.pathname ?? "") ?? [];
  const isWeb = url?.protocol === "https:" || url?.protocol === "http:";
  if (url === undefined || !isWeb || url.search !== "" || url.username !== "" || !isIdentifier(datasetId)) {
    return refuse("identifier_invalid", `expected <origin>/datasets/<id>/manifest.json, got ${manifestUrl}`);
  }
  return accept({ origin: url.origin, datasetId, ...(version === undefined ? {} : { version: Number(version) }) });
}

/**
 * Judges a dataset by the evidence a source delivers: no fetch, no clock, no memory of its own.
 * `verifyDataset` is this over HTTP; over recorded evidence it answers the same offline.
 *
 * @example const report = await checkDataset(manifestUrl, source, { now: () => 1768737900 });
 */
export async function checkDataset(
  manifestUrl: string,
  source: DatasetSource,
  options: CheckDatasetOptions,
): Promise<DatasetReport> {
  const findings: Findings = new Map();
  const place = record(
    findings,
    "manifest_url",
    readManifestUrl(manifestUrl),
    ({ datasetId, origin }) => `${datasetId} of ${origin}`,
  );
  if (place === undefined) return reportOf(findings, new Map(), {});
  const { now, previous = {}, allowTest } = options;
  const checking: Checking = { ...place, source, now, previous, seen: new Map(), findings, allowTest };
  const startedAt = now();
  const documents = await checkDocuments(checking, place);
  if (documents === undefined) return reportOf(findings, checking.seen, { place });
  const { keys, current, manifest, status } = documents;
  const entries = statusEntries(checking, keys);
  await checkDatasetBit(checking, manifest, entries);
  const contents = await checkContents(checking, { keys, manifest, entries }, options);
  recordTally(findings, "status_lists", entries.offences, `${entries.listCount()} status lists hold`);
  record(
    findings,
    "withdrawn",
    checkWithdrawn(status, contents.counts),
    ({ count, where }) => `${count} items withdrawn, by ${where}`,
  );
  await checkUnchanged(checking, keys, status, startedAt);
  return reportOf(findings, checking.seen, { place, current, manifest, status, ...contents });
}

interface DatasetDocuments {
  readonly keys: KeySet;
  readonly current: CurrentManifest;
  readonly manifest: Manifest;
  readonly status: DatasetStatus;
}

/** Undefined as soon as one is missing on which everything after it rests. */
async function checkDocuments(checking: Checking, place: ManifestPlace): Promise<DatasetDocuments | undefined> {
  const { findings } = checking;
  const keys = record(
    findings,
    "key_set",
    await readKeys(checking),
    (value) => `${value.keys.length} keys, seq ${value.seq}`,
  );
  if (keys === undefined) return undefined;
  const current = record(
    findings,
    "current_manifest",
    await readCurrent(checking, keys),
    ({ value }) => `version ${value.version}, seq ${value.seq}, trusted until ${value.expires_at}`,
  );
  if (current === undefined) return undefined;
  const asked = place.version ?? current.value.version;
  if (asked !== current.value.version) {
    fail(findings, "manifest", {
      code: "conflict",
      detail: `expected the current version ${current.value.version}, was asked for version ${asked}`,
    });
    return undefined;
  }
  const manifest = record(
    findings,
    "manifest",
    await readVersion(checking, keys, asked),
    ({ value }) => `version ${value.version}, published at ${value.published_at}`,
  );
  if (manifest === undefined) return undefined;
  record(findings, "manifest_hash", checkRepeats(current, manifest), (sha256) => sha256);
  const before = await checkPreviousVersion(checking, manifest.value);
  if (before === undefined)
    leaveUnknown(findings, "previous_manifest", `version ${manifest.value.version - 1} is not served`);
  else record(findings, "previous_manifest", before, (words) => words);
  const status = await checkDatasetStatus(checking, keys, current);
  return status === undefined ? undefined : { keys, current: current.value, manifest: manifest.value, status };
}

async function checkDatasetStatus(
  checking: Checking,
  keys: KeySet,
  current: ReadDocument<CurrentManifest>,
): Promise<DatasetStatus | undefined> {
  const { findings } = checking;
  const read = await readStatus(checking, keys);
  const agreed = read.ok ? checkAgreement(read.value, current) : read;
  const status = record(
    findings,
    "dataset_status",
    agreed,
    (value) => `${value.status}, seq ${value.seq}, trusted until ${value.expires_at}`,
  );
  if (status !== undefined) record(findings, "dataset_state", checkState(status), (value) => value.status);
  return status;
}

async function checkDatasetBit({ findings }: Checking, manifest: Manifest, entries: StatusEntries): Promise<void> {
  const { status_list } = manifest.status;
  const value = await entries.valueOf(status_list);
  if (value === undefined) return leaveUnknown(findings, "dataset_bit", `${status_list.uri} cannot be used`);
  record(
    findings,
    "dataset_bit",
    value.ok ? checkStatus(value.value, manifest.dataset_id) : value,
    () => `entry ${status_list.idx} of ${status_list.uri}`,
  );
}

interface DatasetContents {
  readonly items: readonly VerifiedItem[];
  readonly counts?: ItemCounts;
  readonly consentCount?: number;
}

/** Consents first, then the revocations, which mark them, then the items, which stand on them. */
async function checkContents(
  checking: Checking,
  trust: Pick<DatasetDocuments, "keys" | "manifest"> & { readonly entries: StatusEntries },
  options: CheckDatasetOptions,
): Promise<DatasetContents> {
  const { keys, manifest, entries } = trust;
  if (checking.source.lines === undefined) leaveContentsUnknown(checking.findings);
  const consents = await checkConsents(checking, keys, manifest, entries);
  await checkRevocations(checking, keys, consents);
  if (consents === undefined) return { items: [] };
  const items: VerifiedItem[] = [];
  const { marketplaceId, onItem = (item) => void items.push(item) } = options;
  const counts = await checkItems(checking, { manifest, consents, entries, marketplaceId, onItem });
  return { items, consentCount: consents.size, ...(counts === undefined ? {} : { counts }) };
}

function leaveContentsUnknown(findings: Findings): void {
  for (const id of ["consents", "consents_root", "items", "items_root", "item_coverage", "item_status"] as const) {
    leaveUnknown(
      findings,
      id,
      "items and consents are shown to clients the dataset was offered to: bring credentials with datasets:read",
    );
  }
}

async function checkRevocations(
  checking: Checking,
  keys: KeySet,
  consents: Map<string, HeldConsent> | undefined,
): Promise<void> {
  const reading = await readRevocations(checking, keys, (jti) => {
    const consent = consents?.get(jti);
    if (consent?.standing.ok === true)
      consents?.set(jti, { ...consent, standing: refuse("consent_revoked", `${jti} is in the revocation view`) });
  });
  record(
    checking.findings,
    "revocation_view",
    reading,
    ({ revocations, complete }) =>
      `${revocations} revocations${complete ? "" : ", older ones left to the status lists"}`,
  );
}

/** How many items are withdrawn, counted if they were seen. A state that says otherwise is refused. */
function checkWithdrawn(
  status: DatasetStatus,
  counts: ItemCounts | undefined,
): Result<{ readonly count: number; readonly where: string }> {
  const count = counts?.withdrawn ?? status.withdrawn_items_count;
  if (status.status === "active" && count > 0)
    return refuse(
      "document_invalid",
      `expected no withdrawn items in an active dataset, got ${count}; ask again after ${status.ttl_seconds} seconds`,
    );
  if (counts !== undefined && status.status === "partially_revoked" && counts.standing === 0)
    return refuse("item_withdrawn", `expected at least one item that stands, got none of ${counts.total}`);
  return accept({ count, where: counts === undefined ? "the platform's count" : "our own count" });
}

/** A large dataset takes longer to read than a status may be kept, so it is asked for again at the end. */
async function checkUnchanged(
  checking: Checking,
  keys: KeySet,
  before: DatasetStatus,
  startedAt: number,
): Promise<void> {
  const seconds = checking.now() - startedAt;
  const again = seconds < TTL_SECONDS ? accept({ value: before }) : await readStatus(checking, keys);
  record(
    checking.findings,
    "unchanged",
    again.ok ? checkSame(before, again.value.value) : again,
    () => `it took ${seconds} seconds`,
  );
}

const CHANGEABLE = [
  "status",
  "current_version",
  "min_valid_version",
  "manifest_sha256",
  "revoked_count",
  "withdrawn_items_count",
] as const satisfies readonly (keyof DatasetStatus)[];

function checkSame(before: DatasetStatus, after: DatasetStatus): Result<true> {
  const changed = CHANGEABLE.find((member) => before[member] !== after[member]);
  return changed === undefined
    ? accept(true)
    : refuse("conflict", `dataset-status.${changed} was ${before[changed]} and is now ${after[changed]}: verify again`);
}

interface Established extends Partial<DatasetContents> {
  readonly place?: ManifestPlace;
  readonly current?: CurrentManifest;
  readonly manifest?: Manifest;
  readonly status?: DatasetStatus;
}

function reportOf(findings: Findings, seen: ReadonlyMap<string, number>, established: Established): DatasetReport {
  const { place, current, manifest, status, items = [], counts, consentCount } = established;
  const checks = checksInOrder(findings);
  return {
    checks,
    summary: {
      dataset_id: place?.datasetId ?? null,
      name: manifest?.name ?? null,
      version: manifest?.version ?? null,
      state: status?.status ?? null,
      items: itemNumbers(established),
      withdrawn: current?.withdrawn ?? [],
      withdrawn_lines: counts?.withdrawnLines ?? [],
      consents: consentCount ?? manifest?.consents_count ?? null,
      fingerprint: manifest?.items_root ?? null,
      usable: isUsable(checks),
    },
    items,
    seen: Object.fromEntries(seen),
    ...(manifest === undefined ? {} : { manifest }),
    ...(status === undefined ? {} : { status }),
  };
}

/** Counted where the items were seen, otherwise as the platform says. */
function itemNumbers({ counts, manifest, status }: Established): DatasetReport["summary"]["items"] {
  if (counts !== undefined) return { total: counts.total, standing: counts.standing, withdrawn: counts.withdrawn };
  if (manifest === undefined || status === undefined) return null;
  const withdrawn = status.withdrawn_items_count;
  return { total: manifest.items_count, standing: manifest.items_count - withdrawn, withdrawn };
}
