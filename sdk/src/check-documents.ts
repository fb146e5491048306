import {
  type Clocks,
  type CurrentManifest,
  type DatasetStatus,
  type DocumentType,
  type JsonObject,
  type KeySet,
  type Manifest,
  type Result,
  type RevocationView,
  accept,
  canonicalize,
  checkFresh,
  documentSha256,
  parseInstant,
  readCurrentManifest,
  readDatasetStatus,
  readManifest,
  readRevocationView,
  refuse,
  verifyDocument,
  verifyKeySet,
  without,
} from "@licet/protocol";
import type { Findings, SeenSequences } from "./dataset-report.ts";
import { type DatasetSource, checkOrigin } from "./dataset-source.ts";
import { MAX_REVOCATION_PAGES } from "./limits.ts";

/** What every check of one verification works on. */
export interface Checking {
  readonly origin: string;
  readonly datasetId: string;
  readonly source: DatasetSource;
  /** Seconds since the epoch. */
  readonly now: () => number;
  readonly previous: SeenSequences;
  readonly seen: Map<string, number>;
  readonly findings: Findings;
  /** True where what a server in test mode signs is accepted, too. */
  readonly allowTest?: boolean | undefined;
}

/** A document that verified: as it came, and as it was read. */
export interface ReadDocument<T> {
  readonly document: JsonObject;
  readonly value: T;
}

/** Refuses `document_rolled_back` when the caller has seen a newer one at this URL. */
export function checkSequence(checking: Checking, url: string, seq: number): Result<number> {
  const known = Math.max(checking.previous[url] ?? 0, checking.seen.get(url) ?? 0);
  if (seq < known) return refuse("document_rolled_back", `${url}: expected seq ${known} or higher, got ${seq}`);
  checking.seen.set(url, seq);
  return accept(seq);
}

export async function readKeys(checking: Checking): Promise<Result<KeySet>> {
  const url = `${checking.origin}/.well-known/keys.json`;
  const document = await checking.source.document(url);
  if (!document.ok) return document;
  const keys = await verifyKeySet(document.value, checking.origin, checking.now(), {
    allowTest: checking.allowTest === true,
  });
  if (!keys.ok) return keys;
  const sequence = checkSequence(checking, url, keys.value.seq);
  return sequence.ok ? keys : sequence;
}

interface FreshDocument {
  readonly url: string;
  readonly type: DocumentType;
}

/** A status document: signed by an active key, within its clocks, not older than one seen before. */
async function readFresh<T extends Clocks & { readonly seq: number }>(
  checking: Checking,
  keys: KeySet,
  { url, type }: FreshDocument,
  read: (document: JsonObject) => Result<T>,
): Promise<Result<ReadDocument<T>>> {
  const document = await checking.source.document(url);
  if (!document.ok) return document;
  const now = checking.now();
  const verified = await verifyDocument(document.value, { type, keys, madeAt: now });
  if (!verified.ok) return verified;
  const value = read(document.value);
  if (!value.ok) return value;
  const fresh = checkFresh(value.value, now);
  if (!fresh.ok) return refuse(fresh.refusal.code, `${url}: ${fresh.refusal.detail}`);
  const sequence = checkSequence(checking, url, value.value.seq);
  return sequence.ok ? accept({ document: document.value, value: value.value }) : sequence;
}

export async function readCurrent(checking: Checking, keys: KeySet): Promise<Result<ReadDocument<CurrentManifest>>> {
  const url = `${checking.origin}/datasets/${checking.datasetId}/manifest.json`;
  const current = await readFresh(checking, keys, { url, type: "current-manifest" }, readCurrentManifest);
  return current.ok ? checkIsOf(checking, current, current.value.value.dataset_id, url) : current;
}

export async function readStatus(checking: Checking, keys: KeySet): Promise<Result<ReadDocument<DatasetStatus>>> {
  const url = `${checking.origin}/.well-known/dataset-status/${checking.datasetId}`;
  const status = await readFresh(checking, keys, { url, type: "dataset-status" }, readDatasetStatus);
  return status.ok ? checkIsOf(checking, status, status.value.value.dataset_id, url) : status;
}

function checkIsOf<T>(checking: Checking, result: Result<T>, datasetId: string, url: string): Result<T> {
  return datasetId === checking.datasetId
    ? result
    : refuse("document_invalid", `${url}: expected dataset_id ${checking.datasetId}, got ${datasetId}`);
}

function versionUrl(checking: Checking, version: number): string {
  return `${checking.origin}/datasets/${checking.datasetId}/versions/${version}/manifest.json`;
}

/** The version's immutable manifest: signed while its key was in force, and naming no URL elsewhere. */
export async function readVersion(
  checking: Checking,
  keys: KeySet,
  version: number,
): Promise<Result<ReadDocument<Manifest>>> {
  const url = versionUrl(checking, version);
  const document = await checking.source.document(url);
  if (!document.ok) return document;
  const manifest = readManifest(document.value);
  if (!manifest.ok) return manifest;
  const verified = await verifyDocument(document.value, {
    type: "manifest",
    keys,
    madeAt: parseInstant(manifest.value.published_at) ?? 0,
  });
  if (!verified.ok) return verified;
  if (manifest.value.version !== version)
    return refuse("document_invalid", `${url}: expected version ${version}, got ${manifest.value.version}`);
  for (const named of [manifest.value.items_url, manifest.value.consents_url, manifest.value.status.status_list.uri]) {
    const place = checkOrigin(named, checking.origin);
    if (!place.ok) return place;
  }
  return checkIsOf(
    checking,
    accept({ document: document.value, value: manifest.value }),
    manifest.value.dataset_id,
    url,
  );
}

/** Members that the two manifests do not share by name. */
const UNSHARED = ["type", "status", "signatures"];

/** The current manifest must name the other's hash and repeat it member by member. */
export function checkRepeats(current: ReadDocument<CurrentManifest>, version: ReadDocument<Manifest>): Result<string> {
  const sha256 = documentSha256(version.document);
  if (current.value.manifest_sha256 !== sha256)
    return refuse("document_invalid", `manifest_sha256: expected ${sha256}, got ${current.value.manifest_sha256}`);
  const repeated = { ...without(version.document, UNSHARED), status_reference: version.document["status"] ?? null };
  for (const [member, value] of Object.entries(repeated)) {
    const got = current.document[member];
    if (got === undefined || canonicalize(got) !== canonicalize(value))
      return refuse(
        "document_invalid",
        `the current manifest's ${member}: expected ${canonicalize(value)}, got ${got === undefined ? "nothing" : canonicalize(got)}`,
      );
  }
  return accept(sha256);
}

/** Undefined when the version before is not to be had, which is no fault of this one. */
export async function checkPreviousVersion(
  checking: Checking,
  { version, previous_manifest_sha256: named }: Manifest,
): Promise<Result<string> | undefined> {
  if (named === undefined)
    return version <= 1
      ? accept("this is the first version")
      : refuse("document_invalid", `expected previous_manifest_sha256 in version ${version}, got none`);
  const document = await checking.source.document(versionUrl(checking, version - 1));
  if (!document.ok) return undefined;
  const sha256 = documentSha256(document.value);
  return sha256 === named
    ? accept(`version ${version - 1} has the hash ${sha256}`)
    : refuse(
        "document_invalid",
        `previous_manifest_sha256: expected ${sha256}, the hash of version ${version - 1}, got ${named}`,
      );
}

export function checkAgreement(
  { value: status }: ReadDocument<DatasetStatus>,
  { value: current }: ReadDocument<CurrentManifest>,
): Result<DatasetStatus> {
  const pairs = [
    ["status", current.status, status.status],
    ["current_version", current.version, status.current_version],
    ["manifest_sha256", current.manifest_sha256, status.manifest_sha256],
  ] as const;
  const different = pairs.find(([, expected, got]) => expected !== got);
  if (different !== undefined)
    return refuse(
      "document_invalid",
      `dataset-status.${different[0]}: expected ${different[1]} as in the manifest, got ${different[2]}; ask again after ${status.ttl_seconds} seconds`,
    );
  return checkVersionValid(status, current.version);
}

/** Refuses `conflict` when a later compaction made the version invalid. */
function checkVersionValid(status: DatasetStatus, version: number): Result<DatasetStatus> {
  return version >= status.min_valid_version
    ? accept(status)
    : refuse("conflict", `version ${version} is no longer valid, the oldest valid one is ${status.min_valid_version}`);
}

/** Refuses unless the state lets at least some items be used. */
export function checkState(status: DatasetStatus): Result<DatasetStatus> {
  switch (status.status) {
    case "active":
    case "partially_revoked":
      return accept(status);
    case "suspended":
      return refuse("consent_suspended", `${status.dataset_id} is suspended`);
    case "revoked":
      return refuse("consent_revoked", `${status.dataset_id} is revoked`);
    case "expired":
      return refuse("token_expired", `every consent of ${status.dataset_id} has expired`);
  }
}

/** What reading the revocation view back yielded. */
export interface RevocationReading {
  readonly revocations: number;
  readonly complete: boolean;
}

/** Reads the revocation view back, page by page, and tells of every jti; holds one page at a time. */
export async function readRevocations(
  checking: Checking,
  keys: KeySet,
  onRevoked: (jti: string) => void,
): Promise<Result<RevocationReading>> {
  let url: string | undefined = `${checking.origin}/.well-known/consent-revocations.json`;
  let revocations = 0;
  const visited = new Set<string>();
  while (url !== undefined) {
    if (visited.size === MAX_REVOCATION_PAGES) return accept({ revocations, complete: false });
    const place = checkOrigin(url, checking.origin);
    if (!place.ok) return place;
    if (visited.has(url)) return refuse("document_invalid", `${url}: expected next to lead to an older page`);
    visited.add(url);
    const page: Result<ReadDocument<RevocationView>> = await readFresh(
      checking,
      keys,
      { url, type: "consent-revocations" },
      readRevocationView,
    );
    if (!page.ok) return page;
    const view: RevocationView = page.value.value;
    for (const { jti } of view.revocations) onRevoked(jti);
    revocations += view.revocations.length;
    url = view.next;
  }
  return accept({ revocations, complete: true });
}
