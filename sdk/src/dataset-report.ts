import type {
  ContentItem,
  DatasetState,
  DatasetStatus,
  Manifest,
  Offence,
  Refusal,
  RefusalCode,
  Result,
  Withdrawn,
} from "@licet/protocol";
import { MAX_LISTED } from "./limits.ts";

/**
 * Every check of a dataset, in the order a person reads them.
 *
 * @example DATASET_CHECKS.items_root // → "The items are all there, as published"
 */
export const DATASET_CHECKS = {
  manifest_url: "The URL names a dataset's manifest",
  key_set: "The platform's key set is signed",
  current_manifest: "The current manifest is signed and fresh",
  manifest: "The version's own manifest is signed, and stays on the platform's origin",
  manifest_hash: "The current manifest repeats the version's own manifest",
  previous_manifest: "The version before is the one the manifest names",
  dataset_status: "The dataset's status is signed, fresh and agrees with the manifest",
  dataset_state: "The dataset may be used",
  dataset_bit: "The dataset's own entry in the status list stands",
  revocation_view: "The revocation view is signed and fresh",
  status_lists: "Every status list is signed and fresh",
  consents: "Every consent is signed by its signer and accepted by the platform",
  consents_root: "The consents are all there, as published",
  items: "Every item is well formed and listed once",
  items_root: "The items are all there, as published",
  item_coverage: "Every item is covered by its consent for everything the dataset offers",
  item_status: "Every item, and the consent it stands on, is unrevoked and unexpired",
  withdrawn: "What was withdrawn is shown as withdrawn",
  unchanged: "Nothing changed while this was checked",
} as const;

/**
 * The stable name of a check.
 *
 * @example report.checks.find(({ id }) => id === ("items_root" satisfies DatasetCheckId))
 */
export type DatasetCheckId = keyof typeof DATASET_CHECKS;

/**
 * `unknown`: it could not be established, because something it needs was not to be had.
 *
 * @example const symbols: Record<CheckOutcome, string> = { passed: "✓", failed: "✗", unknown: "?" };
 */
export type CheckOutcome = "passed" | "failed" | "unknown";

/**
 * One line of the checklist. `code` and `offences` are there when it failed; offences name at most
 * 1 000 culprits, `detail` has the exact number.
 *
 * @example { id: "items_root", title: "The items are all there, as published", outcome: "failed", detail: "…", code: "root_mismatch" }
 */
export interface DatasetCheck {
  readonly id: DatasetCheckId;
  readonly title: string;
  readonly outcome: CheckOutcome;
  readonly detail: string;
  readonly code?: RefusalCode;
  readonly offences?: readonly Offence[];
}

/**
 * An item that stands and is covered, with the consent it stands on. `position` is its place in the dataset.
 *
 * @example { position: 0, jti: "ctok_…", content_id: "content_1", canonical_url: "https://…", sha256: "…", … }
 */
export interface VerifiedItem extends ContentItem {
  readonly position: number;
  readonly jti: string;
}

/**
 * The `seq` of each changing document that was seen, by URL. Hand it in as `previous` to notice a document that was rolled back.
 *
 * @example { "https://platform.example/.well-known/keys.json": 3 }
 */
export type SeenSequences = Readonly<Record<string, number>>;

/**
 * What a verification established, for people and programs; null where it could not be.
 *
 * @example { dataset_id: "ds_1", version: 2, state: "partially_revoked", items: { total: 9, standing: 8, withdrawn: 1 }, usable: true, … }
 */
export interface DatasetSummary {
  readonly dataset_id: string | null;
  readonly name: string | null;
  readonly version: number | null;
  readonly state: DatasetState | null;
  readonly items: { readonly total: number; readonly standing: number; readonly withdrawn: number } | null;
  /** What the manifest names as withdrawn: the newest 1 000. */
  readonly withdrawn: readonly Withdrawn[];
  /** The withdrawn places in the items, at most 1 000 of them. */
  readonly withdrawn_lines: readonly { readonly position: number; readonly leaf_hash: string }[];
  readonly consents: number | null;
  /** `items_root`: the Merkle root over all items, which usage receipts name. */
  readonly fingerprint: string | null;
  /** True when every check passed, so that the standing items may be used now. Only `previous_manifest` may stay unknown. */
  readonly usable: boolean;
}

/**
 * The answer of `verifyDataset`.
 *
 * @example
 * for (const check of report.checks) console.log(check.outcome, check.title, check.detail);
 * if (report.summary.usable) train(report.items);
 */
export interface DatasetReport {
  readonly checks: readonly DatasetCheck[];
  readonly summary: DatasetSummary;
  /** The items that stand, unless `onItem` took them. Use them only when `summary.usable`. */
  readonly items: readonly VerifiedItem[];
  readonly seen: SeenSequences;
  readonly manifest?: Manifest;
  readonly status?: DatasetStatus;
}

/** The findings so far. A check nobody recorded is unknown. */
export type Findings = Map<DatasetCheckId, DatasetCheck>;

/** Records a result as a check, and hands on its value when there is one. */
export function record<T>(
  findings: Findings,
  id: DatasetCheckId,
  result: Result<T>,
  words: (value: T) => string,
): T | undefined {
  if (!result.ok) {
    fail(findings, id, result.refusal);
    return undefined;
  }
  findings.set(id, { id, title: DATASET_CHECKS[id], outcome: "passed", detail: words(result.value) });
  return result.value;
}

export function fail(findings: Findings, id: DatasetCheckId, { code, detail, offences }: Refusal): void {
  const check = { id, title: DATASET_CHECKS[id], outcome: "failed", detail, code } as const;
  findings.set(id, offences === undefined ? check : { ...check, offences });
}

export function leaveUnknown(findings: Findings, id: DatasetCheckId, detail: string): void {
  findings.set(id, { id, title: DATASET_CHECKS[id], outcome: "unknown", detail });
}

/** Offences of one check while items stream by: all counted, the first ones kept. */
export interface Tally {
  count: number;
  readonly offences: Offence[];
}

export function emptyTally(): Tally {
  return { count: 0, offences: [] };
}

export function addOffence(tally: Tally, at: string, { code, detail }: Refusal): void {
  tally.count += 1;
  if (tally.offences.length < MAX_LISTED) tally.offences.push({ at, code, detail });
}

export function recordTally(findings: Findings, id: DatasetCheckId, tally: Tally, words: string): void {
  const [first] = tally.offences;
  if (first === undefined) {
    findings.set(id, { id, title: DATASET_CHECKS[id], outcome: "passed", detail: words });
  } else {
    fail(findings, id, {
      code: first.code,
      detail:
        tally.count === 1
          ? `${first.at}: ${first.detail}`
          : `${tally.count} offend, the first is ${first.at}: ${first.detail}`,
      offences: tally.offences,
    });
  }
}

/** The checks in order; what was not recorded names the first failure as the reason. */
export function checksInOrder(findings: Findings): readonly DatasetCheck[] {
  const ids = Object.keys(DATASET_CHECKS).filter((id): id is DatasetCheckId => Object.hasOwn(DATASET_CHECKS, id));
  const firstFailure = ids.map((id) => findings.get(id)).find((check) => check?.outcome === "failed");
  const why = firstFailure === undefined ? "not reached" : `not reached, because this failed: ${firstFailure.title}`;
  return ids.map((id) => findings.get(id) ?? { id, title: DATASET_CHECKS[id], outcome: "unknown", detail: why });
}

/** True when nothing is left that speaks against use. */
export function isUsable(checks: readonly DatasetCheck[]): boolean {
  return checks.every(
    (check) => check.outcome === "passed" || (check.id === "previous_manifest" && check.outcome === "unknown"),
  );
}
