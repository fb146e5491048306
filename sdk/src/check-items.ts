import {
  type ContentItem,
  type DatasetOffer,
  type ItemLine,
  type JsonObject,
  type Manifest,
  type Result,
  EMPTY_TREE,
  accept,
  appendLeaf,
  checkAudience,
  checkCoverage,
  checkStatus,
  itemLeafHash,
  readContentItem,
  readItemLine,
  refuse,
  rootOf,
} from "@licet/protocol";
import { type HeldConsent, checkRoot } from "./check-consents.ts";
import type { Checking } from "./check-documents.ts";
import { type Tally, type VerifiedItem, addOffence, emptyTally, fail, record, recordTally } from "./dataset-report.ts";
import { decodeHex, encodeHex } from "./hex.ts";
import { MAX_LISTED } from "./limits.ts";
import { orderedLines } from "./ordered-lines.ts";
import type { StatusEntries } from "./status-entries.ts";

/** What the items are judged by. */
export interface ItemTrust {
  readonly manifest: Manifest;
  readonly consents: ReadonlyMap<string, HeldConsent>;
  readonly entries: StatusEntries;
  /** When told, a consent that names marketplaces must name this one. */
  readonly marketplaceId?: string | undefined;
  readonly onItem: (item: VerifiedItem) => void | Promise<void>;
}

/** What was counted while the items streamed by. */
export interface ItemCounts {
  readonly total: number;
  readonly standing: number;
  readonly withdrawn: number;
  readonly withdrawnLines: readonly { readonly position: number; readonly leaf_hash: string }[];
}

interface Tallies {
  readonly items: Tally;
  readonly coverage: Tally;
  readonly status: Tally;
}

/**
 * Streams every item of the dataset past the checks and hands on those that stand. Memory grows
 * with the number of items only by their identifiers. Undefined when the lines could not be read.
 */
export async function checkItems(checking: Checking, trust: ItemTrust): Promise<ItemCounts | undefined> {
  const { findings, source } = checking;
  if (source.lines === undefined) return undefined;
  const { manifest } = trust;
  const tallies: Tallies = { items: emptyTally(), coverage: emptyTally(), status: emptyTally() };
  const contentIds = new Set<string>();
  const withdrawnLines: { position: number; leaf_hash: string }[] = [];
  let tree = EMPTY_TREE;
  let standing = 0;
  let withdrawn = 0;
  for await (const read of orderedLines(source.lines(manifest.items_url), readPlace, manifest.items_count)) {
    if (!read.ok) {
      fail(findings, "items", read.refusal);
      return undefined;
    }
    const line = read.value;
    if (line.kind === "withdrawn") {
      tree = appendLeaf(tree, decodeHex(line.leaf_hash));
      withdrawn += 1;
      if (withdrawnLines.length < MAX_LISTED)
        withdrawnLines.push({ position: line.position, leaf_hash: line.leaf_hash });
      continue;
    }
    tree = appendLeaf(tree, itemLeafHash(line.item));
    const item = await checkStandingItem(line, trust, tallies, contentIds);
    if (item === undefined) continue;
    standing += 1;
    await trust.onItem(item);
  }
  recordTally(findings, "items", tallies.items, `${tree.size} items, ${withdrawn} of them withdrawn`);
  recordTally(findings, "item_coverage", tallies.coverage, `${standing} items are covered, each by one consent`);
  recordTally(findings, "item_status", tallies.status, `${standing} items stand`);
  const root = encodeHex(rootOf(tree));
  record(
    findings,
    "items_root",
    checkRoot("items", { root, count: tree.size }, { root: manifest.items_root, count: manifest.items_count }),
    () => `root ${root}`,
  );
  return { total: tree.size, standing, withdrawn, withdrawnLines };
}

/** The two kinds of items line. */
type ItemPlace =
  | { readonly kind: "standing"; readonly position: number; readonly item: JsonObject; readonly jti: string }
  | { readonly kind: "withdrawn"; readonly position: number; readonly leaf_hash: string };

function readPlace(json: JsonObject): Result<ItemPlace> {
  const line = readItemLine(json);
  return line.ok ? placeOf(line.value) : line;
}

function placeOf({ position, item, jti, leaf_hash, withdrawn }: ItemLine): Result<ItemPlace> {
  if (withdrawn === true && leaf_hash !== undefined && item === undefined)
    return accept({ kind: "withdrawn", position, leaf_hash });
  if (item !== undefined && jti !== undefined && withdrawn === undefined && leaf_hash === undefined)
    return accept({ kind: "standing", position, item, jti });
  return refuse(
    "document_invalid",
    `items line ${position}: expected an item and a jti, or a leaf_hash and withdrawn: true`,
  );
}

/** The item when nothing speaks against it; otherwise each objection went into its tally. */
async function checkStandingItem(
  line: ItemPlace & { readonly kind: "standing" },
  trust: ItemTrust,
  tallies: Tallies,
  contentIds: Set<string>,
): Promise<VerifiedItem | undefined> {
  const item = readContentItem(line.item);
  if (!item.ok) {
    addOffence(tallies.items, `position ${line.position}`, item.refusal);
    return undefined;
  }
  const { content_id } = item.value;
  if (contentIds.has(content_id)) {
    addOffence(tallies.items, content_id, {
      code: "document_invalid",
      detail: `expected each work once, got it again at position ${line.position}`,
    });
    return undefined;
  }
  contentIds.add(content_id);
  const consent = trust.consents.get(line.jti);
  if (consent === undefined) {
    addOffence(tallies.coverage, content_id, {
      code: "no_consent",
      detail: `expected a consent of the dataset that holds, got ${line.jti}`,
    });
    return undefined;
  }
  const coverage = checkCovered(consent, item.value, trust);
  if (!coverage.ok) addOffence(tallies.coverage, content_id, coverage.refusal);
  const status = await checkItemStanding(consent, item.value, trust.entries);
  if (!status.ok) addOffence(tallies.status, content_id, status.refusal);
  return coverage.ok && status.ok ? { ...item.value, position: line.position, jti: line.jti } : undefined;
}

function checkCovered(consent: HeldConsent, item: ContentItem, { manifest, marketplaceId }: ItemTrust): Result<true> {
  const offer: DatasetOffer = {
    datasetId: manifest.dataset_id,
    scope: manifest.scope,
    license: manifest.license,
    price: manifest.pricing.model_use,
  };
  const covered = checkCoverage(consent, item, offer);
  return covered.ok && marketplaceId !== undefined ? checkAudience(consent.claims, marketplaceId) : covered;
}

async function checkItemStanding(
  consent: HeldConsent,
  item: ContentItem,
  entries: StatusEntries,
): Promise<Result<true>> {
  if (!consent.standing.ok) return consent.standing;
  const value = await entries.valueOf(item.status.status_list);
  if (value === undefined) return refuse("unavailable", `the status list of ${item.content_id} cannot be used`);
  return value.ok ? checkStatus(value.value, item.content_id) : value;
}
