import { type Insertable, type Selectable, type Updateable, sql } from "kysely";
import { anyOf } from "../db/any-of.ts";
import type { Db, Trx } from "../db/open-database.ts";
import type { Tables } from "../db/tables.ts";
import type { Page } from "../http/parameters.ts";

export type LicenseRow = Selectable<Tables["license"]>;

/** The scope as it is kept: its entries once each, in order, so that the same scope is the same text. */
export function scopeText(scope: readonly string[]): string {
  return [...new Set(scope)].sort().join(" ");
}

export function scopeOf({ scope }: Pick<LicenseRow, "scope">): readonly string[] {
  return scope.split(" ");
}

export async function insertLicense(trx: Trx, row: Insertable<Tables["license"]>): Promise<LicenseRow> {
  return trx.insertInto("license").values(row).returningAll().executeTakeFirstOrThrow();
}

export async function findLicense(db: Db | Trx, licenseId: string): Promise<LicenseRow | undefined> {
  return db.selectFrom("license").selectAll().where("license_id", "=", licenseId).executeTakeFirst();
}

/** Licenses by their ids. */
export async function readLicensesById(db: Db | Trx, licenseIds: readonly string[]): Promise<readonly LicenseRow[]> {
  if (licenseIds.length === 0) return [];
  return db.selectFrom("license").selectAll().where("license_id", "=", anyOf(licenseIds)).execute();
}

/** Licenses in the order of their ids, held by whoever changes, charges or ends them until the commit. */
export async function lockLicenses(trx: Trx, licenseIds: readonly string[]): Promise<readonly LicenseRow[]> {
  if (licenseIds.length === 0) return [];
  return trx
    .selectFrom("license")
    .selectAll()
    .where("license_id", "=", anyOf(licenseIds))
    .orderBy("license_id")
    .forUpdate()
    .execute();
}

/** Changes licenses that the caller holds. */
export async function updateLicenses(
  trx: Trx,
  licenseIds: readonly string[],
  changes: Omit<Updateable<Tables["license"]>, "units_reported" | "charged_micros" | "over_cap_at">,
): Promise<void> {
  if (licenseIds.length === 0) return;
  await trx.updateTable("license").set(changes).where("license_id", "=", anyOf(licenseIds)).execute();
}

/** Lets a license that the caller holds go on until an instant; false when it does so already, or is over. */
export async function extendLicense(
  trx: Trx,
  { license_id, state, expires_at }: Pick<LicenseRow, "license_id" | "state" | "expires_at">,
  until: number,
): Promise<boolean> {
  if (state !== "active" || expires_at >= until) return false;
  await updateLicenses(trx, [license_id], { expires_at: until });
  return true;
}

/** What was reported under a license by now, what that costs in all, and since when (seconds since the epoch) that is over the cap. */
export interface Charge {
  readonly license_id: string;
  readonly units_reported: bigint;
  readonly charged_micros: bigint;
  readonly over_cap_at: number | null;
}

/** Writes the new sums of licenses that the caller holds, all in one statement. */
export async function saveCharges(trx: Trx, charges: readonly Charge[]): Promise<void> {
  if (charges.length === 0) return;
  await sql`
    update license set units_reported = changed.units_reported, charged_micros = changed.charged_micros,
                       over_cap_at = changed.over_cap_at
      from unnest(${charges.map((charge) => charge.license_id)}::text[],
                  ${charges.map((charge) => String(charge.units_reported))}::text[]::numeric[],
                  ${charges.map((charge) => String(charge.charged_micros))}::text[]::numeric[],
                  ${charges.map((charge) => charge.over_cap_at)}::bigint[])
             as changed (license_id, units_reported, charged_micros, over_cap_at)
     where license.license_id = changed.license_id`.execute(trx);
}

/** What tells one license from another: to whom, of what, for which model, for what use, on what terms. */
export type LicenseTerms = Pick<
  LicenseRow,
  "dataset_id" | "marketplace_id" | "model_fingerprint" | "scope" | "price" | "currency" | "terms"
>;

/** The one license in force that says exactly this. */
export async function findStanding(trx: Trx, terms: LicenseTerms): Promise<LicenseRow | undefined> {
  return trx
    .selectFrom("license")
    .selectAll()
    .where("state", "=", "active")
    .where("dataset_id", "=", terms.dataset_id)
    .where("marketplace_id", "=", terms.marketplace_id)
    .where("model_fingerprint", "=", terms.model_fingerprint)
    .where("scope", "=", terms.scope)
    .where("price", "=", terms.price)
    .where("currency", "=", terms.currency)
    .where("terms", "=", terms.terms)
    .forUpdate()
    .executeTakeFirst();
}

/** Licenses whose time is over and that nobody has ended yet, the longest over first. */
export async function readOverdueLicenses(db: Db, now: number, limit: number): Promise<readonly string[]> {
  const rows = await db
    .selectFrom("license")
    .select("license_id")
    .where("state", "=", "active")
    .where("expires_at", "<=", now)
    .orderBy("expires_at")
    .limit(limit)
    .execute();
  return rows.map((row) => row.license_id);
}

export interface LicenseFilter {
  readonly datasetId?: string | undefined;
  readonly marketplaceId?: string | undefined;
  /** Of the model itself, or of the one it was made from. */
  readonly modelFingerprint?: string | undefined;
  readonly state?: LicenseRow["state"] | undefined;
}

export async function readLicenses(
  db: Db | Trx,
  { datasetId, marketplaceId, modelFingerprint, state, after, limit }: LicenseFilter & Page,
): Promise<readonly LicenseRow[]> {
  return db
    .selectFrom("license")
    .selectAll()
    .$if(datasetId !== undefined, (query) => query.where("dataset_id", "=", datasetId ?? ""))
    .$if(marketplaceId !== undefined, (query) => query.where("marketplace_id", "=", marketplaceId ?? ""))
    .$if(modelFingerprint !== undefined, (query) =>
      query.where((eb) =>
        eb.or([
          eb("model_fingerprint", "=", modelFingerprint ?? ""),
          eb("base_fingerprint", "=", modelFingerprint ?? ""),
        ]),
      ),
    )
    .$if(state !== undefined, (query) => query.where("state", "=", state ?? "active"))
    .$if(after !== undefined, (query) => query.where("license_id", ">", after ?? ""))
    .orderBy("license_id")
    .limit(limit + 1)
    .execute();
}

/** The datasets that these marketplaces have or had licenses of. */
export async function readLicensedDatasets(
  db: Db | Trx,
  marketplaceIds: readonly string[],
): Promise<readonly Pick<LicenseRow, "marketplace_id" | "dataset_id">[]> {
  return db
    .selectFrom("license")
    .select(["marketplace_id", "dataset_id"])
    .distinct()
    .where("marketplace_id", "=", anyOf(marketplaceIds))
    .orderBy("marketplace_id")
    .orderBy("dataset_id")
    .execute();
}

export type LicensedModelRow = Selectable<Tables["licensed_model"]>;

/** Whose model a fingerprint is; the first to say so has it. */
export async function claimModel(trx: Trx, row: LicensedModelRow): Promise<LicensedModelRow> {
  const inserted = await trx
    .insertInto("licensed_model")
    .values(row)
    .onConflict((conflict) => conflict.doNothing())
    .returningAll()
    .executeTakeFirst();
  return (
    inserted ??
    (await trx
      .selectFrom("licensed_model")
      .selectAll()
      .where("model_fingerprint", "=", row.model_fingerprint)
      .executeTakeFirstOrThrow())
  );
}

export async function findOrigins(
  db: Db | Trx,
  datasetId: string,
  version: number,
): Promise<readonly string[] | undefined> {
  const row = await db
    .selectFrom("version_origins")
    .select("origins")
    .where("dataset_id", "=", datasetId)
    .where("version", "=", version)
    .executeTakeFirst();
  return row?.origins.split(" ");
}

export async function insertOrigins(
  db: Db | Trx,
  datasetId: string,
  version: number,
  origins: readonly string[],
): Promise<void> {
  await db
    .insertInto("version_origins")
    .values({ dataset_id: datasetId, version, origins: origins.join(" ") })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

export async function findModel(db: Db | Trx, modelFingerprint: string): Promise<LicensedModelRow | undefined> {
  return db
    .selectFrom("licensed_model")
    .selectAll()
    .where("model_fingerprint", "=", modelFingerprint)
    .executeTakeFirst();
}
