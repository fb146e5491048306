import { type Result, accept, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { nowSeconds } from "../context.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { type Principal, actorOf } from "../http/principal.ts";
import { setStatuses } from "../status-lists/set-status.ts";
import { checkOwn } from "./read-licenses.ts";
import { type LicenseRow, lockLicenses, readOverdueLicenses, updateLicenses } from "./store.ts";

export interface LicenseEnd {
  readonly state: "revoked" | "expired";
  readonly by: string;
  readonly reason: string;
}

/** Ends those of these licenses that are in force, which the caller holds: rows, bits, events. Answers them as they are now. */
export async function endLicenses(
  fact: Fact,
  rows: readonly LicenseRow[],
  { state, by, reason }: LicenseEnd,
): Promise<readonly LicenseRow[]> {
  const ended = rows
    .filter((row) => row.state === "active")
    .map((row) => ({ ...row, state, ended_at: fact.now, ended_by: by, reason }));
  if (ended.length === 0) return [];
  const licenseIds = ended.map((row) => row.license_id);
  await updateLicenses(fact.trx, licenseIds, { state, ended_at: fact.now, ended_by: by, reason });
  setStatuses(fact, ended, "revoked");
  for (const { license_id, dataset_id, marketplace_id, model_fingerprint } of ended)
    fact.record({
      type: `license.${state}`,
      aggregate: license_id,
      body: { license_id, dataset_id, marketplace_id, model_fingerprint, by, reason, at: fact.now },
    });
  return ended;
}

/**
 * Ends a license for good, by its marketplace or by the platform; the other side hears of it. Revoked
 * before, it answers the same. Refuses `not_found`, `not_yours`, and `license_not_active` once its
 * time is over.
 */
export async function revokeLicense(
  ctx: Context,
  licenseId: string,
  { principal, reason }: { readonly principal: Principal; readonly reason: string },
): Promise<Result<LicenseRow>> {
  return writeFact<LicenseRow>(ctx, async (fact) => {
    const own = checkOwn((await lockLicenses(fact.trx, [licenseId]))[0], licenseId, principal);
    if (!own.ok || own.value.state === "revoked") return own;
    if (own.value.state === "expired") return refuse("license_not_active", `the license ${licenseId} has expired`);
    const [ended] = await endLicenses(fact, [own.value], { state: "revoked", by: actorOf(principal), reason });
    return accept(ended ?? own.value);
  });
}

/** Licenses that expire in one fact. */
const BATCH = 100;

/** Expiry is a fact of its own: the bits and the marketplaces learn of it like of a revocation. */
export async function expireLicenses(ctx: Context): Promise<void> {
  let overdue = await readOverdueLicenses(ctx.db, nowSeconds(ctx), BATCH);
  while (overdue.length > 0) {
    const licenseIds = overdue;
    await writeFact(ctx, async (fact) => {
      const rows = (await lockLicenses(fact.trx, licenseIds)).filter((row) => row.expires_at <= fact.now);
      await endLicenses(fact, rows, { state: "expired", by: "timer", reason: "the license's time is over" });
      return accept(undefined);
    });
    overdue = await readOverdueLicenses(ctx.db, nowSeconds(ctx), BATCH);
  }
}
