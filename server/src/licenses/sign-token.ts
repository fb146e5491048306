import {
  type Result,
  MAX_BEARER_SECONDS,
  MAX_BOUND_SECONDS,
  MAX_LICENSE_ORIGINS,
  accept,
  isInForce,
  refuse,
  signLicenseToken,
} from "@licet/protocol";
import { readVersionOrigins } from "../datasets/lookup.ts";
import type { Db, Trx } from "../db/open-database.ts";
import type { Fact } from "../events/write-fact.ts";
import type { holdReceiptKeys } from "../marketplaces/lookup.ts";
import { statusReference } from "../status-lists/allocate-status.ts";
import { modelOf } from "./license-view.ts";
import { type LicenseRow, findOrigins, insertOrigins, scopeOf } from "./store.ts";

/** All that a token names must fit into one; whoever needs other origins asks for a token for them. */
const MAX_AUDIENCE_LENGTH = 8_000;

export interface Audience {
  readonly origins: readonly string[];
  /** False when the version's works are at more origins than these. */
  readonly isComplete: boolean;
}

/** The origins of a version's works, in order. Read once, since a version never changes. */
export async function readOrigins(db: Db | Trx, datasetId: string, version: number): Promise<readonly string[]> {
  const known = await findOrigins(db, datasetId, version);
  if (known !== undefined) return known;
  const written = await readVersionOrigins(db, { dataset_id: datasetId, version });
  const origins = [...new Set(written.map((origin) => new URL(origin).origin))].sort();
  await insertOrigins(db, datasetId, version, origins);
  return origins;
}

/** The origins a token is for: those that are asked for, or as many as one token names. Refuses `input_invalid` what is no origin of the works. */
export function chooseAudience(origins: readonly string[], asked: readonly string[] | undefined): Result<Audience> {
  const strange = asked?.find((origin) => !origins.includes(origin));
  if (strange !== undefined)
    return refuse("input_invalid", `body.audience: expected origins that works of the dataset are at, got ${strange}`);
  const wanted = asked ?? origins;
  let length = 0;
  const named = wanted
    .slice(0, MAX_LICENSE_ORIGINS)
    .filter((origin) => (length += origin.length) <= MAX_AUDIENCE_LENGTH);
  if (asked !== undefined && named.length < asked.length)
    return refuse("input_invalid", `body.audience: expected at most ${MAX_AUDIENCE_LENGTH} characters in all`);
  return accept({ origins: named, isComplete: named.length === origins.length });
}

export interface SignedToken {
  readonly token: string;
  /** Seconds since the epoch. */
  readonly expiresAt: number;
  readonly audience: readonly string[];
  readonly isComplete: boolean;
}

/** The receipt keys of a license's marketplace by their names, held since before the license was. */
export type ReceiptKeys = Awaited<ReturnType<typeof holdReceiptKeys>>;

export interface Signing {
  readonly audience: Audience;
  readonly keys: ReceiptKeys;
}

/**
 * Signs a token for a license that is in force. It never outlives the license. Refuses
 * `key_not_in_force` when the license is bound to a key that has ended.
 */
export async function signToken(
  { ctx, trx, now }: Fact,
  license: LicenseRow,
  { audience: { origins, isComplete }, keys }: Signing,
): Promise<Result<SignedToken>> {
  const key = license.jkt === null ? undefined : keys.get(license.jkt);
  if (license.jkt !== null && (key === undefined || !isInForce(key, now)))
    return refuse(
      "key_not_in_force",
      `${license.license_id} is bound to the key ${license.jkt}, which is not in force: ask for a token of it with another jkt first`,
    );
  const seconds = license.jkt === null ? MAX_BEARER_SECONDS : MAX_BOUND_SECONDS;
  const expiresAt = Math.min(license.expires_at, now + seconds);
  const claims = {
    iss: ctx.origin,
    sub: license.marketplace_id,
    aud: origins,
    jti: license.license_id,
    dataset_id: license.dataset_id,
    dataset_version: license.dataset_version,
    scope: scopeOf(license),
    model: modelOf(license),
    license: license.terms,
    agreement: license.agreement,
    iat: now,
    exp: expiresAt,
    status: statusReference(ctx.origin, license),
    ...(license.jkt === null ? {} : { cnf: { jkt: license.jkt } }),
  };
  const token = await signLicenseToken(claims, await ctx.signingKeys.signerIn(trx, "license", now));
  return accept({ token, expiresAt, audience: origins, isComplete });
}
