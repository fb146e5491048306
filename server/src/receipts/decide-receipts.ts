import {
  CLOCK_SKEW_SECONDS,
  type Price,
  type ReceiptFlag,
  type Result,
  USAGE_OF,
  accept,
  chargeFor,
  formatInstant,
  parsePrice,
  refuse,
  valueOf,
} from "@licet/protocol";
import { type VersionLosses, type VersionName, type VersionRow, isSameOffer, offerOf } from "../datasets/lookup.ts";
import type { Charge, LicenseRow } from "../licenses/lookup.ts";
import { judgeUse } from "./judge-flags.ts";
import type { ReceiptRow } from "./store.ts";
import type { VerifiedReceipt } from "./verify-receipt.ts";

/** Uses under one license cost at most this much together, so that no sum of them outgrows `numeric(38,0)`. */
const MAX_LICENSE_MICROS = 10n ** 30n;

/** What the database knows of a chunk of receipts, read and held before anything is decided. */
export interface Known {
  readonly now: number;
  readonly marketplaceId: string;
  /** Held by us until the commit. */
  readonly licenses: ReadonlyMap<string, LicenseRow>;
  readonly clashes: readonly ReceiptRow[];
  /** By `<dataset_id>/<version>`. */
  readonly versions: ReadonlyMap<string, VersionRow>;
  readonly lossesOf: (version: VersionName) => VersionLosses;
  /** The receipt of before that a use overlaps, by the use's place in the chunk. */
  readonly overlaps: ReadonlyMap<number, string>;
}

/** A receipt that counts, and what it costs. */
export interface Counted {
  readonly verified: VerifiedReceipt;
  readonly license: LicenseRow;
  readonly flags: readonly ReceiptFlag[];
  readonly breachOf: number | undefined;
  readonly lostSince: number | undefined;
  readonly unitsTotal: bigint;
  readonly chargedBeforeMicros: bigint;
  readonly chargeMicros: bigint;
}

/** What becomes of one receipt: it counts, or it was accepted before, in the database or in this very chunk. */
export type Decision =
  | { readonly kind: "new"; readonly counted: Counted }
  | { readonly kind: "known"; readonly row: ReceiptRow }
  | { readonly kind: "repeated"; readonly counted: Counted };

/** What is decided of a chunk, in its order, and what its licenses come to. */
export interface Decided {
  readonly decisions: readonly Result<Decision>[];
  readonly charges: readonly Charge[];
}

/**
 * Decides the receipts of a chunk one after the other, each with what the ones before it changed.
 *
 * Refuses, in this order: `receipt_id_reused`, `receipt_nonce_reused`, `receipt_license_unknown`,
 * `receipt_license_not_yours`, `receipt_dataset_wrong`, `receipt_model_wrong`, `receipt_version_wrong`,
 * `receipt_fingerprint_wrong`, `receipt_unit_wrong`, `receipt_currency_wrong`,
 * `receipt_period_invalid`, `receipt_period_overlaps`, `receipt_amount_too_large`.
 */
export function decideReceipts(known: Known, receipts: readonly Result<VerifiedReceipt>[]): Decided {
  const chunk: Chunk = { known, charges: new Map(), byId: new Map(), byNonce: new Map(), uses: new Map() };
  const decisions = receipts.map((verified, place) => (verified.ok ? decide(chunk, verified.value, place) : verified));
  return { decisions, charges: [...chunk.charges.values()] };
}

/** What the receipts of the chunk so far have changed. */
interface Chunk {
  readonly known: Known;
  readonly charges: Map<string, Charge>;
  readonly byId: Map<string, Counted>;
  readonly byNonce: Map<string, Counted>;
  /** By license and unit. */
  readonly uses: Map<string, Counted[]>;
}

function decide(chunk: Chunk, verified: VerifiedReceipt, place: number): Result<Decision> {
  const { receipt } = verified;
  const seen = findSeen(chunk, verified);
  if (seen !== undefined) return seen;
  const license = checkLicense(chunk.known, verified);
  if (!license.ok) return license;
  const version = checkVersion(chunk.known, verified, license.value);
  if (!version.ok) return version;
  const price = checkMeasure(verified, license.value);
  if (!price.ok) return price;
  const period = checkPeriod(chunk, verified, { version: version.value, license: license.value, place });
  if (!period.ok) return period;
  const counted = count(chunk, verified, { license: license.value, price: price.value });
  if (!counted.ok) return counted;
  chunk.byId.set(receipt.receipt_id, counted.value);
  chunk.byNonce.set(receipt.nonce, counted.value);
  const uses = chunk.uses.get(useName(verified)) ?? [];
  uses.push(counted.value);
  chunk.uses.set(useName(verified), uses);
  return accept({ kind: "new", counted: counted.value });
}

/** The same bytes again are the first answer again; the same id or nonce for other bytes is refused. */
function findSeen({ known, byId, byNonce }: Chunk, { receipt, sha256 }: VerifiedReceipt): Result<Decision> | undefined {
  const row = known.clashes.find((clash) => clash.receipt_id === receipt.receipt_id);
  const counted = byId.get(receipt.receipt_id);
  const seen = row?.sha256 ?? counted?.verified.sha256;
  if (seen !== undefined && seen !== sha256)
    return refuse("receipt_id_reused", `${receipt.receipt_id} was used for other bytes`);
  if (row !== undefined) return accept({ kind: "known", row });
  if (counted !== undefined) return accept({ kind: "repeated", counted });
  const isNonceUsed = byNonce.has(receipt.nonce) || known.clashes.some((clash) => clash.nonce === receipt.nonce);
  return isNonceUsed ? refuse("receipt_nonce_reused", `the nonce ${receipt.nonce} was used before`) : undefined;
}

function checkLicense({ licenses, marketplaceId }: Known, { receipt }: VerifiedReceipt): Result<LicenseRow> {
  const { license_id, dataset_id, model_id, model_fingerprint } = receipt;
  const license = licenses.get(license_id);
  if (license === undefined) return refuse("receipt_license_unknown", `there is no license ${license_id}`);
  if (license.marketplace_id !== marketplaceId)
    return refuse("receipt_license_not_yours", `the license ${license_id} is another marketplace's`);
  if (license.dataset_id !== dataset_id)
    return refuse("receipt_dataset_wrong", `expected ${license.dataset_id} under ${license_id}, got ${dataset_id}`);
  if (license.model_id !== model_id || license.model_fingerprint !== model_fingerprint)
    return refuse(
      "receipt_model_wrong",
      `expected ${license.model_id} with the fingerprint ${license.model_fingerprint} under ${license_id}, got ${model_id} with ${model_fingerprint}`,
    );
  return accept(license);
}

function checkVersion({ versions }: Known, { receipt }: VerifiedReceipt, license: LicenseRow): Result<VersionRow> {
  const { dataset_id, dataset_version, dataset_fingerprint } = receipt;
  if (dataset_version < license.dataset_version)
    return refuse(
      "receipt_version_wrong",
      `expected version ${license.dataset_version} or a later one under ${license.license_id}, got ${dataset_version}`,
    );
  const version = versions.get(`${dataset_id}/${dataset_version}`);
  if (version === undefined || version.items_root !== dataset_fingerprint)
    return refuse(
      "receipt_fingerprint_wrong",
      `expected ${version?.items_root ?? "a version that exists"} for version ${dataset_version}, got ${dataset_fingerprint}`,
    );
  return isCovered(versions, license, version)
    ? accept(version)
    : refuse(
        "receipt_version_wrong",
        `expected a license of version ${dataset_version}, which is offered otherwise than version ${license.dataset_version}, got ${license.license_id}`,
      );
}

/**
 * A license holds for later versions that ask the same for the same. One that is dearer, or for
 * other uses, may hold works whose consents do not allow what the license says.
 */
function isCovered(versions: Known["versions"], license: LicenseRow, version: VersionRow): boolean {
  if (version.version === license.dataset_version) return true;
  const licensed = versions.get(`${license.dataset_id}/${license.dataset_version}`);
  return licensed !== undefined && isSameOffer(offerOf(licensed), offerOf(version));
}

function checkMeasure({ receipt }: VerifiedReceipt, license: LicenseRow): Result<Price> {
  const price = parsePrice(license.price);
  if (price === undefined) throw new TypeError(`license ${license.license_id}: expected a price, got ${license.price}`);
  const unit = USAGE_OF[price.unit];
  if (unit !== undefined && receipt.usage.unit !== unit)
    return refuse("receipt_unit_wrong", `expected ${unit} at ${license.price}, got ${receipt.usage.unit}`);
  if (receipt.currency !== undefined && receipt.currency !== license.currency)
    return refuse("receipt_currency_wrong", `expected ${license.currency}, got ${receipt.currency}`);
  return accept(price);
}

interface Place {
  readonly version: VersionRow;
  readonly license: LicenseRow;
  readonly place: number;
}

function checkPeriod(
  { known, uses }: Chunk,
  verified: VerifiedReceipt,
  { version, license, place }: Place,
): Result<true> {
  const { receipt, period, licensedAt } = verified;
  const latest = known.now + CLOCK_SKEW_SECONDS;
  const begin = Math.max(version.published_at, license.issued_at);
  const earliest = begin - CLOCK_SKEW_SECONDS;
  if (period.to > latest || licensedAt > latest)
    return refuse(
      "receipt_period_invalid",
      `expected use that has happened by ${formatInstant(known.now)}, got period.to ${receipt.period.to} and licensed_at ${receipt.licensed_at}`,
    );
  if (period.from < earliest || licensedAt < earliest)
    return refuse(
      "receipt_period_invalid",
      `expected use after ${formatInstant(begin)}, when the version was published and the license issued, got period.from ${receipt.period.from} and licensed_at ${receipt.licensed_at}`,
    );
  const other =
    known.overlaps.get(place) ??
    uses.get(useName(verified))?.find((counted) => doOverlap(counted.verified.period, period))?.verified.receipt
      .receipt_id;
  return other === undefined
    ? accept(true)
    : refuse(
        "receipt_period_overlaps",
        `expected time that no other receipt of ${license.license_id} is about, got ${receipt.period.from} to ${receipt.period.to}, which overlaps ${other}`,
      );
}

/** A period without length overlaps only one that it lies within. */
function doOverlap(left: VerifiedReceipt["period"], right: VerifiedReceipt["period"]): boolean {
  return left.from < right.to && right.from < left.to;
}

function useName({ receipt }: VerifiedReceipt): string {
  return `${receipt.license_id} ${receipt.usage.unit}`;
}

interface Priced {
  readonly license: LicenseRow;
  readonly price: Price;
}

function count({ known, charges }: Chunk, verified: VerifiedReceipt, { license, price }: Priced): Result<Counted> {
  const { license_id } = license;
  const before = charges.get(license_id) ?? chargeOf(license);
  const units = BigInt(verified.receipt.usage.count);
  const unitsTotal = before.units_reported + units;
  if (unitsTotal > MAX_LICENSE_MICROS || (price.unit !== "flat" && valueOf(price, unitsTotal) > MAX_LICENSE_MICROS))
    return refuse(
      "receipt_amount_too_large",
      `expected at most 10^30 micro-units for all uses under ${license_id}, got ${unitsTotal} ${verified.receipt.usage.unit} at ${license.price}`,
    );
  const chargeMicros = chargeFor(price, { units: before.units_reported, chargedMicros: before.charged_micros }, units);
  const total = before.charged_micros + chargeMicros;
  const isOver = license.spend_cap_micros !== null && total > BigInt(license.spend_cap_micros);
  charges.set(license_id, {
    license_id,
    units_reported: unitsTotal,
    charged_micros: total,
    over_cap_at: before.over_cap_at ?? (isOver ? known.now : null),
  });
  const { flags, breachOf, lostSince } = judgeUse(
    { ...verified.period, licensedAt: verified.licensedAt },
    known.lossesOf(verified.receipt),
    license,
  );
  return accept({
    verified,
    license,
    flags: isOver ? [...flags, "over_cap"] : flags,
    breachOf,
    lostSince,
    unitsTotal,
    chargedBeforeMicros: before.charged_micros,
    chargeMicros,
  });
}

function chargeOf({ license_id, units_reported, charged_micros, over_cap_at }: LicenseRow): Charge {
  return { license_id, units_reported: BigInt(units_reported), charged_micros: BigInt(charged_micros), over_cap_at };
}
