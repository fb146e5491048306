import { expect, test } from "vitest";
import statuses from "../vectors/license-status.json" with { type: "json" };
import vectors from "../vectors/license-token.json" with { type: "json" };
import { MAX_JWS_LENGTH } from "./compact-jws.ts";
import { type LicenseClaims, checkLicenseStatus, signLicenseToken, verifyLicenseToken } from "./license-token.ts";
import { signerOf } from "./signature.ts";
import { keySetOf } from "./testing/key-set-of.ts";
import { casesOf, outcome, testKey } from "./testing/vectors.ts";

interface LicenseInput {
  readonly token: string;
  readonly now: number;
  readonly audience: string | null;
  readonly jkt?: string;
  readonly allow_test?: boolean;
}

const cases = casesOf<LicenseInput>(vectors);

test.each(cases)("license token: $name", async ({ token, now, audience, jkt, allow_test, expect: expected }) => {
  const verified = await verifyLicenseToken(token, {
    keys: { ...keySetOf(vectors), allowsTest: allow_test === true },
    now,
    ...(audience === null ? {} : { audience }),
    ...(jkt === undefined ? {} : { jkt }),
  });
  expect(outcome(verified, ({ claims, kid }) => ({ license_id: claims.jti, marketplace_id: claims.sub, kid }))).toEqual(
    expected,
  );
});

test.each(casesOf<{ value: number }>(statuses))("license status: $name", ({ value, expect: expected }) => {
  expect(outcome(checkLicenseStatus(value, "lic_1"))).toEqual(expected);
});

test.each([
  ["for whoever bears it", {}],
  ["bound to a key", { cnf: { jkt: "A".repeat(43) } }],
  [
    "for a model made from another",
    { model: { model_id: "m", fingerprint: "0a".repeat(32), base_fingerprint: "0b".repeat(32) } },
  ],
] satisfies [string, Partial<LicenseClaims>][])("a token that we sign %s verifies", async (_what, members) => {
  const now = 1_800_000_000;
  const claims: LicenseClaims = {
    iss: "https://platform.example",
    sub: "mkt_1",
    aud: Array.from({ length: 64 }, (_, at) => `https://a-host-with-a-rather-long-name-${at}.works.example`),
    jti: "lic_1",
    dataset_id: "ds_1",
    dataset_version: 1,
    scope: ["training", "commercial"],
    model: { model_id: "m", fingerprint: "0a".repeat(32) },
    license: "paid_training:1.0",
    agreement: "marketplace:1.0",
    iat: now,
    exp: now + 900,
    status: { status_list: { idx: 1, uri: "https://platform.example/status-lists/1" } },
    ...members,
  };
  const token = await signLicenseToken(claims, await signerOf(testKey("platform_license")));
  expect(token.length).toBeLessThan(MAX_JWS_LENGTH);
  const jkt = claims.cnf?.jkt;
  const verified = await verifyLicenseToken(token, {
    keys: keySetOf(vectors),
    now,
    ...(jkt === undefined ? {} : { jkt }),
  });
  expect(verified.ok ? verified.value.claims : verified.refusal).toEqual(claims);
});
