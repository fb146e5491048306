import { keyOf, marketplaceDocumentVectors } from "./marketplace-document-vectors.ts";
import {
  type JsonMembers,
  type TestKey,
  type Vector,
  accepted,
  refused,
  signed,
  token,
  writeVectors,
} from "./vector-writing.ts";
import {
  DAY,
  HASH,
  NOW,
  ORIGIN,
  STATUS,
  bramKey,
  compromisedKey,
  documentKey,
  instantAt,
  keyEntry,
  licenseKey,
  marketplaceKey,
  retiredKey,
  strangerKey,
} from "./vector-world.ts";

const TYP = "license+jwt";
const WORKS = "https://works.example";

const CLAIMS: JsonMembers = {
  iss: ORIGIN,
  sub: "mkt_1",
  aud: [WORKS, "https://more.example:8443"],
  jti: "lic_01K0V4T4N5B6C7D8E9F0G1H2J3",
  dataset_id: "ds_1",
  dataset_version: 2,
  scope: ["training_text", "commercial"],
  model: { model_id: "model_1", fingerprint: HASH },
  license: "paid_training:1.0",
  agreement: "marketplace:1.0",
  iat: NOW,
  exp: NOW + 900,
  status: STATUS,
};
const BOUND: JsonMembers = { cnf: { jkt: marketplaceKey.kid }, exp: NOW + 30 * DAY };

/** The platform's keys, as published: one that signs licenses, one that did, one that was lost, and one for documents. */
const LICENSE_KEY_SET = signed(
  {
    type: "key-set",
    iss: ORIGIN,
    seq: 4,
    keys: [
      keyEntry(licenseKey, "license"),
      keyEntry(retiredKey, "license", { status: "retired", not_after: instantAt(NOW) }),
      keyEntry(compromisedKey, "license", {
        status: "revoked",
        revoked_at: instantAt(NOW + 60),
        compromised_since: instantAt(NOW + 30),
      }),
      keyEntry(documentKey, "document"),
    ],
  },
  documentKey,
);

function asked(claims: JsonMembers, others: JsonMembers = {}, key: TestKey = licenseKey): JsonMembers {
  return { token: token(TYP, { ...CLAIMS, ...claims }, key), now: NOW + 1, audience: WORKS, ...others };
}

function without(claim: string): JsonMembers {
  const claims = Object.fromEntries(Object.entries(CLAIMS).filter(([name]) => name !== claim));
  return { token: token(TYP, claims, licenseKey), now: NOW + 1, audience: WORKS };
}

function valid(): readonly Vector[] {
  const answer = { license_id: String(CLAIMS["jti"]), marketplace_id: "mkt_1", kid: licenseKey.kid };
  const shown = { jkt: marketplaceKey.kid };
  const before = asked({ iat: NOW - 600, exp: NOW + 300 }, {}, retiredKey);
  return [
    accepted("for whoever bears it, 15 minutes", asked({}), answer),
    accepted("in its last second", asked({}, { now: NOW + 899 }), answer),
    accepted("bound to a key, 30 days", asked(BOUND, { ...shown, now: NOW + 30 * DAY - 1 }), answer),
    accepted("for its other origin", asked({}, { audience: "https://more.example:8443" }), answer),
    accepted("looked at, for no origin", { ...asked({}), audience: null }, answer),
    accepted("a proof by a key where none is asked for", asked({}, shown), answer),
    accepted(
      "a model made from another one",
      asked({ model: { model_id: "m:2", fingerprint: HASH, base_fingerprint: "00".repeat(32) } }),
      answer,
    ),
    accepted("by a key that has retired since", before, { ...answer, kid: retiredKey.kid }),
    accepted("an unknown claim is kept", asked({ note: "Rösti" }), answer),
    accepted("from a clock that is 60 seconds ahead", asked({ iat: NOW + 61, exp: NOW + 900 }), answer),
    accepted("test: true, where tests are allowed", { ...asked({ test: true }), allow_test: true }, answer),
    accepted("64 origins", asked({ aud: [WORKS, ...manyOrigins(63)] }), answer),
  ];
}

function manyOrigins(count: number): readonly string[] {
  return Array.from({ length: count }, (_, at) => `https://w${at}.example`);
}

const INVALID: Record<string, JsonMembers> = {
  "an iss that is no origin": { iss: `${ORIGIN}/` },
  "a marketplace with a path in it": { sub: "../mkt_1" },
  "an audience that is no list": { aud: WORKS },
  "an empty audience": { aud: [] },
  "an audience with a path": { aud: [`${WORKS}/works`] },
  "65 origins": { aud: [...manyOrigins(65)] },
  "a jti that is no license's": { jti: "ctok_AAECAwQFBgcICQoLDA0ODw" },
  "a negative version": { dataset_version: -1 },
  "no scope": { scope: [] },
  "a model id with a space": { model: { model_id: "model 1", fingerprint: HASH } },
  "a base that is no fingerprint": { model: { model_id: "m", fingerprint: HASH, base_fingerprint: "llama" } },
  "terms without a version": { license: "paid_training" },
  "an agreement without a version": { agreement: "marketplace" },
  "16 minutes for whoever bears it": { exp: NOW + 901 },
  "31 days for a key": { ...BOUND, exp: NOW + 30 * DAY + 1 },
  "an end before the beginning": { exp: NOW },
  "a binding to no thumbprint": { cnf: { jkt: "AAAA" } },
};

const LACKING: Record<string, JsonMembers> = {
  "a model without a fingerprint": { model: { model_id: "model_1" } },
  "a binding to nothing": { cnf: {} },
  "no place in a status list": { status: {} },
};

function invalid(): readonly Vector[] {
  const good = token(TYP, CLAIMS, licenseKey);
  const other = token(TYP, { ...CLAIMS, sub: "mkt_2" }, licenseKey);
  const [head, , signature] = good.split(".");
  const spliced = [head, other.split(".")[1], signature].join(".");
  const refusedAs = (name: string, code: string, claims: JsonMembers, others: JsonMembers = {}) =>
    refused(name, code, asked(claims, others));
  return [
    ...Object.keys(CLAIMS).map((claim) => refused(`without ${claim}`, "claim_missing", without(claim))),
    ...Object.entries(LACKING).map(([name, claims]) => refusedAs(name, "claim_missing", claims)),
    ...Object.entries(INVALID).map(([name, claims]) => refusedAs(name, "claim_invalid", claims)),
    refusedAs("an unknown scope", "scope_unknown", { scope: ["telepathy"] }),
    refusedAs("a scope without a use", "scope_unknown", { scope: ["commercial"] }),
    refusedAs("commercial and not", "scope_contradictory", { scope: ["training", "commercial", "non_commercial"] }),
    refusedAs("another platform's", "issuer_mismatch", { iss: "https://evil.example" }),
    refusedAs("from a test server", "test_document", { test: true }),
    refusedAs("over", "token_expired", {}, { now: NOW + 900 }),
    refusedAs("from a clock that is 61 seconds ahead", "token_not_yet_valid", { iat: NOW + 62, exp: NOW + 900 }),
    refusedAs("for another origin", "license_audience_wrong", {}, { audience: "https://else.example" }),
    refusedAs("for the same host at another port", "license_audience_wrong", {}, { audience: `${WORKS}:8443` }),
    refusedAs("bound to a key that is not shown", "license_key_mismatch", BOUND),
    refusedAs("bound to another key", "license_key_mismatch", BOUND, { jkt: strangerKey.kid }),
    refused("the claims of another license", "signature_invalid", { ...asked({}), token: spliced }),
    refused("of another type", "typ_wrong", { ...asked({}), token: token("consent+jwt", CLAIMS, licenseKey) }),
    refused("no token", "jws_malformed", { ...asked({}), token: "lic_1" }),
    refused("by a stranger's key", "key_unknown", asked({}, {}, strangerKey)),
    refused("by a key for documents", "key_purpose_wrong", asked({}, {}, documentKey)),
    refused("by a revoked key, whenever it says it was made", "key_not_in_force", asked({}, {}, compromisedKey)),
    refused("by a key that had retired", "key_not_in_force", asked({}, {}, retiredKey)),
    refused("under the algorithm of another key", "key_alg_mismatch", {
      ...asked({}),
      token: token(TYP, CLAIMS, bramKey, { kid: licenseKey.kid }),
    }),
  ];
}

function statuses(): readonly Vector[] {
  return [
    accepted("valid", { value: 0 }),
    refused("revoked", "license_revoked", { value: 1 }),
    refused("suspended", "license_revoked", { value: 2 }),
    refused("a value without a meaning", "license_revoked", { value: 3 }),
  ];
}

const ACCEPTANCE: JsonMembers = {
  type: "agreement-acceptance",
  iss: "mkt_1",
  aud: ORIGIN,
  agreement: "marketplace:1.0",
  agreement_sha256: HASH,
  accepted_at: instantAt(NOW),
  accepted_by: "Rosa Ek, counsel",
};

function handedIn(document: JsonMembers, key: JsonMembers | null = keyOf(marketplaceKey)): JsonMembers {
  return { document, key, received_at: NOW + 60 };
}

function acceptance(members: JsonMembers): JsonMembers {
  return signed({ ...ACCEPTANCE, ...members }, marketplaceKey);
}

function acceptances(): readonly Vector[] {
  const good = acceptance({});
  const shapeless = (name: string, document: JsonMembers) =>
    refused(name, "agreement_acceptance_invalid", handedIn(document));
  const forged = (name: string, document: JsonMembers) => refused(name, "signature_invalid", handedIn(document));
  return [
    accepted("signed with ES256", handedIn(good)),
    ...marketplaceDocumentVectors({ content: ACCEPTANCE, shapeless: "agreement_acceptance_invalid", ask: handedIn }),
    shapeless("a hash in capital letters", acceptance({ agreement_sha256: HASH.toUpperCase() })),
    shapeless("an agreement without a version", acceptance({ agreement: "marketplace" })),
    shapeless("by nobody", acceptance({ accepted_by: " " })),
    shapeless("by a name of 201 characters", acceptance({ accepted_by: "a".repeat(201) })),
    shapeless("by a name in two lines", acceptance({ accepted_by: "Rosa\nEk" })),
    forged("for another platform than was signed", { ...good, aud: "https://evil.example" }),
    forged("of another text than was signed", { ...good, agreement_sha256: "00".repeat(32) }),
  ];
}

export function writeLicenseVectors(): void {
  writeVectors(
    "license-token.json",
    "License tokens, verified at `now` with `key_set`, at the origin `audience` (null: at none), beside a proof by the key `jkt` if it is there.",
    [...valid(), ...invalid()],
    { key_set: LICENSE_KEY_SET },
  );
  writeVectors("license-status.json", "What a license's place in the status list means.", statuses());
  writeVectors(
    "agreement-acceptance.json",
    "A marketplace's acceptance of an agreement, received at `received_at`, verified with its registered `key` (null when there is none).",
    acceptances(),
  );
}
