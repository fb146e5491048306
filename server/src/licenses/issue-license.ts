import { type Result, accept, formatMoney, isInForce, parsePrice, refuse, valueOf } from "@licet/protocol";
import { ulid } from "ulid";
import { type DatasetRow, type VersionRow, findVersion, lockDatasets, termsOfVersion } from "../datasets/lookup.ts";
import type { Trx } from "../db/open-database.ts";
import type { Fact } from "../events/write-fact.ts";
import { poolOf } from "../ledger/lookup.ts";
import { postTransactions } from "../ledger/post-transactions.ts";
import { allocateStatus } from "../status-lists/allocate-status.ts";
import { makesModel } from "./check-scope.ts";
import { endLicenses } from "./end-license.ts";
import type { Grounds } from "./license-policy.ts";
import type { LicenseRequestRow } from "./request-store.ts";
import type { ReceiptKeys } from "./sign-token.ts";
import { type LicenseRow, claimModel, findStanding, insertLicense, scopeOf } from "./store.ts";

export const DAY_SECONDS = 86_400;

/** What is asked for, as a row of the queue would keep it. */
export type Wanted = Pick<
  LicenseRequestRow,
  "dataset_id" | "marketplace_id" | "model_id" | "model_fingerprint" | "base_fingerprint" | "scope" | "jkt"
>;

/** A dataset that is held until the commit, and its current version. */
export interface HeldDataset {
  readonly dataset: DatasetRow;
  readonly version: VersionRow;
}

/** Holds a dataset that licenses can be given of. Refuses `conflict` when nothing of it stands, or its version is another than was looked at. */
export async function holdDataset(trx: Trx, looked: VersionRow): Promise<Result<HeldDataset>> {
  const [dataset] = await lockDatasets(trx, [looked.dataset_id]);
  if (dataset === undefined) return refuse("not_found", `there is no dataset ${looked.dataset_id}`);
  const standing = requireStanding(dataset);
  if (!standing.ok) return standing;
  const version = await findVersion(trx, dataset.dataset_id, dataset.current_version);
  return version === undefined || version.version !== looked.version
    ? refuse("conflict", `${dataset.dataset_id} has a new version, ${dataset.current_version}: ask again`)
    : accept({ dataset, version });
}

/** Refuses `conflict` unless something of the dataset stands. */
export function requireStanding({ dataset_id, state }: Pick<DatasetRow, "dataset_id" | "state">): Result<true> {
  return state === "active" || state === "partially_revoked"
    ? accept(true)
    : refuse("conflict", `nothing of the dataset ${dataset_id} stands: it is ${state}`);
}

/**
 * The license in force that says exactly what is wanted, on the terms of the version; one whose time
 * is over is ended. Refuses `conflict` while one stands for the same fingerprint under another
 * model_id, or made from another base.
 */
export async function findSame(
  fact: Fact,
  wanted: Wanted,
  version: VersionRow,
): Promise<Result<LicenseRow | undefined>> {
  const { price, currency, license: terms } = termsOfVersion(version);
  const standing = await findStanding(fact.trx, { ...wanted, price, currency, terms });
  if (standing === undefined) return accept(undefined);
  if (standing.expires_at <= fact.now) {
    await endLicenses(fact, [standing], { state: "expired", by: "timer", reason: "the license's time is over" });
    return accept(undefined);
  }
  const same = requireSameModel(standing, wanted, `the license ${standing.license_id} stands`);
  return same.ok ? accept(standing) : same;
}

/** What there is one of for a fingerprint is for one name and one base. Refuses `conflict`. */
export function requireSameModel(known: ModelName, wanted: ModelName, says: string): Result<true> {
  return known.model_id === wanted.model_id && known.base_fingerprint === wanted.base_fingerprint
    ? accept(true)
    : refuse("conflict", `${says} for ${nameModel(known)}, got ${nameModel(wanted)}`);
}

type ModelName = Pick<Wanted, "model_id" | "base_fingerprint">;

function nameModel({ model_id, base_fingerprint }: ModelName): string {
  return `model_id ${model_id}, base_fingerprint ${base_fingerprint ?? "none"}`;
}

export interface Issue {
  readonly wanted: Wanted;
  readonly version: VersionRow;
  /** The agreement that the marketplace has accepted. */
  readonly agreement: string;
  readonly grounds: Grounds & { readonly isRenewable: boolean };
  readonly by: string;
  readonly requestId: string | null;
}

/**
 * Writes a license in this fact: its row, a place in a status list, an event. Whoever calls holds the
 * dataset and has checked the scope. Refuses `license_model_taken`.
 */
export async function issueLicense(fact: Fact, issue: Issue): Promise<Result<LicenseRow>> {
  const { wanted, version, grounds, by } = issue;
  if (makesModel(scopeOf(wanted))) {
    const { marketplace_id, model_id, model_fingerprint } = wanted;
    const owner = await claimModel(fact.trx, {
      marketplace_id,
      model_id,
      model_fingerprint,
      first_licensed_at: fact.now,
    });
    const own = checkOwner(wanted, owner);
    if (!own.ok) return own;
  }
  const { price, currency, license: terms } = termsOfVersion(version);
  const feeMicros = flatFeeOf(price);
  const cap = grounds.spendCapMicros;
  if (cap !== undefined && feeMicros > cap)
    return refuse(
      "license_over_cap",
      `the flat price, ${formatMoney(feeMicros, currency)}, is over the spend cap, ${formatMoney(cap, currency)}`,
    );
  const row = await insertLicense(fact.trx, {
    ...wanted,
    license_id: `lic_${ulid(fact.ctx.clock.nowMs())}`,
    dataset_version: version.version,
    price,
    currency,
    terms,
    agreement: issue.agreement,
    ...(await allocateStatus(fact)),
    state: "active",
    issued_at: fact.now,
    issued_by: by,
    expires_at: fact.now + grounds.termDays * DAY_SECONDS,
    is_renewable: grounds.isRenewable,
    request_id: issue.requestId,
    spend_cap_micros: cap === undefined ? null : String(cap),
    charged_micros: String(feeMicros),
  });
  postFee(fact, row, { feeMicros, reference: row.license_id });
  recordIssue(fact, row);
  return accept(row);
}

function recordIssue(fact: Fact, row: LicenseRow): void {
  const { license_id, dataset_id, dataset_version, marketplace_id, model_fingerprint, scope, request_id } = row;
  fact.record({
    type: "license.issued",
    aggregate: license_id,
    body: {
      license_id,
      dataset_id,
      dataset_version,
      marketplace_id,
      model_fingerprint,
      scope,
      price: row.price,
      currency: row.currency,
      expires_at: row.expires_at,
      status_list: row.status_list,
      status_idx: row.status_idx,
      by: row.issued_by,
      ...(request_id === null ? {} : { request_id }),
    },
  });
}

/** What a term of a license costs by itself: a flat price, however much is used. */
export function flatFeeOf(text: string): bigint {
  const price = parsePrice(text);
  if (price === undefined) throw new TypeError(`expected a price that was published, got ${text}`);
  return price.unit === "flat" ? valueOf(price, 0n) : 0n;
}

/** Charges a term's flat price, once for each `reference`; it becomes the pool's of the version that the row names. */
export function postFee(
  fact: Fact,
  license: LicenseRow,
  { feeMicros, reference }: { readonly feeMicros: bigint; readonly reference: string },
): void {
  if (feeMicros === 0n) return;
  const { license_id, dataset_id, dataset_version, marketplace_id, price, currency } = license;
  postTransactions(fact, [
    {
      kind: "license_fee",
      reference,
      currency,
      entries: [
        { account: { kind: "marketplace", owner: marketplace_id }, amountMicros: feeMicros },
        { account: poolOf(dataset_id, dataset_version), amountMicros: -feeMicros },
      ],
      explanation: {
        license_id,
        dataset_id,
        dataset_version,
        marketplace_id,
        price,
        charged_micros: String(feeMicros),
      },
    },
  ]);
}

/** A model that somebody trains is theirs alone, under one name. Refuses `license_model_taken`. */
export function checkOwner(
  { marketplace_id, model_id, model_fingerprint }: Wanted,
  owner: { readonly marketplace_id: string; readonly model_id: string },
): Result<true> {
  if (owner.marketplace_id !== marketplace_id)
    return refuse("license_model_taken", `the model ${model_fingerprint} is another marketplace's to train`);
  return owner.model_id === model_id
    ? accept(true)
    : refuse("license_model_taken", `expected model_id ${owner.model_id} for ${model_fingerprint}, got ${model_id}`);
}

/**
 * The key that a license's tokens are bound to: the one that is asked for, else the one the agreement
 * was accepted with if it is still in force; null for plain bearer tokens. Refuses
 * `receipt_key_unknown` and `key_not_in_force`.
 */
export function chooseKey(
  keys: ReceiptKeys,
  {
    asked,
    acceptedWith,
    now,
  }: { readonly asked: string | null | undefined; readonly acceptedWith: string; readonly now: number },
): Result<string | null> {
  if (asked === null) return accept(null);
  const key = keys.get(asked ?? acceptedWith);
  const holds = key !== undefined && isInForce(key, now);
  if (asked === undefined) return accept(holds ? acceptedWith : null);
  if (key === undefined)
    return refuse("receipt_key_unknown", `expected a key that the marketplace registered, got ${asked}`);
  return holds ? accept(asked) : refuse("key_not_in_force", `the key ${asked} is not in force: name another as jkt`);
}
