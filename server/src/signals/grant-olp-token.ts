import { type Refusal, type RefusalCode, MODALITIES, rslUsages, scopeOfRsl, sha256Hex } from "@licet/protocol";
import type { Context } from "../context.ts";
import { nowSeconds } from "../context.ts";
import { type VersionRow, offerOf } from "../datasets/lookup.ts";
import { requireVersion } from "../datasets/read-dataset.ts";
import type { OlpAnswer } from "../http/oauth/olp-grants.ts";
import type { Principal } from "../http/principal.ts";
import { licenseInputSchema } from "../licenses/license-input.ts";
import { scopeOf } from "../licenses/lookup.ts";
import { requestLicense } from "../licenses/request-license.ts";
import { isCovered } from "./covered-resource.ts";
import { type OlpErrorCode, olpError } from "./olp-error.ts";
import { type AskedLicense, readLicenseXml } from "./read-license-xml.ts";
import { RSL_TYPE, paymentOf, proofOf } from "./rsl-document.ts";

/** How long a client that waits for a person's decision should wait before it asks again. */
const INTERVAL_SECONDS = 60;

type Parameters = Readonly<Record<string, string | undefined>>;
type Marketplace = Extract<Principal, { kind: "marketplace" }>;

/**
 * OLP's token request (RSL 1.0 section 5.4): the `<license>` of one of our documents for a `resource`, answered
 * with a license of ours by the very operation that the API has. A client of RSL names no model, so the license
 * is for one that is its own and has no name; `model_id` and `model_fingerprint` (with `base_fingerprint`) name
 * another. Tokens are plain bearer tokens. What waits for a person is `authorization_pending`, to be asked again.
 */
export async function grantOlpToken(ctx: Context, principal: Principal, given: Parameters): Promise<OlpAnswer> {
  if (principal.kind !== "marketplace" || !principal.scopes.includes("licenses:write"))
    return olpError("unauthorized_client", "expected the client of a marketplace, with the scope licenses:write");
  const { license, license_type, resource } = given;
  if (license === undefined || resource === undefined)
    return olpError("invalid_request", "expected license, the <license> of our RSL document, and resource, its url");
  if (license_type !== undefined && license_type !== RSL_TYPE)
    return olpError("invalid_request", `license_type: expected ${RSL_TYPE}, got ${license_type}`);
  const asked = readLicenseXml(license);
  if (!asked.ok) return olpError("invalid_license", asked.refusal.detail);
  const datasetId = datasetOf(ctx.origin, asked.value.proofs);
  if (datasetId === undefined)
    return olpError("invalid_license", "expected the <legal type='proof'> of one of our RSL documents, and only that");
  const found = await requireVersion(ctx, principal, { datasetId });
  if (!found.ok) return errorOf(found.refusal);
  const scope = offeredScope(found.value.version, asked.value);
  if (typeof scope === "string") return olpError("invalid_license", scope);
  if (!(await isCovered(ctx, found.value.version, resource)))
    return olpError("invalid_resource", `${resource} is no work of ${datasetId} that stands`);
  return issue(ctx, principal, { datasetId, scope, given });
}

async function issue(
  ctx: Context,
  principal: Marketplace,
  {
    datasetId,
    scope,
    given,
  }: { readonly datasetId: string; readonly scope: readonly string[]; readonly given: Parameters },
): Promise<OlpAnswer> {
  const input = licenseInputSchema.safeParse({ model: modelOf(ctx, principal, given), scope, jkt: null });
  if (!input.success)
    return olpError(
      "invalid_request",
      input.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; "),
    );
  const requested = await requestLicense(ctx, principal, { datasetId, input: input.data });
  if (!requested.ok) return errorOf(requested.refusal);
  if (requested.value.kind === "waiting")
    return olpError("authorization_pending", "the license waits for the platform's decision: ask again later", {
      request_id: requested.value.request.request_id,
      interval: INTERVAL_SECONDS,
    });
  const { license, signed } = requested.value;
  return {
    status: 200,
    body: {
      access_token: signed.token,
      token_type: "License",
      expires_in: Math.max(1, signed.expiresAt - nowSeconds(ctx)),
      scope: scopeOf(license).join(" "),
      license_id: license.license_id,
      dataset_id: license.dataset_id,
    },
  };
}

/** One model for each client that names none: always the same, and nobody else's. */
function modelOf({ origin }: Context, { clientId }: Marketplace, given: Parameters): object {
  const { model_id, model_fingerprint, base_fingerprint } = given;
  if (model_id === undefined && model_fingerprint === undefined && base_fingerprint === undefined)
    return { model_id: `rsl/${clientId}`, fingerprint: sha256Hex(`licet/rsl-model\n${origin}\n${clientId}`) };
  return { model_id, fingerprint: model_fingerprint, ...(base_fingerprint === undefined ? {} : { base_fingerprint }) };
}

function datasetOf(origin: string, proofs: readonly string[]): string | undefined {
  const [proof, ...others] = proofs;
  const datasetId = /\/datasets\/([A-Za-z0-9_.~-]+)\/manifest\.json$/.exec(proof ?? "")?.[1];
  const isOurs = datasetId !== undefined && others.length === 0 && proof === proofOf(origin, datasetId);
  return isOurs ? datasetId : undefined;
}

/** The part of the version's scope that is asked for on its own terms; otherwise what is wrong with what is asked. */
function offeredScope(version: VersionRow, asked: AskedLicense): readonly string[] | string {
  const offer = offerOf(version);
  const isLeft = (word: string): boolean => !asked.prohibited.includes(word);
  const usages = asked.usages.filter(isLeft);
  const scope = scopeOfRsl(offer.scope, { usages, users: asked.users?.filter(isLeft) });
  // What is asked says of works of which kind it is by its payment alone, which may differ.
  const payments = MODALITIES.filter((modality) => rslUsages(offer.scope, modality).length > 0).map((modality) =>
    paymentOf({ ...offer, modality }),
  );
  const types = [...new Set(payments.map(({ type }) => type))];
  const payment = payments.find(({ type }) => type === asked.payment);
  if (payment === undefined)
    return `expected <payment type='${types.join("' or '")}'>, since the price is ${offer.priceText} ${offer.currency}, got ${asked.payment}`;
  const expected = payment.amount === undefined ? undefined : `${payment.amount} ${offer.currency}`;
  const got = asked.amount === undefined ? undefined : `${asked.amount.value} ${asked.amount.currency}`;
  if (expected !== got) return `expected the amount ${expected ?? "to be missing"}, got ${got ?? "none"}`;
  return (
    scope ??
    `expected usages and users that the dataset offers for works of one kind, got ${usages.join(" ") || "no usage"}`
  );
}

/** What our refusals are in the words of OLP; the rest is a resource that is not to be had. */
const ERRORS: Partial<Record<RefusalCode, OlpErrorCode>> = {
  scope_unknown: "invalid_license",
  scope_contradictory: "invalid_license",
  license_scope_not_granted: "invalid_license",
  license_scope_not_offered: "invalid_license",
  not_yours: "unauthorized_client",
  agreement_not_accepted: "unauthorized_client",
  license_requests_full: "unauthorized_client",
  license_model_taken: "invalid_request",
  license_term_too_long: "invalid_request",
  receipt_key_unknown: "invalid_request",
  key_not_in_force: "invalid_request",
  unavailable: "temporarily_unavailable",
};

function errorOf({ code, detail }: Refusal): OlpAnswer {
  return olpError(ERRORS[code] ?? "invalid_resource", `${code}: ${detail}`);
}
