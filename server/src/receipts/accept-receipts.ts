import {
  type JsonObject,
  type Result,
  accept,
  canonicalize,
  countersignReceipt,
  formatInstant,
  isInForce,
  refuse,
} from "@licet/protocol";
import type { Context } from "../context.ts";
import { readVersionLosses, readVersionsByName } from "../datasets/lookup.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { type NewTransaction, postTransactions } from "../ledger/post-transactions.ts";
import { lockLicenses, saveCharges } from "../licenses/lookup.ts";
import { holdReceiptKeys } from "../marketplaces/lookup.ts";
import { type Counted, type Decision, type Known, decideReceipts } from "./decide-receipts.ts";
import { type NewReceipt, findClashes, findOverlaps, insertReceipts } from "./store.ts";
import { type VerifiedReceipt, believeKnown, verifyReceipts } from "./verify-receipt.ts";

/** A version beyond this fits no column, and no dataset. */
const MAX_VERSION = 2 ** 31 - 1;

export interface AcceptedReceipt {
  /** False when the same bytes were accepted before: the first answer again. */
  readonly isNew: boolean;
  /** The receipt with its countersignature, as canonical JSON. */
  readonly text: string;
}

/** Whose receipts they are, and how they came. */
export interface Intake {
  readonly marketplaceId: string;
  /** True when the platform asked for them. */
  readonly pulled: boolean;
}

/**
 * Accepts a chunk of usage receipts in one fact, and countersigns them: the answers are in the
 * receipts' order, and a refused one hurts nobody else.
 *
 * Refuses, for each, what {@link verifyReceipts} and {@link decideReceipts} refuse, in that order.
 */
export async function acceptReceipts(
  ctx: Context,
  intake: Intake,
  received: readonly Result<JsonObject>[],
): Promise<readonly Result<AcceptedReceipt>[]> {
  return acceptVerified(ctx, intake, await verifyReceipts(ctx, intake.marketplaceId, received));
}

/** Accepts a chunk of receipts that were verified a moment ago. */
export async function acceptVerified(
  ctx: Context,
  { marketplaceId, pulled }: Intake,
  verified: readonly Result<VerifiedReceipt>[],
): Promise<readonly Result<AcceptedReceipt>[]> {
  const isNothingLeft = verified.every((entry) => !entry.ok);
  if (isNothingLeft) return verified.flatMap((entry) => (entry.ok ? [] : [entry]));
  const accepted = await writeFact<readonly Result<AcceptedReceipt>[]>(ctx, async (fact) => {
    const held = await holdSigned(fact, marketplaceId, verified);
    const known = await readKnown(fact, marketplaceId, held);
    const { decisions, charges } = decideReceipts(known, held);
    const counted = decisions.flatMap((entry) => (entry.ok && entry.value.kind === "new" ? [entry.value.counted] : []));
    const rows = new Map<Counted, NewReceipt>();
    if (counted.length > 0) {
      const signed = await countersign(fact, counted);
      for (const [index, entry] of counted.entries())
        rows.set(entry, rowOf(fact, entry, { receipt: signed[index] ?? {}, pulled }));
      await saveCharges(fact.trx, charges);
      store(fact, counted, [...rows.values()]);
    }
    return accept(decisions.map((entry) => (entry.ok ? accept(answerOf(entry.value, rows)) : entry)));
  });
  return accepted.ok ? accepted.value : verified.map(() => accepted);
}

/** Since the signatures were verified, keys may have ended; from here on none does. What is known already needs none. */
async function holdSigned(
  { trx, now }: Fact,
  marketplaceId: string,
  verified: readonly Result<VerifiedReceipt>[],
): Promise<readonly Result<VerifiedReceipt>[]> {
  const kids = new Set(verified.flatMap((entry) => (entry.ok ? [entry.value.receipt.key_id] : [])));
  const keys = await holdReceiptKeys(trx, marketplaceId, [...kids]);
  const held = verified.map((entry): Result<VerifiedReceipt> => {
    if (!entry.ok) return entry;
    const kid = entry.value.receipt.key_id;
    const key = keys.get(kid);
    return key !== undefined && isInForce(key, now)
      ? entry
      : refuse("key_not_in_force", `the key ${kid} is not in force`);
  });
  return believeKnown(trx, marketplaceId, { read: verified, verified: held });
}

/** Holds the licenses, and reads everything else that the chunk is decided by. */
async function readKnown(
  { trx, now }: Fact,
  marketplaceId: string,
  verified: readonly Result<VerifiedReceipt>[],
): Promise<Known> {
  const entries = verified.flatMap((entry, place) => (entry.ok ? [{ ...entry.value, place }] : []));
  const receipts = entries.map((entry) => entry.receipt);
  const licenseIds = [...new Set(receipts.map((receipt) => receipt.license_id))].sort();
  const licenses = await lockLicenses(trx, licenseIds);
  const versions = await readVersionsByName(
    trx,
    [...receipts.filter((receipt) => receipt.dataset_version <= MAX_VERSION), ...licenses].map(
      ({ dataset_id, dataset_version }) => ({ dataset_id, version: dataset_version }),
    ),
  );
  const uses = entries.map(({ receipt, period }) => ({
    license_id: receipt.license_id,
    unit: receipt.usage.unit,
    period_from: period.from,
    period_to: period.to,
  }));
  const overlaps = await findOverlaps(trx, uses);
  return {
    now,
    marketplaceId,
    licenses: new Map(licenses.map((row) => [row.license_id, row])),
    clashes: await findClashes(trx, marketplaceId, receipts),
    versions: new Map(versions.map((row) => [`${row.dataset_id}/${row.version}`, row])),
    lossesOf: await readVersionLosses(trx, versions),
    overlaps: new Map(overlaps.map(({ place, receipt_id }) => [entries[place]?.place ?? -1, receipt_id])),
  };
}

async function countersign({ ctx, trx, now }: Fact, counted: readonly Counted[]): Promise<readonly JsonObject[]> {
  const signer = await ctx.signingKeys.signerIn(trx, "receipt", now);
  const acceptedAt = formatInstant(now);
  return Promise.all(
    counted.map(async ({ verified: { document, sha256 }, flags }) => {
      const countersignature = await countersignReceipt(document, ctx.origin, { acceptedAt, flags, sha256 }, signer);
      const { flags: said, ...rest } = countersignature;
      return { ...document, countersignature: said === undefined ? rest : { ...rest, flags: [...said] } };
    }),
  );
}

function rowOf(
  { now }: Fact,
  { verified, license, flags, chargeMicros }: Counted,
  { receipt: accepted, pulled }: { readonly receipt: JsonObject; readonly pulled: boolean },
): NewReceipt {
  const { receipt, sha256, period } = verified;
  return {
    receipt_id: receipt.receipt_id,
    marketplace_id: receipt.iss,
    dataset_id: receipt.dataset_id,
    dataset_version: receipt.dataset_version,
    nonce: receipt.nonce,
    sha256,
    model_id: receipt.model_id,
    model_fingerprint: receipt.model_fingerprint,
    unit: receipt.usage.unit,
    units: receipt.usage.count,
    receipt: canonicalize(accepted),
    accepted_at: now,
    license_id: license.license_id,
    flags: flags.join(" "),
    charged_micros: String(chargeMicros),
    currency: license.currency,
    pulled,
    period_from: period.from,
    period_to: period.to,
  };
}

/** Rows, events and charges. Numbers are given out under locks, so those come last. */
function store(fact: Fact, counted: readonly Counted[], rows: readonly NewReceipt[]): void {
  for (const entry of counted) recordAcceptance(fact, entry);
  recordLateUses(fact, counted);
  fact.beforeDocuments(() => insertReceipts(fact.trx, rows));
  const charged = counted.filter((entry) => entry.chargeMicros > 0n);
  if (charged.length > 0) postTransactions(fact, charged.map(chargeOf));
}

function recordAcceptance(fact: Fact, { verified, license, flags, breachOf, chargeMicros }: Counted): void {
  const { receipt, sha256, period } = verified;
  const about = {
    receipt_id: receipt.receipt_id,
    marketplace_id: receipt.iss,
    license_id: license.license_id,
    dataset_id: receipt.dataset_id,
    dataset_version: receipt.dataset_version,
    model_fingerprint: receipt.model_fingerprint,
  };
  fact.record({
    type: "receipt.accepted",
    aggregate: receipt.receipt_id,
    body: {
      ...about,
      receipt_sha256: sha256,
      flags: [...flags],
      charged_micros: String(chargeMicros),
      currency: license.currency,
    },
  });
  if (breachOf !== undefined)
    fact.record({
      type: "receipt.breach",
      aggregate: receipt.receipt_id,
      body: { ...about, lost_at: breachOf, period_from: period.from, period_to: period.to },
    });
}

/** Says once for each license and version what was learned from something that is lost: revocations did not know of it. */
function recordLateUses(fact: Fact, counted: readonly Counted[]): void {
  const late = counted.filter((entry) => entry.lostSince !== undefined);
  const uses = Map.groupBy(
    late,
    ({ license, verified }) => `${license.license_id}/${verified.receipt.dataset_version}`,
  );
  for (const entries of uses.values()) {
    const [{ verified, license } = {}] = entries;
    if (verified === undefined || license === undefined) continue;
    const { iss, dataset_id, dataset_version, model_fingerprint } = verified.receipt;
    fact.record({
      type: "receipt.late",
      aggregate: license.license_id,
      body: {
        marketplace_id: iss,
        license_id: license.license_id,
        dataset_id,
        dataset_version,
        model_fingerprint,
        receipts: entries.length,
        lost_since: Math.min(...entries.map(({ lostSince }) => lostSince ?? Number.MAX_SAFE_INTEGER)),
      },
    });
  }
}

/** What the marketplace owes for a receipt, and whose it becomes: the pool's of the version that was used. */
function chargeOf({ verified, license, unitsTotal, chargedBeforeMicros, chargeMicros }: Counted): NewTransaction {
  const { receipt } = verified;
  const { iss, dataset_id, dataset_version, receipt_id, usage } = receipt;
  return {
    kind: "usage_charge",
    reference: `${iss}/${receipt_id}`,
    currency: license.currency,
    entries: [
      { account: { kind: "marketplace", owner: iss }, amountMicros: chargeMicros },
      { account: { kind: "pool", owner: `${dataset_id}/${dataset_version}` }, amountMicros: -chargeMicros },
    ],
    explanation: {
      receipt_id,
      license_id: license.license_id,
      price: license.price,
      unit: usage.unit,
      units: String(usage.count),
      units_total: String(unitsTotal),
      charged_before_micros: String(chargedBeforeMicros),
      charge_micros: String(chargeMicros),
      marketplace_id: iss,
      dataset_id,
      dataset_version,
      model_id: receipt.model_id,
    },
  };
}

function answerOf(decision: Decision, rows: ReadonlyMap<Counted, NewReceipt>): AcceptedReceipt {
  const row = decision.kind === "known" ? decision.row : rows.get(decision.counted);
  if (row === undefined) throw new TypeError("expected a row for a receipt that counts");
  return { isNew: decision.kind === "new", text: row.receipt };
}
