import { type Result, accept, checkScope, refuse } from "@licet/protocol";
import { ulid } from "ulid";
import { requireAcceptance } from "../agreements/lookup.ts";
import type { Context } from "../context.ts";
import type { VersionRow } from "../datasets/lookup.ts";
import { requireVersion } from "../datasets/read-dataset.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { type Principal, actorOf } from "../http/principal.ts";
import { holdReceiptKeys } from "../marketplaces/lookup.ts";
import { checkLicenseScope, makesModel } from "./check-scope.ts";
import {
  type HeldDataset,
  type Wanted,
  checkOwner,
  chooseKey,
  findSame,
  holdDataset,
  issueLicense,
  requireSameModel,
  requireStanding,
} from "./issue-license.ts";
import type { LicenseInput } from "./license-input.ts";
import { type LicensePolicy, type Verdict, decide, readPolicy } from "./license-policy.ts";
import { type LicenseRequestRow, countWaiting, findWaiting, insertRequest } from "./request-store.ts";
import {
  type Audience,
  type ReceiptKeys,
  type SignedToken,
  chooseAudience,
  readOrigins,
  signToken,
} from "./sign-token.ts";
import { type LicenseRow, findModel, scopeOf, scopeText } from "./store.ts";

/** Requests of one marketplace that may wait for one dataset. */
const MAX_WAITING = 100;

/** What came of a request: a license with a token, or a place in the queue. */
export type Requested =
  | {
      readonly kind: "issued";
      /** False when a license that says the same was in force already. */
      readonly isNew: boolean;
      readonly license: LicenseRow;
      readonly signed: SignedToken;
    }
  | { readonly kind: "waiting"; readonly request: LicenseRequestRow };

type Marketplace = Extract<Principal, { kind: "marketplace" }>;

/**
 * A marketplace asks for a license of a dataset. What the dataset's policy says yes to is issued at
 * once; the rest waits for a person. There is one license in force for the same dataset, marketplace,
 * model, scope and terms: asked for again, it is the answer again, with a fresh token. Bound to a key
 * that has ended since, it is `key_not_in_force`; for another model_id or base, `conflict`.
 *
 * Refuses, in this order: `scope_unknown`, `scope_contradictory`, `not_found`, `not_yours`,
 * `dataset_not_published`, `conflict` (nothing of it stands), `agreement_not_accepted`,
 * `license_scope_not_granted` (naming the works), `license_scope_not_offered`,
 * `receipt_key_unknown`, `key_not_in_force`, `license_model_taken`, `license_term_too_long`,
 * `license_requests_full`.
 */
export async function requestLicense(
  ctx: Context,
  principal: Marketplace,
  { datasetId, input }: { readonly datasetId: string; readonly input: LicenseInput },
): Promise<Result<Requested>> {
  const scope = checkScope(input.scope);
  if (!scope.ok) return scope;
  const { marketplaceId } = principal;
  const found = await requireVersion(ctx, principal, { datasetId });
  if (!found.ok) return found;
  const { dataset, version } = found.value;
  const standing = requireStanding(dataset);
  if (!standing.ok) return standing;
  const { agreement } = await readPolicy(ctx.db, datasetId);
  const accepted = await requireAcceptance(ctx.db, marketplaceId, agreement);
  if (!accepted.ok) return accepted;
  const granted = await checkLicenseScope(ctx.db, version, { scope: input.scope, marketplaceId });
  if (!granted.ok) return granted;
  const audience = chooseAudience(await readOrigins(ctx.db, datasetId, version.version), undefined);
  if (!audience.ok) return audience;
  return writeFact<Requested>(ctx, (fact) =>
    decideRequest(fact, { principal, input, version, audience: audience.value }),
  );
}

interface Deciding {
  readonly principal: Marketplace;
  readonly input: LicenseInput;
  /** The version that was looked at. */
  readonly version: VersionRow;
  readonly audience: Audience;
}

async function decideRequest(fact: Fact, deciding: Deciding): Promise<Result<Requested>> {
  const { principal, input, audience } = deciding;
  const { marketplaceId } = principal;
  const held = await holdDataset(fact.trx, deciding.version);
  if (!held.ok) return held;
  const policy = await readPolicy(fact.trx, deciding.version.dataset_id);
  const accepted = await requireAcceptance(fact.trx, marketplaceId, policy.agreement);
  if (!accepted.ok) return accepted;
  const keys = await holdReceiptKeys(fact.trx, marketplaceId);
  const jkt = chooseKey(keys, { asked: input.jkt, acceptedWith: accepted.value.kid, now: fact.now });
  if (!jkt.ok) return jkt;
  const wanted = wantedOf(deciding, jkt.value);
  const same = await findSame(fact, wanted, held.value.version);
  if (!same.ok) return same;
  if (same.value !== undefined) return answerWith(fact, same.value, { isNew: false, audience, keys });
  const owner = makesModel(scopeOf(wanted)) ? await findModel(fact.trx, wanted.model_fingerprint) : undefined;
  const own = owner === undefined ? accept(true as const) : checkOwner(wanted, owner);
  if (!own.ok) return own;
  const verdict = decide(policy, {
    scope: input.scope,
    marketplaceId,
    termDays: input.term_days,
    spendCapMicros: input.spend_cap_micros === undefined ? undefined : BigInt(input.spend_cap_micros),
  });
  if (!verdict.ok) return verdict;
  return verdict.value.kind === "wait"
    ? queue(fact, wanted, deciding)
    : issueAtOnce(fact, verdict.value, {
        ...deciding,
        keys,
        wanted,
        policy,
        held: held.value,
        agreement: accepted.value.agreement,
      });
}

function wantedOf({ principal, input, version }: Deciding, jkt: string | null): Wanted {
  return {
    dataset_id: version.dataset_id,
    marketplace_id: principal.marketplaceId,
    model_id: input.model.model_id,
    model_fingerprint: input.model.fingerprint,
    base_fingerprint: input.model.base_fingerprint ?? null,
    scope: scopeText(input.scope),
    jkt,
  };
}

async function issueAtOnce(
  fact: Fact,
  { grounds }: Extract<Verdict, { kind: "issue" }>,
  {
    wanted,
    policy,
    held,
    agreement,
    audience,
    keys,
  }: Deciding & {
    readonly keys: ReceiptKeys;
    readonly wanted: Wanted;
    readonly policy: LicensePolicy;
    readonly held: HeldDataset;
    readonly agreement: string;
  },
): Promise<Result<Requested>> {
  const issued = await issueLicense(fact, {
    wanted,
    version: held.version,
    agreement,
    grounds: { ...grounds, isRenewable: policy.isRenewable },
    by: `policy:${policy.mode}`,
    requestId: null,
  });
  if (!issued.ok) return issued;
  return answerWith(fact, issued.value, { isNew: true, audience, keys });
}

async function answerWith(
  fact: Fact,
  license: LicenseRow,
  { isNew, ...signing }: { readonly isNew: boolean; readonly audience: Audience; readonly keys: ReceiptKeys },
): Promise<Result<Requested>> {
  const signed = await signToken(fact, license, signing);
  return signed.ok ? accept<Requested>({ kind: "issued", isNew, license, signed: signed.value }) : signed;
}

async function queue(fact: Fact, wanted: Wanted, { principal, input }: Deciding): Promise<Result<Requested>> {
  const known = await findWaiting(fact.trx, wanted);
  if (known !== undefined) {
    const same = requireSameModel(known, wanted, `the request ${known.request_id} waits`);
    return same.ok ? accept<Requested>({ kind: "waiting", request: known }) : same;
  }
  if ((await countWaiting(fact.trx, wanted.dataset_id, wanted.marketplace_id)) >= MAX_WAITING)
    return refuse(
      "license_requests_full",
      `expected at most ${MAX_WAITING} requests of ${wanted.marketplace_id} waiting for ${wanted.dataset_id}`,
    );
  const request = await insertRequest(fact.trx, {
    ...wanted,
    request_id: `lrq_${ulid(fact.ctx.clock.nowMs())}`,
    term_days: input.term_days ?? null,
    spend_cap_micros: input.spend_cap_micros ?? null,
    note: input.note ?? null,
    state: "pending",
    requested_at: fact.now,
  });
  const { request_id, dataset_id, marketplace_id, model_fingerprint, scope } = request;
  fact.record({
    type: "license.requested",
    aggregate: request_id,
    body: { request_id, dataset_id, marketplace_id, model_fingerprint, scope, by: actorOf(principal) },
  });
  return accept<Requested>({ kind: "waiting", request });
}
