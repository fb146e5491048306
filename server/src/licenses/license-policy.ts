import { type Result, accept, checkScope, formatInstant, refuse } from "@licet/protocol";
import { DEFAULT_AGREEMENT, findNewestAgreement } from "../agreements/lookup.ts";
import type { Context } from "../context.ts";
import { findDataset, lockDatasets } from "../datasets/lookup.ts";
import type { Db, Trx } from "../db/open-database.ts";
import { BY_RESTORE } from "../events/journal-entry.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { isWithin } from "./check-scope.ts";
import type { PolicyInput, policySchema } from "./license-input.ts";
import { type LicensePolicyRow, findPolicy, savePolicy } from "./request-store.ts";
import type { z } from "@hono/zod-openapi";

const DEFAULT_TERM_DAYS = 365;

/** What decides about requests for licenses of a dataset. */
export interface LicensePolicy {
  readonly mode: LicensePolicyRow["mode"];
  readonly rule: PolicyInput["rule"];
  readonly agreement: string;
  readonly maxTermDays: number;
  readonly spendCapMicros: bigint | undefined;
  readonly isRenewable: boolean;
}

/** Where nobody has said anything, a person decides. */
const DEFAULT_POLICY: LicensePolicy = {
  mode: "manual",
  rule: undefined,
  agreement: DEFAULT_AGREEMENT,
  maxTermDays: DEFAULT_TERM_DAYS,
  spendCapMicros: undefined,
  isRenewable: true,
};

export async function readPolicy(db: Db | Trx, datasetId: string): Promise<LicensePolicy> {
  const row = await findPolicy(db, datasetId);
  return row === undefined ? DEFAULT_POLICY : policyOf(row);
}

function policyOf(row: LicensePolicyRow): LicensePolicy {
  return {
    mode: row.mode,
    rule: row.rule === null ? undefined : JSON.parse(row.rule),
    agreement: row.agreement,
    maxTermDays: row.max_term_days,
    spendCapMicros: row.spend_cap_micros === null ? undefined : BigInt(row.spend_cap_micros),
    isRenewable: row.is_renewable,
  };
}

/** What is asked for: a scope, by whom, for how long, at most for how much. */
export interface Asked {
  readonly scope: readonly string[];
  readonly marketplaceId: string;
  readonly termDays: number | undefined;
  readonly spendCapMicros: bigint | undefined;
}

/** On what a license is given. */
export interface Grounds {
  readonly termDays: number;
  readonly spendCapMicros: bigint | undefined;
}

export type Verdict = { readonly kind: "issue"; readonly grounds: Grounds } | { readonly kind: "wait" };

/** What a policy says to a request. Refuses `license_term_too_long`. */
export function decide(policy: LicensePolicy, asked: Asked): Result<Verdict> {
  const termDays = requireTerm(policy, asked.termDays);
  if (!termDays.ok) return termDays;
  if (policy.mode === "manual" || !isCovered(policy.rule, { ...asked, termDays: termDays.value }))
    return accept<Verdict>({ kind: "wait" });
  const ruleCap = policy.rule?.spend_cap_micros;
  const cap = ruleCap === undefined ? policy.spendCapMicros : BigInt(ruleCap);
  return accept<Verdict>({
    kind: "issue",
    grounds: { termDays: termDays.value, spendCapMicros: lowerCap(cap, asked.spendCapMicros) },
  });
}

/** Refuses `license_term_too_long`. */
export function requireTerm({ maxTermDays }: LicensePolicy, asked: number | undefined): Result<number> {
  if (asked !== undefined && asked > maxTermDays)
    return refuse("license_term_too_long", `term_days: expected at most ${maxTermDays}, got ${asked}`);
  return accept(asked ?? Math.min(DEFAULT_TERM_DAYS, maxTermDays));
}

/** The lower of two caps; none is no cap. */
export function lowerCap(one: bigint | undefined, other: bigint | undefined): bigint | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return one < other ? one : other;
}

/** True when there is no rule, or it says yes to all that is asked. */
export function isCovered(
  rule: PolicyInput["rule"],
  { scope, marketplaceId, termDays }: Pick<Asked, "scope" | "marketplaceId"> & { readonly termDays: number },
): boolean {
  if (rule === undefined) return true;
  return (
    (rule.marketplaces?.includes(marketplaceId) ?? true) &&
    (rule.scope === undefined || isWithin(scope, rule.scope)) &&
    termDays <= (rule.max_term_days ?? termDays)
  );
}

/** Sets how requests for licenses of a dataset are decided from now on. Refuses `not_found`, `scope_unknown`, `scope_contradictory` and `input_invalid`. */
export async function changePolicy(
  ctx: Context,
  datasetId: string,
  { input, by }: { readonly input: PolicyInput; readonly by: string },
): Promise<Result<z.infer<typeof policySchema>>> {
  const scope = input.rule?.scope === undefined ? accept([]) : checkScope(input.rule.scope);
  if (!scope.ok) return scope;
  return writeFact(ctx, async (fact) => {
    const [dataset] = await lockDatasets(fact.trx, [datasetId]);
    if (dataset === undefined) return refuse("not_found", `there is no dataset ${datasetId}`);
    const agreement = input.agreement ?? DEFAULT_AGREEMENT;
    if ((await findNewestAgreement(fact.trx, agreement)) === undefined)
      return refuse("input_invalid", `body.agreement: expected the name of a published agreement, got ${agreement}`);
    const row: LicensePolicyRow = {
      dataset_id: datasetId,
      mode: input.mode,
      rule: input.rule === undefined ? null : JSON.stringify(input.rule),
      agreement,
      max_term_days: input.max_term_days ?? DEFAULT_POLICY.maxTermDays,
      spend_cap_micros: input.spend_cap_micros ?? null,
      is_renewable: input.renewable ?? DEFAULT_POLICY.isRenewable,
      updated_at: fact.now,
      updated_by: by,
    };
    await savePolicy(fact.trx, row);
    recordChange(fact, row);
    return accept(policyView(datasetId, row));
  });
}

/**
 * Has a person decide about a dataset's requests again: its policy was changed after the backup, and
 * the one that the backup has may say yes to what was no more to be had. Answers whether there was one.
 */
export async function loseLicensePolicy(ctx: Context, datasetId: string): Promise<Result<boolean>> {
  return writeFact(ctx, async (fact) => {
    await lockDatasets(fact.trx, [datasetId]);
    const known = await findPolicy(fact.trx, datasetId);
    if (known === undefined || known.mode === "manual") return accept(false);
    const row = { ...known, mode: "manual" as const, updated_at: fact.now, updated_by: BY_RESTORE };
    await savePolicy(fact.trx, row);
    recordChange(fact, row);
    return accept(true);
  });
}

function recordChange(fact: Fact, row: LicensePolicyRow): void {
  const { dataset_id, mode, updated_by } = row;
  fact.record({
    type: "license-policy.changed",
    aggregate: dataset_id,
    body: { dataset_id, by: updated_by, mode, policy: JSON.stringify(policyView(dataset_id, row)) },
  });
}

/** The policy of a dataset, also where nobody has set one. Refuses `not_found`. */
export async function showPolicy(ctx: Context, datasetId: string): Promise<Result<z.infer<typeof policySchema>>> {
  if ((await findDataset(ctx.db, datasetId)) === undefined)
    return refuse("not_found", `there is no dataset ${datasetId}`);
  return accept(policyView(datasetId, await findPolicy(ctx.db, datasetId)));
}

function policyView(datasetId: string, row: LicensePolicyRow | undefined): z.infer<typeof policySchema> {
  const { mode, rule, agreement, maxTermDays, spendCapMicros, isRenewable } =
    row === undefined ? DEFAULT_POLICY : policyOf(row);
  return {
    dataset_id: datasetId,
    mode,
    ...(rule === undefined ? {} : { rule: { ...rule } }),
    agreement,
    max_term_days: maxTermDays,
    ...(spendCapMicros === undefined ? {} : { spend_cap_micros: String(spendCapMicros) }),
    renewable: isRenewable,
    ...(row === undefined ? {} : { updated_at: formatInstant(row.updated_at), updated_by: row.updated_by }),
  };
}
