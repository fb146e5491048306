import {
  type JsonMembers,
  type TestKey,
  type Vector,
  accepted,
  base64url,
  compact,
  refused,
  sortedJson,
  token,
  writeVectors,
} from "./vector-writing.ts";
import {
  DAY,
  HASH,
  JTI,
  LIFETIME,
  NOW,
  ORIGIN,
  STATUS,
  anaKey,
  bramKey,
  consentKey,
  instantAt,
  strangerKey,
} from "./vector-world.ts";

export const TYP = "consent+jwt";

/** What a creator signs, in most vectors. */
export const CLAIMS: JsonMembers = {
  iss: `${ORIGIN}/creators/user:ana`,
  sub: "content:c_1",
  scope: ["training_text", "commercial"],
  consent_version: "1.0.0",
  iat: NOW,
  exp: NOW + 365 * DAY,
  jti: JTI,
  sig_alg: "EdDSA",
  status: STATUS,
  license: "paid_training:1.0",
  terms_sha256: HASH,
  price_floor: "per-token:0.0001",
};

const BRAM_CLAIMS: JsonMembers = { ...CLAIMS, iss: `${ORIGIN}/creators/bram`, sub: "creator:bram", sig_alg: "ES256" };
const PLATFORM_CLAIMS: JsonMembers = { ...CLAIMS, iss: ORIGIN, act: { sub: "user:ana", evidence_sha256: HASH } };

function keyOf(key: TestKey, owner: JsonMembers, lifetime: JsonMembers = {}): JsonMembers {
  return { kid: key.kid, alg: key.alg, jwk: key.publicJwk, ...LIFETIME, ...lifetime, owner };
}

const ANA = keyOf(anaKey, { kind: "creator", creatorId: "user:ana" });
const BRAM = keyOf(bramKey, { kind: "creator", creatorId: "bram" });
const PLATFORM = keyOf(consentKey, { kind: "platform" });

/** Everything a verifier has beside the token: when it was made, the key it found, and the time. */
function asked(text: string, key: JsonMembers | null, others: JsonMembers = {}): JsonMembers {
  return { token: text, key, made_at: NOW, now: NOW + DAY, ...others };
}

function byAna(claims: JsonMembers, others: JsonMembers = {}): JsonMembers {
  return asked(token(TYP, { ...CLAIMS, ...claims }, anaKey), ANA, others);
}

function byPlatform(claims: JsonMembers): JsonMembers {
  return asked(token(TYP, { ...PLATFORM_CLAIMS, ...claims }, consentKey), PLATFORM);
}

/** The DIDs of the test keys: did:key made with another implementation of base58btc, did:jwk by its definition. */
const DID_KEYS = {
  ana: "did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw",
  bram: "did:key:zDnaerGBD7Zxzau2fdfEFaaaTDYBu5XEBYdGV2BmERp3MDSov",
};

function didJwkOf(key: TestKey): string {
  return `did:jwk:${base64url(sortedJson(key.publicJwk))}`;
}

function validDids(): readonly Vector[] {
  const ana = { creator_id: "user:ana", signed_by: "creator", kid: anaKey.kid };
  const bram = { creator_id: "bram", signed_by: "creator", kid: bramKey.kid };
  const byBram = (iss: string) => asked(token(TYP, { ...BRAM_CLAIMS, iss }, bramKey), BRAM);
  return [
    accepted("issued under the creator's did:key, Ed25519", byAna({ iss: DID_KEYS.ana }), ana),
    accepted("issued under the creator's did:key, P-256", byBram(DID_KEYS.bram), bram),
    accepted("issued under the creator's did:jwk, Ed25519", byAna({ iss: didJwkOf(anaKey) }), ana),
    accepted("issued under the creator's did:jwk, P-256", byBram(didJwkOf(bramKey)), bram),
    accepted(
      "issued under a did:jwk whose members stand in another order",
      byAna({
        iss: `did:jwk:${base64url(JSON.stringify({ x: anaKey.publicJwk["x"] ?? null, kty: "OKP", crv: "Ed25519" }))}`,
      }),
      ana,
    ),
  ];
}

function invalidDids(): readonly Vector[] {
  const privateMember = JSON.stringify({ ...anaKey.publicJwk, d: "AAAA" });
  return [
    refused("a creator's key, the did:key of another", "issuer_mismatch", byAna({ iss: DID_KEYS.bram })),
    refused("a creator's key, the did:jwk of another", "issuer_mismatch", byAna({ iss: didJwkOf(strangerKey) })),
    refused(
      "a did:jwk with a private member",
      "issuer_mismatch",
      byAna({ iss: `did:jwk:${base64url(privateMember)}` }),
    ),
    refused("a did:jwk that is no JSON", "issuer_mismatch", byAna({ iss: "did:jwk:AAAA" })),
    refused("the platform's key, a creator's did:key", "issuer_mismatch", byPlatform({ iss: DID_KEYS.ana })),
    refused("a did:key with a fragment", "claim_invalid", byAna({ iss: `${DID_KEYS.ana}#1` })),
    refused("a did:web", "claim_invalid", byAna({ iss: "did:web:platform.example" })),
    refused(
      "a did:key, all works of another creator",
      "subject_not_signers",
      byAna({ iss: DID_KEYS.ana, sub: "creator:bram" }),
    ),
    refused(
      "a did:key, act",
      "act_invalid",
      byAna({ iss: DID_KEYS.ana, act: { sub: "user:ana", evidence_sha256: HASH } }),
    ),
  ];
}

function valid(): readonly Vector[] {
  const ana = { creator_id: "user:ana", signed_by: "creator", kid: anaKey.kid };
  const platform = { creator_id: "user:ana", signed_by: "platform", kid: consentKey.kid };
  const full = {
    nbf: NOW + 60,
    aud: ["mkt_1", "mkt_2"],
    future_works: true,
    prohibitions: ["voice_clone", "digital_replica"],
    sub: "creator:user:ana",
    note: "unknown members are kept",
  };
  const spelledOut = compact(
    `{"typ":"${TYP}","kid":"${anaKey.kid}","alg":"EdDSA"}`,
    JSON.stringify(CLAIMS, null, 1),
    anaKey,
  );
  return [
    accepted("a creator's token, Ed25519", byAna({}), ana),
    accepted("a creator's token, ES256", asked(token(TYP, BRAM_CLAIMS, bramKey), BRAM), {
      creator_id: "bram",
      signed_by: "creator",
      kid: bramKey.kid,
    }),
    accepted("a token the platform signs for a creator", byPlatform({}), platform),
    accepted(
      "a token the platform signs for all works of a creator",
      byPlatform({ sub: "creator:user:ana" }),
      platform,
    ),
    accepted("a token for the creator's works in a dataset", byAna({ sub: "dataset:ds_1" }), ana),
    accepted("every optional claim", byAna(full), ana),
    accepted("claims that are not canonical: their bytes are what is signed", asked(spelledOut, ANA), ana),
    accepted("the longest duration", byAna({ exp: NOW + 3660 * DAY }), ana),
    accepted("the first second of nbf", byAna({ nbf: NOW + 60 }, { now: NOW + 60 }), ana),
    accepted("issued by a clock that runs 60 seconds ahead", byAna({}, { now: NOW - 60 }), ana),
    accepted("the last second", byAna({}, { now: NOW + 365 * DAY - 1 }), ana),
    accepted(
      "made in the key's first second",
      asked(token(TYP, CLAIMS, anaKey), { ...ANA, not_before: instantAt(NOW) }),
      ana,
    ),
    accepted(
      "made in the last second before the key was revoked",
      asked(token(TYP, CLAIMS, anaKey), { ...ANA, revoked_at: instantAt(NOW + 1) }),
      ana,
    ),
    accepted("test: false says nothing", byAna({ test: false }), ana),
    accepted("test: true, where tests are allowed", byAna({ test: true }, { allow_test: true }), ana),
  ];
}

function keysAndSignatures(): readonly Vector[] {
  const good = token(TYP, CLAIMS, anaKey);
  const notInForce = (name: string, lifetime: JsonMembers) =>
    refused(name, "key_not_in_force", asked(good, { ...ANA, ...lifetime }));
  return [
    refused("another typ", "typ_wrong", asked(token("license+jwt", CLAIMS, anaKey), ANA)),
    refused("alg none", "alg_not_allowed", asked(token(TYP, CLAIMS, anaKey, { alg: "none" }), ANA)),
    refused(
      "a key of its own in the header",
      "header_invalid",
      asked(token(TYP, CLAIMS, strangerKey, { jwk: strangerKey.publicJwk }), ANA),
    ),
    refused("not a token", "jws_malformed", asked("consent", ANA)),
    refused("no key is known", "key_unknown", asked(good, null)),
    refused(
      "the key is not the one that kid names",
      "key_unknown",
      asked(token(TYP, CLAIMS, anaKey, { kid: bramKey.kid }), ANA),
    ),
    notInForce("made before the key's first second", { not_before: instantAt(NOW + 1) }),
    notInForce("made at the key's not_after", { not_after: instantAt(NOW) }),
    notInForce("made when the key was revoked", { revoked_at: instantAt(NOW) }),
    notInForce("made since the key was compromised, before it was revoked", {
      revoked_at: instantAt(NOW + DAY),
      compromised_since: instantAt(NOW - DAY),
    }),
    refused(
      "the algorithm is not the key's",
      "key_alg_mismatch",
      asked(token(TYP, CLAIMS, anaKey, { alg: "ES256" }), ANA),
    ),
    refused(
      "a stranger's signature",
      "signature_invalid",
      asked(token(TYP, CLAIMS, strangerKey, { kid: anaKey.kid }), ANA),
    ),
    refused(
      "claims changed after signing",
      "signature_invalid",
      asked(grafted(good, token(TYP, { ...CLAIMS, scope: ["training", "commercial"] }, anaKey)), ANA),
    ),
    refused(
      "the signature comes before the claims: both wrong",
      "signature_invalid",
      asked(token(TYP, { ...CLAIMS, exp: 0 }, strangerKey, { kid: anaKey.kid }), ANA),
    ),
    refused(
      "the key comes before the signature: both wrong",
      "key_not_in_force",
      asked(token(TYP, CLAIMS, strangerKey, { kid: anaKey.kid }), { ...ANA, not_after: instantAt(NOW) }),
    ),
  ];
}

/** The claims of one token under the header and signature of another. */
function grafted(signature: string, claims: string): string {
  const [head, , tail] = signature.split(".");
  return [head, claims.split(".")[1], tail].join(".");
}

const INVALID_CLAIMS: Record<string, JsonMembers> = {
  "iss is no URL": { iss: "ana" },
  "sub of another kind": { sub: "license:l_1" },
  "sub with a path": { sub: "content:../c_1" },
  "an empty scope": { scope: [] },
  "41 scope entries": { scope: Array.from({ length: 41 }, (_, index) => `training_${index}`) },
  "scope as text": { scope: "training_text commercial" },
  "another consent_version": { consent_version: "2.0.0" },
  "iat as text": { iat: String(NOW) },
  "iat before 1970": { iat: -1 },
  "exp after the year 9999": { exp: 253_402_300_800 },
  "exp at iat": { exp: NOW },
  "exp before iat": { exp: NOW - 1 },
  "a second too long": { exp: NOW + 3660 * DAY + 1 },
  "nbf at exp": { nbf: NOW + 365 * DAY },
  "a jti of another form": { jti: "ctok_short" },
  "a jti that is no text": { jti: 1 },
  "a status without an index list": { status: "https://platform.example/status-lists/1" },
  "a negative status index": { status: { status_list: { idx: -1, uri: `${ORIGIN}/status-lists/1` } } },
  "a license without a version": { license: "paid_training" },
  "terms_sha256 in capital letters": { terms_sha256: HASH.toUpperCase() },
  "a price that is none": { price_floor: "free" },
  "aud as text": { aud: "mkt_1" },
  "an empty aud": { aud: [] },
  "future_works as text": { future_works: "true" },
  "an unknown prohibition": { prohibitions: ["singing"] },
  "act without evidence": { act: { sub: "user:ana", evidence_sha256: "" } },
};

function claims(): readonly Vector[] {
  return [
    ...Object.keys(CLAIMS).map((name) =>
      refused(`${name} is missing`, "claim_missing", asked(token(TYP, without(name), anaKey), ANA)),
    ),
    refused(
      "the status index is missing",
      "claim_missing",
      byAna({ status: { status_list: { uri: `${ORIGIN}/status-lists/1` } } }),
    ),
    ...Object.entries(INVALID_CLAIMS).map(([name, wrong]) => refused(name, "claim_invalid", byAna(wrong))),
    refused("sig_alg of the other algorithm", "sig_alg_mismatch", byAna({ sig_alg: "ES256" })),
    refused("sig_alg none", "sig_alg_mismatch", byAna({ sig_alg: "none" })),
    refused("sig_alg by another name of the same algorithm", "sig_alg_mismatch", byAna({ sig_alg: "Ed25519" })),
    refused("an unknown scope entry", "scope_unknown", byAna({ scope: ["training_text", "everything"] })),
    refused("a repeated scope entry", "scope_unknown", byAna({ scope: ["training_text", "training_text"] })),
    refused("a scope without a use", "scope_unknown", byAna({ scope: ["commercial"] })),
    refused("test: true", "test_document", byAna({ test: true })),
    refused("test as text", "test_document", byAna({ test: "false" })),
    refused("test: null", "test_document", byAna({ test: null })),
    refused("test: 0", "test_document", byAna({ test: 0 })),
  ];
}

function without(name: string): JsonMembers {
  return Object.fromEntries(Object.entries(CLAIMS).filter(([member]) => member !== name));
}

function signersAndTimes(): readonly Vector[] {
  const year = 365 * DAY;
  return [
    refused("a creator's key, another creator's iss", "issuer_mismatch", byAna({ iss: `${ORIGIN}/creators/bram` })),
    refused("a creator's key, the platform's iss", "issuer_mismatch", byAna({ iss: ORIGIN })),
    refused(
      "a creator's key, another platform's iss",
      "issuer_mismatch",
      byAna({ iss: "https://evil.example/creators/user:ana" }),
    ),
    refused(
      "a creator's key, an iss that only begins like the origin",
      "issuer_mismatch",
      byAna({ iss: "https://platform.example.evil.example/creators/user:ana" }),
    ),
    refused("a creator's iss in other case", "issuer_mismatch", byAna({ iss: `${ORIGIN}/creators/user:Ana` })),
    refused(
      "a creator's iss with percent encoding",
      "issuer_mismatch",
      byAna({ iss: `${ORIGIN}/creators/user%3Aana` }),
    ),
    refused(
      "the platform's key, a creator's iss",
      "issuer_mismatch",
      byPlatform({ iss: `${ORIGIN}/creators/user:ana` }),
    ),
    refused(
      "the platform's key, another platform's iss",
      "issuer_mismatch",
      byPlatform({ iss: "https://evil.example" }),
    ),
    refused("the platform's iss with a slash", "issuer_mismatch", byPlatform({ iss: `${ORIGIN}/` })),
    refused("a creator signs with act", "act_invalid", byAna({ act: { sub: "user:ana", evidence_sha256: HASH } })),
    refused(
      "the platform signs without act",
      "act_invalid",
      asked(token(TYP, { ...CLAIMS, iss: ORIGIN }, consentKey), PLATFORM),
    ),
    refused("a creator signs for another's works", "subject_not_signers", byAna({ sub: "creator:bram" })),
    refused(
      "the platform signs for other works than those of act.sub",
      "subject_not_signers",
      byPlatform({ sub: "creator:bram" }),
    ),
    refused("at exp", "token_expired", byAna({}, { now: NOW + year })),
    refused("long after exp", "token_expired", byAna({}, { now: NOW + 10 * year })),
    refused("a second before nbf", "token_not_yet_valid", byAna({ nbf: NOW + 60 }, { now: NOW + 59 })),
    refused("no skew is granted to nbf", "token_not_yet_valid", byAna({ nbf: NOW }, { now: NOW - 1 })),
    refused("issued by a clock that runs 61 seconds ahead", "token_not_yet_valid", byAna({}, { now: NOW - 61 })),
  ];
}

export function writeConsentVectors(): void {
  writeVectors(
    "consent-token.json",
    "Consent tokens. The verifier has found `key` (null when it knows none); it asks the gate, the signature and the claims with `made_at`, then the times with `now`. The first failure names the code.",
    [...valid(), ...validDids(), ...keysAndSignatures(), ...claims(), ...signersAndTimes(), ...invalidDids()],
    { origin: ORIGIN },
  );
}
