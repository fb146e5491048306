import { type Result, accept, formatMoney, refuse } from "@licet/protocol";
import { requireAcceptance } from "../agreements/lookup.ts";
import type { Context } from "../context.ts";
import { termsOfVersion } from "../datasets/lookup.ts";
import { requireVersion } from "../datasets/read-dataset.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { type Principal, actorOf } from "../http/principal.ts";
import { holdReceiptKeys } from "../marketplaces/lookup.ts";
import { checkLicenseScope } from "./check-scope.ts";
import { DAY_SECONDS, type HeldDataset, flatFeeOf, holdDataset, postFee } from "./issue-license.ts";
import { type LicensePolicy, isCovered, readPolicy, requireTerm } from "./license-policy.ts";
import { checkOwn, readLicense } from "./read-licenses.ts";
import { type SignedToken, chooseAudience, readOrigins, signToken } from "./sign-token.ts";
import { type LicenseRow, lockLicenses, saveCharges, scopeOf, updateLicenses } from "./store.ts";

export interface Renewal {
  readonly principal: Principal;
  readonly termDays: number | undefined;
}

export interface Renewed {
  readonly license: LicenseRow;
  readonly signed: SignedToken;
}

/** A renewal that would add less is taken for a repeated call: nobody pays another term for seconds. */
const MIN_ADDED_SECONDS = 3_600;

/**
 * Lets a license that is in force go on for another term, counted from now: on the same terms, for
 * the dataset as it is now, whose pool gets the flat price of the new term if there is one. A term
 * that ends less than an hour after the license does changes nothing.
 *
 * Refuses `not_found`, `not_yours`, `license_not_active`, `license_not_renewable`, `license_over_cap`,
 * `agreement_not_accepted`, `conflict` (nothing of the dataset stands), `license_terms_changed`,
 * `license_scope_not_granted`, `license_scope_not_offered`, `license_term_too_long` and
 * `key_not_in_force`.
 */
export async function renewLicense(ctx: Context, licenseId: string, renewal: Renewal): Promise<Result<Renewed>> {
  const { principal } = renewal;
  const known = await readLicense(ctx, principal, licenseId);
  if (!known.ok) return known;
  const { dataset_id: datasetId, marketplace_id: marketplaceId } = known.value;
  const found = await requireVersion(ctx, principal, { datasetId });
  if (!found.ok) return found;
  const { version } = found.value;
  const granted = await checkLicenseScope(ctx.db, version, { scope: scopeOf(known.value), marketplaceId });
  const audience = chooseAudience(await readOrigins(ctx.db, datasetId, version.version), undefined);
  if (!audience.ok) return audience;
  return writeFact<Renewed>(ctx, async (fact) => {
    const held = await holdDataset(fact.trx, version);
    const keys = await holdReceiptKeys(fact.trx, marketplaceId);
    const own = checkOwn((await lockLicenses(fact.trx, [licenseId]))[0], licenseId, principal);
    if (!own.ok) return own;
    const renewable = requireRenewable(own.value, fact.now);
    if (!renewable.ok) return renewable;
    if (!held.ok) return held;
    const renewed = granted.ok ? await renew(fact, own.value, { ...renewal, held: held.value }) : granted;
    if (!renewed.ok) return renewed;
    const signed = await signToken(fact, renewed.value, { audience: audience.value, keys });
    return signed.ok ? accept({ license: renewed.value, signed: signed.value }) : signed;
  });
}

/** Refuses `license_not_active`, `license_not_renewable` and `license_over_cap`. */
function requireRenewable(license: LicenseRow, now: number): Result<true> {
  const { license_id: id } = license;
  const active = requireActive(license, now);
  if (!active.ok) return active;
  if (!license.is_renewable) return refuse("license_not_renewable", `the license ${id} was given for one term`);
  return license.over_cap_at === null
    ? accept(true)
    : refuse(
        "license_over_cap",
        `${id} has used ${license.charged_micros} of ${license.spend_cap_micros ?? "0"} micro-units of ${license.currency}`,
      );
}

/** Refuses `license_not_active`, also what no sweep has ended yet although its time is over. */
export function requireActive({ license_id, state, expires_at }: LicenseRow, now: number): Result<true> {
  if (state === "active" && expires_at > now) return accept(true);
  return refuse(
    "license_not_active",
    `the license ${license_id} ${state === "revoked" ? "was revoked" : "has expired"}`,
  );
}

async function renew(
  fact: Fact,
  license: LicenseRow,
  { principal, termDays, held }: Renewal & { readonly held: HeldDataset },
): Promise<Result<LicenseRow>> {
  const policy = await readPolicy(fact.trx, license.dataset_id);
  const accepted = await requireAcceptance(fact.trx, license.marketplace_id, policy.agreement);
  if (!accepted.ok) return accepted;
  const { price, currency, license: terms } = termsOfVersion(held.version);
  if (price !== license.price || currency !== license.currency || terms !== license.terms)
    return refuse(
      "license_terms_changed",
      `${license.license_id} is at ${license.price} ${license.currency} under ${license.terms}, the dataset by now at ${price} ${currency} under ${terms}`,
    );
  const term = requireTerm(policy, termDays);
  if (!term.ok) return term;
  const allowed = checkPolicy(policy, license, term.value);
  if (!allowed.ok) return allowed;
  const expires_at = fact.now + term.value * DAY_SECONDS;
  if (expires_at < license.expires_at + MIN_ADDED_SECONDS) return accept(license);
  const charged = await chargeTerm(fact, license, { version: held.version.version, expiresAt: expires_at });
  if (!charged.ok) return charged;
  const changes = { expires_at, renewed_at: fact.now, agreement: accepted.value.agreement };
  await updateLicenses(fact.trx, [license.license_id], changes);
  const { license_id, dataset_id, marketplace_id, model_fingerprint } = license;
  fact.record({
    type: "license.renewed",
    aggregate: license_id,
    body: { license_id, dataset_id, marketplace_id, model_fingerprint, expires_at, by: actorOf(principal) },
  });
  return accept({ ...license, ...changes, charged_micros: charged.value });
}

/** Charges the flat price of one more term, and answers what the license comes to. Refuses `license_over_cap`. */
async function chargeTerm(
  fact: Fact,
  license: LicenseRow,
  { version, expiresAt }: { readonly version: number; readonly expiresAt: number },
): Promise<Result<string>> {
  const feeMicros = flatFeeOf(license.price);
  if (feeMicros === 0n) return accept(license.charged_micros);
  const { license_id, currency, spend_cap_micros, over_cap_at } = license;
  const charged_micros = BigInt(license.charged_micros) + feeMicros;
  if (spend_cap_micros !== null && charged_micros > BigInt(spend_cap_micros))
    return refuse(
      "license_over_cap",
      `${license_id} would come to ${formatMoney(charged_micros, currency)} with another term, over its cap of ${formatMoney(BigInt(spend_cap_micros), currency)}`,
    );
  const units_reported = BigInt(license.units_reported);
  await saveCharges(fact.trx, [{ license_id, units_reported, charged_micros, over_cap_at }]);
  const reference = `${license_id}/${expiresAt}`;
  postFee(fact, { ...license, dataset_version: version }, { feeMicros, reference });
  return accept(String(charged_micros));
}

/** What was approved by hand may be renewed as it was approved; a rule is asked again. */
function checkPolicy({ mode, rule }: LicensePolicy, license: LicenseRow, termDays: number): Result<true> {
  const asked = { scope: scopeOf(license), marketplaceId: license.marketplace_id, termDays };
  return mode !== "rule" || isCovered(rule, asked)
    ? accept(true)
    : refuse(
        "license_not_renewable",
        `the rule of ${license.dataset_id} does not say yes to ${license.license_id} any more`,
      );
}
