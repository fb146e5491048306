import { deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import {
  type JsonMembers,
  type TestKey,
  type Vector,
  accepted,
  base64url,
  refused,
  token,
  writeVectors,
} from "./vector-writing.ts";
import {
  KEY_SET,
  NOW,
  ORIGIN,
  bramKey,
  compromisedKey,
  consentKey,
  documentKey,
  documentKeyEs256,
  retiredKey,
  strangerKey,
} from "./vector-world.ts";

const TYP = "statuslist+jwt";
const URI = `${ORIGIN}/status-lists/1`;

/** The two-bit example of draft-ietf-oauth-status-list section 4.1, compressed as in section 4.2. */
const EXAMPLE_LST = "eNo76fITAAPfAgc";
const EXAMPLE_STATUSES = [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3];

const CLAIMS: JsonMembers = {
  sub: URI,
  iss: ORIGIN,
  seq: 5,
  iat: NOW,
  exp: NOW + 300,
  ttl: 15,
  status_list: { bits: 2, lst: EXAMPLE_LST },
};

function asked(claims: JsonMembers, key: TestKey = documentKey, others: JsonMembers = {}): JsonMembers {
  return { token: token(TYP, { ...CLAIMS, ...claims }, key), uri: URI, now: NOW + 10, idx: 0, ...others };
}

function withList(lst: string | Uint8Array): JsonMembers {
  return { status_list: { bits: 2, lst: typeof lst === "string" ? lst : base64url(lst) } };
}

function codec(): readonly Vector[] {
  return [
    accepted("the example of the draft", { bytes: "c944f9", lst: EXAMPLE_LST }, { statuses: EXAMPLE_STATUSES }),
    accepted(
      "all valid",
      { bytes: "0000", lst: base64url(deflateSync(Buffer.alloc(2))) },
      { statuses: [0, 0, 0, 0, 0, 0, 0, 0] },
    ),
    accepted(
      "the lowest bits come first",
      { bytes: "01", lst: base64url(deflateSync(Buffer.of(1))) },
      { statuses: [1, 0, 0, 0] },
    ),
    accepted(
      "the highest bits come last",
      { bytes: "80", lst: base64url(deflateSync(Buffer.of(0x80))) },
      { statuses: [0, 0, 0, 2] },
    ),
    accepted(
      "compressed at another level",
      { bytes: "c944f9", lst: base64url(deflateSync(Buffer.from("c944f9", "hex"), { level: 0 })) },
      { statuses: EXAMPLE_STATUSES },
    ),
  ];
}

function standing(): readonly Vector[] {
  const empty = withList(deflateSync(Buffer.alloc(0)));
  return [
    accepted("a valid index", asked({}, documentKey, { idx: 2 }), { seq: 5 }),
    accepted("signed with ES256", asked({}, documentKeyEs256, { idx: 2 }), { seq: 5 }),
    accepted("the last second of trust", asked({}, documentKey, { idx: 2, now: NOW + 299 }), { seq: 5 }),
    accepted(
      "from a test server, where tests are allowed",
      asked({ test: true }, documentKey, { idx: 2, allow_test: true }),
      {
        seq: 5,
      },
    ),
    accepted("no ttl", asked({ ttl: 0 }, documentKey, { idx: 4 }), { seq: 5 }),
    accepted("the longest list", asked(withList(deflateSync(Buffer.alloc(262_144))), documentKey, { idx: 1_048_575 }), {
      seq: 5,
    }),
    refused("a revoked index", "consent_revoked", asked({})),
    refused("a suspended index", "consent_suspended", asked({}, documentKey, { idx: 1 })),
    refused("a value without a meaning counts as revoked", "consent_revoked", asked({}, documentKey, { idx: 3 })),
    refused("the index after the last", "status_out_of_range", asked({}, documentKey, { idx: 12 })),
    refused("a negative index", "status_out_of_range", asked({}, documentKey, { idx: -1 })),
    refused("an index in an empty list", "status_out_of_range", asked(empty)),
    refused("an index beyond the longest list", "status_out_of_range", asked({}, documentKey, { idx: 1_048_576 })),
  ];
}

function refusals(): readonly Vector[] {
  const inJune = Date.parse("2026-06-01T00:00:00Z") / 1000;
  const example = Buffer.from(EXAMPLE_LST, "base64url");
  const invalid = (name: string, claims: JsonMembers, others: JsonMembers = {}) =>
    refused(name, "status_list_invalid", asked(claims, documentKey, others));
  const expired = (name: string, claims: JsonMembers, now: number) =>
    refused(name, "document_expired", asked(claims, documentKey, { now }));
  return [
    refused("another typ", "typ_wrong", { ...asked({}), token: token("jwt", CLAIMS, documentKey) }),
    refused("alg none", "alg_not_allowed", { ...asked({}), token: token(TYP, CLAIMS, documentKey, { alg: "none" }) }),
    refused("an extra header member", "header_invalid", {
      ...asked({}),
      token: token(TYP, CLAIMS, documentKey, { crit: ["exp"] }),
    }),
    refused("not a token", "jws_malformed", { ...asked({}), token: "list" }),
    refused("signed by a stranger", "key_unknown", asked({}, strangerKey)),
    refused("signed by the key for consents", "key_purpose_wrong", asked({}, consentKey)),
    refused("signed by a retired key", "key_not_in_force", asked({}, retiredKey)),
    refused("signed by a revoked key", "key_not_in_force", asked({}, compromisedKey)),
    refused(
      "signed by a retired key within its time",
      "key_not_in_force",
      asked({ iat: inJune, exp: inJune + 300 }, retiredKey, { now: inJune }),
    ),
    refused("the algorithm is not the key's", "key_alg_mismatch", {
      ...asked({}),
      token: token(TYP, CLAIMS, documentKey, { alg: "ES256" }),
    }),
    refused("a stranger's signature", "signature_invalid", {
      ...asked({}),
      token: token(TYP, CLAIMS, strangerKey, { kid: documentKey.kid }),
    }),
    refused("a creator's signature under a known kid", "signature_invalid", {
      ...asked({}),
      token: token(TYP, CLAIMS, { ...bramKey, alg: "ES256" }, { kid: documentKeyEs256.kid }),
    }),
    refused("from a test server", "test_document", asked({ test: true })),
    expired("at exp", {}, NOW + 300),
    expired("issued 61 seconds in the future", {}, NOW - 61),
    expired("a claim to be trusted for a day", { exp: NOW + 86_400 }, NOW + 300),
    expired("an end before the beginning", { exp: NOW - 1 }, NOW),
    invalid("another list", { sub: `${ORIGIN}/status-lists/2` }),
    invalid("another platform's list", { iss: "https://evil.example" }),
    invalid("one bit for each entry", { status_list: { bits: 1, lst: EXAMPLE_LST } }),
    invalid("bits as text", { status_list: { bits: "2", lst: EXAMPLE_LST } }),
    invalid("no list", { status_list: { bits: 2 } }),
    invalid("no seq", { seq: null }),
    invalid("no end", { exp: null }),
    invalid("lst that is no base64url", withList("eNo76fITAAPfAgc=")),
    invalid("lst that is nothing", withList("")),
    invalid("lst that is not compressed", withList(Buffer.from("c944f9", "hex"))),
    invalid("raw deflate", withList(deflateRawSync(Buffer.from("c944f9", "hex")))),
    invalid("gzip", withList(gzipSync(Buffer.from("c944f9", "hex")))),
    invalid("a stream cut short", withList(example.subarray(0, -5))),
    invalid("a stream without its checksum", withList(example.subarray(0, -4))),
    invalid("a stream with a wrong checksum", withList(Buffer.concat([example.subarray(0, -1), Buffer.of(8)]))),
    invalid("bytes after the stream", withList(Buffer.concat([example, Buffer.of(0)]))),
    invalid("a byte more than the longest list", withList(deflateSync(Buffer.alloc(262_145)))),
    invalid("a deflate bomb of 16 MiB", withList(deflateSync(Buffer.alloc(16 * 1024 * 1024), { level: 9 }))),
  ];
}

export function writeStatusListVectors(): void {
  writeVectors(
    "status-list-codec.json",
    "Status lists with two bits for each entry: `bytes` in hexadecimal, `lst` their zlib stream in base64url.",
    codec(),
  );
  writeVectors(
    "status-list.json",
    "Status list tokens fetched from `uri` at `now`, verified with `key_set`; then the status at `idx`.",
    [...standing(), ...refusals()],
    { key_set: KEY_SET },
  );
}
