import { type Result, accept, refuse } from "@licet/protocol";
import { requireAcceptance } from "../agreements/lookup.ts";
import type { Context } from "../context.ts";
import { requireVersion } from "../datasets/read-dataset.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { type Principal, actorOf } from "../http/principal.ts";
import { checkLicenseScope } from "./check-scope.ts";
import { type HeldDataset, findSame, holdDataset, issueLicense } from "./issue-license.ts";
import type { ApprovalInput } from "./license-input.ts";
import { lowerCap, readPolicy, requireTerm } from "./license-policy.ts";
import { type LicenseRequestRow, findRequest, lockRequest, updateRequest } from "./request-store.ts";
import { type LicenseRow, scopeOf } from "./store.ts";

export interface Approval {
  readonly principal: Principal;
  readonly input: ApprovalInput;
}

/**
 * Says yes to a request that waits: everything is checked once more, because the works, the dataset
 * and the agreement may have changed since. The marketplace hears of it and asks for a token.
 *
 * Refuses `not_found`, `license_request_settled`, `conflict` (nothing of the dataset stands),
 * `agreement_not_accepted`, `license_scope_not_granted`, `license_scope_not_offered`,
 * `license_model_taken` and `license_term_too_long`.
 */
export async function approveRequest(ctx: Context, requestId: string, approval: Approval): Promise<Result<LicenseRow>> {
  const asked = await findRequest(ctx.db, requestId);
  const open = requireOpen(asked, requestId);
  if (!open.ok) return open;
  const { dataset_id: datasetId, marketplace_id: marketplaceId } = open.value;
  const found = await requireVersion(ctx, approval.principal, { datasetId });
  if (!found.ok) return found;
  const { version } = found.value;
  const granted = await checkLicenseScope(ctx.db, version, { scope: scopeOf(open.value), marketplaceId });
  return writeFact<LicenseRow>(ctx, async (fact) => {
    const held = await holdDataset(fact.trx, version);
    if (!held.ok) return held;
    const request = requireOpen(await lockRequest(fact.trx, requestId), requestId);
    if (!request.ok) return request;
    return granted.ok ? approve(fact, request.value, { ...approval, held: held.value }) : granted;
  });
}

async function approve(
  fact: Fact,
  request: LicenseRequestRow,
  { principal, input, held }: Approval & { readonly held: HeldDataset },
): Promise<Result<LicenseRow>> {
  const policy = await readPolicy(fact.trx, request.dataset_id);
  const accepted = await requireAcceptance(fact.trx, request.marketplace_id, policy.agreement);
  if (!accepted.ok) return accepted;
  const termDays = requireTerm(policy, input.term_days ?? request.term_days ?? undefined);
  if (!termDays.ok) return termDays;
  const asked = request.spend_cap_micros === null ? undefined : BigInt(request.spend_cap_micros);
  const ours = input.spend_cap_micros === undefined ? policy.spendCapMicros : BigInt(input.spend_cap_micros);
  const same = await findSame(fact, request, held.version);
  if (!same.ok) return same;
  const { dataset_id, marketplace_id, model_id, model_fingerprint, base_fingerprint, scope, jkt } = request;
  const license =
    same.value === undefined
      ? await issueLicense(fact, {
          wanted: { dataset_id, marketplace_id, model_id, model_fingerprint, base_fingerprint, scope, jkt },
          version: held.version,
          agreement: accepted.value.agreement,
          grounds: {
            termDays: termDays.value,
            spendCapMicros: lowerCap(ours, asked),
            isRenewable: input.renewable ?? policy.isRenewable,
          },
          by: actorOf(principal),
          requestId: request.request_id,
        })
      : accept(same.value);
  if (!license.ok) return license;
  await updateRequest(fact.trx, request.request_id, {
    state: "approved",
    decided_at: fact.now,
    decided_by: actorOf(principal),
    license_id: license.value.license_id,
  });
  return license;
}

/** Says no to a request that waits, and why. Refuses `not_found` and `license_request_settled`. */
export async function denyRequest(
  ctx: Context,
  requestId: string,
  { principal, reason }: { readonly principal: Principal; readonly reason: string },
): Promise<Result<LicenseRequestRow>> {
  return writeFact<LicenseRequestRow>(ctx, async (fact) => {
    const request = requireOpen(await lockRequest(fact.trx, requestId), requestId);
    if (!request.ok) return request;
    const changes = { state: "denied", decided_at: fact.now, decided_by: actorOf(principal), reason } as const;
    await updateRequest(fact.trx, requestId, changes);
    const { dataset_id, marketplace_id, model_fingerprint } = request.value;
    fact.record({
      type: "license.denied",
      aggregate: requestId,
      body: {
        request_id: requestId,
        dataset_id,
        marketplace_id,
        model_fingerprint,
        by: changes.decided_by,
        reason,
      },
    });
    return accept({ ...request.value, ...changes });
  });
}

function requireOpen(request: LicenseRequestRow | undefined, requestId: string): Result<LicenseRequestRow> {
  if (request === undefined) return refuse("not_found", `there is no request ${requestId}`);
  return request.state === "pending"
    ? accept(request)
    : refuse("license_request_settled", `the request ${requestId} was ${request.state} by ${request.decided_by ?? ""}`);
}
