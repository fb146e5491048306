import { type CompactJws, parseCompactJws, signCompactJws, verifyCompactJws } from "./compact-jws.ts";
import { licenseShape } from "./content-item.ts";
import { CLOCK_SKEW_SECONDS } from "./freshness.ts";
import { isIdentifier } from "./identifiers.ts";
import type { JsonObject } from "./json.ts";
import type { KeySet, PlatformKey } from "./key-set.ts";
import { isInForce } from "./keys.ts";
import { type Result, accept, refuse } from "./refusal.ts";
import { checkScope } from "./scope.ts";
import {
  anything,
  count,
  identifier,
  listOf,
  matching,
  numericDate,
  objectOf,
  origin,
  readShape,
  sha256,
  textUpTo,
} from "./shape.ts";
import type { Signer } from "./signature.ts";
import { isTest, testMark } from "./signed-document.ts";
import { STATUS, statusReferenceShape } from "./status-list.ts";
import { MODEL_ID } from "./usage-receipt.ts";

/** A license as a marketplace presents it: `Authorization: License <token>`. */
export const LICENSE_TYP = "license+jwt";

/** A license token that whoever holds it may use lives this long at most. */
export const MAX_BEARER_SECONDS = 900;
/** One that is bound to a key (`cnf.jkt`) lives this long at most. */
export const MAX_BOUND_SECONDS = 30 * 86_400;
/** Origins that one token names at most. */
export const MAX_LICENSE_ORIGINS = 64;

const MAX_SCOPE_ENTRIES = 40;
const THUMBPRINT = /^[A-Za-z0-9_-]{43}$/;

/** True for `lic_` and the rest of an identifier. */
export function isLicenseId(text: string): boolean {
  return text.startsWith("lic_") && isIdentifier(text);
}

/** `model_id` is the marketplace's name for it, `fingerprint` the SHA-256 that tells it from any other. */
export const licensedModelShape = objectOf(
  {
    model_id: matching((text) => MODEL_ID.test(text), "a model id of at most 256 printable characters without spaces"),
    fingerprint: sha256,
  },
  { base_fingerprint: sha256 },
);

const LICENSE_CLAIMS = objectOf(
  {
    iss: origin,
    sub: identifier,
    aud: listOf(origin, { min: 1, max: MAX_LICENSE_ORIGINS }),
    jti: matching(isLicenseId, "lic_ and the rest of an identifier"),
    dataset_id: identifier,
    dataset_version: count,
    scope: listOf(textUpTo(64), { min: 1, max: MAX_SCOPE_ENTRIES }),
    model: licensedModelShape,
    license: licenseShape,
    agreement: licenseShape,
    iat: numericDate,
    exp: numericDate,
    status: statusReferenceShape,
  },
  {
    cnf: objectOf({ jkt: matching((text) => THUMBPRINT.test(text), "an RFC 7638 thumbprint") }),
    test: anything,
  },
);

/**
 * What a license token says: `sub` is the marketplace, `aud` the origins its works are at, `jti` the
 * license, which has many tokens. It holds for `dataset_version` and later ones, less what is
 * withdrawn, and only while its bit in the status list says valid. Times are seconds since the epoch.
 */
export type LicenseClaims = ReturnType<typeof LICENSE_CLAIMS>;

/** Signs a license token with a key of purpose `license`; `test: true` with a test key. */
export async function signLicenseToken(claims: Omit<LicenseClaims, "test">, signer: Signer): Promise<string> {
  const { cnf, model, ...required } = claims;
  const { base_fingerprint, ...named } = model;
  const payload: JsonObject = {
    ...required,
    aud: [...claims.aud],
    scope: [...claims.scope],
    model: { ...named, ...(base_fingerprint === undefined ? {} : { base_fingerprint }) },
    status: { status_list: { ...claims.status.status_list } },
    ...(cnf === undefined ? {} : { cnf: { jkt: cnf.jkt } }),
    ...testMark(signer),
  };
  return signCompactJws(LICENSE_TYP, payload, signer);
}

export interface LicenseCheck {
  /** The platform's key set; its `iss` must be the token's. */
  readonly keys: KeySet;
  /** Seconds since the epoch. */
  readonly now: number;
  /** The origin that is asked for a work; left out where a token is only looked at. */
  readonly audience?: string;
  /** The thumbprint of the key that whoever presents the token has just shown to hold; undefined when none was shown. */
  readonly jkt?: string;
}

/** A license token whose syntax, key, signature, claims, times, audience and binding hold. Its status is a further question. */
export interface LicenseToken {
  readonly token: string;
  readonly claims: LicenseClaims;
  readonly kid: string;
}

/**
 * Verifies a license token in one order, so that the first failure names the code: syntax, key,
 * signature, claims, test, times, audience, binding. A token under a revoked key is refused whenever
 * it says it was made: nobody can tell, and a fresh one is had at once.
 *
 * Refuses what {@link parseCompactJws} and {@link verifyCompactJws} refuse, and `key_unknown`,
 * `key_purpose_wrong`, `key_not_in_force`, `claim_missing`, `claim_invalid`, `scope_unknown`,
 * `scope_contradictory`, `issuer_mismatch`, `test_document`, `token_expired`, `token_not_yet_valid`,
 * `license_audience_wrong`, `license_key_mismatch`.
 *
 * @example const license = await verifyLicenseToken(token, { keys, now, audience: "https://works.example" });
 */
export async function verifyLicenseToken(token: string, check: LicenseCheck): Promise<Result<LicenseToken>> {
  const jws = parseCompactJws(token, LICENSE_TYP);
  if (!jws.ok) return jws;
  const key = findLicenseKey(jws.value, check.keys);
  if (!key.ok) return key;
  const signed = await verifyCompactJws(jws.value, key.value.jwk);
  if (!signed.ok) return signed;
  const claims = readLicenseClaims(jws.value, check.keys);
  if (!claims.ok) return claims;
  const usable = checkUse(claims.value, key.value, check);
  return usable.ok ? accept({ token, claims: claims.value, kid: key.value.kid }) : usable;
}

function findLicenseKey({ header }: CompactJws, keys: KeySet): Result<PlatformKey> {
  const key = keys.keys.find((candidate) => candidate.kid === header.kid);
  if (key === undefined) return refuse("key_unknown", `expected a key of ${keys.iss}, got ${header.kid}`);
  if (key.purpose !== "license")
    return refuse("key_purpose_wrong", `expected a license key on a license, got purpose ${key.purpose}`);
  return key.status === "revoked" ? refuse("key_not_in_force", `the key ${key.kid} is revoked`) : accept(key);
}

function readLicenseClaims(jws: CompactJws, keys: KeySet): Result<LicenseClaims> {
  const read = readShape(LICENSE_CLAIMS, jws.payload, "claims", "claim_invalid", "claim_missing");
  if (!read.ok) return read;
  const { iss, scope, iat, exp, cnf, test } = read.value;
  const scoped = checkScope(scope);
  if (!scoped.ok) return scoped;
  if (iss !== keys.iss) return refuse("issuer_mismatch", `expected iss ${keys.iss}, got ${iss}`);
  const longest = cnf === undefined ? MAX_BEARER_SECONDS : MAX_BOUND_SECONDS;
  if (exp <= iat || exp - iat > longest)
    return refuse("claim_invalid", `claims.exp: expected at most ${longest} seconds after iat ${iat}, got ${exp}`);
  return isTest(test) && keys.allowsTest !== true ? refuse("test_document", "the license says test: true") : read;
}

function checkUse(
  { iat, exp, aud, cnf }: LicenseClaims,
  key: PlatformKey,
  { now, audience, jkt }: LicenseCheck,
): Result<true> {
  if (!isInForce(key, iat))
    return refuse("key_not_in_force", `the key ${key.kid} was not in force when the license was signed`);
  if (now >= exp) return refuse("token_expired", `the license token expired at ${exp}, it is ${now}`);
  if (now < iat - CLOCK_SKEW_SECONDS)
    return refuse("token_not_yet_valid", `the license token was issued at ${iat}, it is ${now}`);
  if (audience !== undefined && !aud.includes(audience))
    return refuse("license_audience_wrong", `the license token is for ${aud.length} origins, ${audience} is not one`);
  if (cnf !== undefined && cnf.jkt !== jkt)
    return refuse("license_key_mismatch", `expected a proof by the key ${cnf.jkt}, got ${jkt ?? "none"}`);
  return accept(true);
}

/** Refuses (`license_revoked`) unless the status list says valid of the license: ended is ended, however it came. */
export function checkLicenseStatus(value: number, licenseId: string): Result<true> {
  return value === STATUS.valid
    ? accept(true)
    : refuse("license_revoked", `the license ${licenseId} was revoked or has ended`);
}
