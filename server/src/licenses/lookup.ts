import type { Db, Trx } from "../db/open-database.ts";
import { type LicenseFilter, type LicenseRow, readLicenses } from "./store.ts";

/** What other slices may ask of licenses. Amounts and units are numeric: `BigInt(row.charged_micros)`. */
export {
  type Charge,
  type LicenseRow,
  extendLicense,
  findLicense,
  lockLicenses,
  readLicensedDatasets,
  readLicensesById,
  saveCharges,
  scopeOf,
} from "./store.ts";

/** Licenses in one answer; whoever needs more goes on after the last id. */
const PAGE = 1_000;

/** Licenses of a dataset, of a model (or of one that was made from it), of a marketplace: a page of at most 1 000, by id. */
export async function readLicensesOf(
  db: Db | Trx,
  filter: LicenseFilter,
  after?: string,
): Promise<readonly LicenseRow[]> {
  return readLicenses(db, { ...filter, after, limit: PAGE - 1 });
}
