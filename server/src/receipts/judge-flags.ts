import { RECEIPT_FLAGS, type ReceiptFlag } from "@licet/protocol";
import type { VersionLosses } from "../datasets/lookup.ts";
import type { LicenseRow } from "../licenses/lookup.ts";

/** When something was used, and when its user made sure of what stands. Seconds since the epoch. */
export interface UseTimes {
  readonly from: number;
  readonly to: number;
  readonly licensedAt: number;
}

/** What acceptance found, and the instant that makes a use a breach. */
export interface Findings {
  readonly flags: readonly ReceiptFlag[];
  /** Undefined when the use is none. */
  readonly breachOf: number | undefined;
  /** The first loss that the use did not do without; undefined when it learned from nothing that is lost. */
  readonly lostSince: number | undefined;
}

/**
 * Judges a use by what its version lost for good, and by its license's end. A license holds for the
 * rest of a version that lost something, so a loss which the user knew of when the use began says
 * nothing against it, unless nothing was left. A revoked license is a loss too, but nothing that was
 * learned from is lost with it.
 */
export function judgeUse(
  { from, to, licensedAt }: UseTimes,
  { lostAt, overSince }: VersionLosses,
  license: Pick<LicenseRow, "state" | "expires_at" | "ended_at">,
): Findings {
  const knownUntil = Math.min(licensedAt, from);
  const losses = [...lostAt.filter((at) => at > knownUntil), ...(overSince === undefined ? [] : [overSince])];
  const before = losses.filter((at) => at <= from);
  const revokedAt = license.state === "revoked" ? (license.ended_at ?? undefined) : undefined;
  const licenseEnd = Math.min(license.expires_at, license.ended_at ?? license.expires_at);
  const breaches = revokedAt === undefined || revokedAt > from ? before : [...before, revokedAt];
  const found: Readonly<Record<Exclude<ReceiptFlag, "over_cap">, boolean>> = {
    late: losses.some((at) => at > from && at >= to),
    spans_revocation: [...losses, ...(revokedAt === undefined ? [] : [revokedAt])].some((at) => at > from && at < to),
    after_revocation: before.length > 0,
    license_ended: to > licenseEnd,
  };
  return {
    flags: RECEIPT_FLAGS.filter((flag) => flag !== "over_cap" && found[flag]),
    lostSince: losses.length === 0 ? undefined : Math.min(...losses),
    breachOf: breaches.length === 0 ? undefined : Math.max(...breaches),
  };
}
