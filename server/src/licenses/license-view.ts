import { type LicenseClaims, formatInstant } from "@licet/protocol";
import type { Context } from "../context.ts";
import { statusReference } from "../status-lists/allocate-status.ts";
import type { LicenseRequestView, LicenseView } from "./license-input.ts";
import type { SignedToken } from "./sign-token.ts";
import type { LicenseRequestRow } from "./request-store.ts";
import { type LicenseRow, scopeOf } from "./store.ts";

type Model = Pick<LicenseRow, "model_id" | "model_fingerprint" | "base_fingerprint">;

/** The model as the API and the token name it. */
export function modelOf({ model_id, model_fingerprint, base_fingerprint }: Model): LicenseClaims["model"] {
  return {
    model_id,
    fingerprint: model_fingerprint,
    ...(base_fingerprint === null ? {} : { base_fingerprint }),
  };
}

/** A license as the API shows it. */
export function licenseView(ctx: Context, row: LicenseRow): LicenseView {
  return {
    license_id: row.license_id,
    dataset_id: row.dataset_id,
    dataset_version: row.dataset_version,
    marketplace_id: row.marketplace_id,
    model: modelOf(row),
    scope: [...scopeOf(row)],
    price: row.price,
    currency: row.currency,
    license: row.terms,
    agreement: row.agreement,
    state: row.state,
    issued_at: formatInstant(row.issued_at),
    expires_at: formatInstant(row.expires_at),
    ...at("renewed_at", row.renewed_at),
    renewable: row.is_renewable,
    ...text("jkt", row.jkt),
    status: statusReference(ctx.origin, row),
    ...text("request_id", row.request_id),
    ...text("spend_cap_micros", row.spend_cap_micros),
    units_reported: row.units_reported,
    charged_micros: row.charged_micros,
    ...at("over_cap_at", row.over_cap_at),
    ...at("ended_at", row.ended_at),
    ...text("ended_by", row.ended_by),
    ...text("reason", row.reason),
  };
}

/** A license with a token for it, as only its marketplace sees it. */
export function issuedView(
  ctx: Context,
  { license, signed }: { readonly license: LicenseRow; readonly signed: SignedToken },
) {
  return { ...licenseView(ctx, license), ...tokenView(signed) };
}

export function tokenView({ token, expiresAt, audience, isComplete }: SignedToken) {
  return {
    token,
    token_expires_at: formatInstant(expiresAt),
    audience: [...audience],
    audience_complete: isComplete,
  };
}

/** A request for a license as the API shows it. */
export function requestView(row: LicenseRequestRow): LicenseRequestView {
  return {
    request_id: row.request_id,
    dataset_id: row.dataset_id,
    marketplace_id: row.marketplace_id,
    model: modelOf(row),
    scope: [...scopeOf(row)],
    ...(row.term_days === null ? {} : { term_days: row.term_days }),
    ...text("spend_cap_micros", row.spend_cap_micros),
    ...text("jkt", row.jkt),
    ...text("note", row.note),
    state: row.state,
    requested_at: formatInstant(row.requested_at),
    ...at("decided_at", row.decided_at),
    ...text("decided_by", row.decided_by),
    ...text("reason", row.reason),
    ...text("license_id", row.license_id),
  };
}

function at<N extends string>(name: N, epochSeconds: number | null): Partial<Record<N, string>> {
  return epochSeconds === null ? {} : named(name, formatInstant(epochSeconds));
}

function text<N extends string>(name: N, value: string | null): Partial<Record<N, string>> {
  return value === null ? {} : named(name, value);
}

function named<N extends string>(name: N, value: string): Partial<Record<N, string>> {
  const members: Partial<Record<N, string>> = {};
  members[name] = value;
  return members;
}
