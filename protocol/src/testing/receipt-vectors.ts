import { createPublicKey } from "node:crypto";
import {
  type JsonMembers,
  type TestKey,
  type Vector,
  accepted,
  base64url,
  refused,
  sha256Hex,
  signatureBytes,
  signed,
  signedText,
  sortedJson,
  writeVectors,
} from "./vector-writing.ts";
import {
  DAY,
  HASH,
  KEY_SET,
  LIFETIME,
  NOW,
  ORIGIN,
  anaKey,
  bramKey,
  documentKey,
  instantAt,
  marketplaceKey,
  receiptKey,
  strangerKey,
} from "./vector-world.ts";

const RECEIPT: JsonMembers = {
  type: "usage-receipt",
  iss: "mkt_1",
  aud: ORIGIN,
  key_id: marketplaceKey.kid,
  receipt_id: "r_1",
  model_id: "model_1",
  tokens_used: 120_000,
  licensed_at: instantAt(NOW - DAY),
  dataset_id: "ds_1",
  dataset_version: 2,
  dataset_fingerprint: HASH,
  model_fingerprint: HASH,
  usage: { unit: "tokens", count: 120_000 },
  nonce: "AAECAwQFBgcICQoLDA0ODw",
  period: { from: instantAt(NOW - 3_600), to: instantAt(NOW) },
};

/** The key registered for the marketplace. */
function keyOf(key: TestKey, lifetime: JsonMembers = {}): JsonMembers {
  return { kid: key.kid, alg: key.alg, jwk: key.publicJwk, ...LIFETIME, ...lifetime };
}

function signedReceipt(members: JsonMembers, key: TestKey = marketplaceKey): JsonMembers {
  const receipt = { ...RECEIPT, ...members };
  return { ...receipt, signature: signatureBytes(signedText("usage-receipt", receipt), key).toString("base64") };
}

function asked(document: JsonMembers, key: JsonMembers | null = keyOf(marketplaceKey)): JsonMembers {
  return { document, key, received_at: NOW + 60 };
}

function without(...names: readonly string[]): JsonMembers {
  const receipt = Object.fromEntries(Object.entries(RECEIPT).filter(([name]) => !names.includes(name)));
  return {
    ...receipt,
    signature: signatureBytes(signedText("usage-receipt", receipt), marketplaceKey).toString("base64"),
  };
}

function receiptSha256(document: JsonMembers): string {
  const { countersignature: _1, log_proof: _2, ...sent } = document;
  return sha256Hex(sortedJson(sent));
}

function valid(): readonly Vector[] {
  const good = signedReceipt({});
  const ed = signedReceipt({ key_id: anaKey.kid }, anaKey);
  const answerTo = (document: JsonMembers) => ({ sha256: receiptSha256(document) });
  const seconds = { ...without("tokens_used"), usage: { unit: "seconds", count: 42 } };
  const listened = {
    ...seconds,
    signature: signatureBytes(signedText("usage-receipt", seconds), marketplaceKey).toString("base64"),
  };
  const later = { ...good, countersignature: { note: "added on acceptance" }, log_proof: { index: 1 } };
  const instantaneous = signedReceipt({ period: { from: instantAt(NOW), to: instantAt(NOW) } });
  return [
    accepted("tokens, signed with ES256", asked(good), answerTo(good)),
    accepted("tokens, signed with Ed25519", asked(ed, keyOf(anaKey)), answerTo(ed)),
    accepted("seconds, without tokens_used", asked(listened), answerTo(listened)),
    accepted("members that acceptance adds are not covered", asked(later), answerTo(good)),
    accepted(
      "an unknown member is covered",
      asked(signedReceipt({ note: "Rösti" })),
      answerTo(signedReceipt({ note: "Rösti" })),
    ),
    accepted(
      "under a license",
      asked(signedReceipt({ license_id: "lic_1" })),
      answerTo(signedReceipt({ license_id: "lic_1" })),
    ),
    accepted("in a currency", asked(signedReceipt({ currency: "USD" })), answerTo(signedReceipt({ currency: "USD" }))),
    accepted("a period shorter than a second", asked(instantaneous), answerTo(instantaneous)),
  ];
}

const INVALID: Record<string, JsonMembers> = {
  "another type": { type: "receipt" },
  "an iss with a colon": { iss: "mkt:1" },
  "an aud that is no origin": { aud: `${ORIGIN}/` },
  "a receipt id with a path in it": { receipt_id: "../r_1" },
  "a negative version": { dataset_version: -1 },
  "a fingerprint in capital letters": { dataset_fingerprint: HASH.toUpperCase() },
  "a model fingerprint that is none": { model_fingerprint: "gpt" },
  "an unknown unit": { usage: { unit: "words", count: 120_000 } },
  "a count as text": { usage: { unit: "tokens", count: "120000" } },
  "a negative count": { usage: { unit: "tokens", count: -1 }, tokens_used: -1 },
  "tokens_used unlike the count": { tokens_used: 119_999 },
  "tokens_used beside another unit": { usage: { unit: "seconds", count: 120_000 } },
  "a count with a fraction is no I-JSON, and as text no count": { usage: { unit: "tokens", count: "1.5" } },
  "a currency in words": { currency: "dollars" },
  "a short nonce": { nonce: "short" },
  "a nonce of 129 characters": { nonce: "a".repeat(129) },
  "a period without an end": { period: { from: instantAt(NOW) } },
  "an instant with milliseconds": { licensed_at: "2027-01-15T08:00:00.000Z" },
};

function refusals(): readonly Vector[] {
  const good = signedReceipt({});
  const signature = String(good["signature"]);
  const invalid = (name: string, document: JsonMembers) => refused(name, "receipt_invalid", asked(document));
  const forged = (name: string, document: JsonMembers) => refused(name, "signature_invalid", asked(document));
  return [
    ...Object.keys(RECEIPT).map((name) => invalid(`without ${name}`, without(name))),
    invalid("without signature", RECEIPT),
    ...Object.entries(INVALID).map(([name, members]) => invalid(name, signedReceipt(members))),
    refused(
      "a period that ends before it begins",
      "receipt_period_invalid",
      asked(signedReceipt({ period: { from: instantAt(NOW + 1), to: instantAt(NOW) } })),
    ),
    refused("no key is registered", "receipt_key_unknown", asked(good, null)),
    refused(
      "the key is not the one that key_id names",
      "receipt_key_unknown",
      asked(signedReceipt({ key_id: strangerKey.kid })),
    ),
    refused(
      "the key is no longer in force",
      "key_not_in_force",
      asked(good, keyOf(marketplaceKey, { not_after: instantAt(NOW + 60) })),
    ),
    refused(
      "the key was revoked",
      "key_not_in_force",
      asked(good, keyOf(marketplaceKey, { revoked_at: instantAt(NOW) })),
    ),
    forged("a count changed after signing", { ...good, tokens_used: 1, usage: { unit: "tokens", count: 1 } }),
    forged("a member added after signing", { ...good, license_id: "lic_1" }),
    forged("another marketplace's signature", signedReceipt({}, bramKey)),
    forged("a signature of zeros", { ...good, signature: Buffer.alloc(64).toString("base64") }),
    forged("a signature in base64url without padding", {
      ...good,
      signature: Buffer.from(signature, "base64").toString("base64url"),
    }),
    forged("an empty signature", { ...good, signature: "" }),
    forged("a signature made for another type", {
      ...good,
      signature: signatureBytes(signedText("manifest", RECEIPT), marketplaceKey).toString("base64"),
    }),
    refused("from a test server", "test_document", asked(signedReceipt({ test: true }))),
  ];
}

function countersigned(receipt: JsonMembers, key: TestKey = receiptKey, members: JsonMembers = {}): JsonMembers {
  const acceptedAt = instantAt(NOW + 60);
  const document = {
    type: "receipt-countersignature",
    iss: ORIGIN,
    receipt_sha256: receiptSha256(receipt),
    accepted_at: acceptedAt,
    ...members,
  };
  const { signatures } = signed(document, key);
  const [signature] = signatures as readonly JsonMembers[];
  const said = Object.fromEntries(
    ["flags", "test"].flatMap((name) => (members[name] === undefined ? [] : [[name, members[name]]])),
  );
  return { ...receipt, countersignature: { ...signature, accepted_at: acceptedAt, ...said } };
}

function countersignatures(): readonly Vector[] {
  const receipt = signedReceipt({});
  const good = countersigned(receipt);
  const counter = good["countersignature"] as JsonMembers;
  const { flags: _flags, ...silent } = countersigned(receipt, receiptKey, { flags: ["late"] })[
    "countersignature"
  ] as JsonMembers;
  const refusedWith = (name: string, code: string, document: JsonMembers) => refused(name, code, { document });
  return [
    accepted("a countersignature", { document: good }),
    accepted("with something to say", {
      document: countersigned(receipt, receiptKey, { flags: ["late", "over_cap"] }),
    }),
    refusedWith("what it said is left out", "signature_invalid", {
      ...receipt,
      countersignature: silent,
    }),
    refusedWith(
      "something to say that nobody knows",
      "document_invalid",
      countersigned(receipt, receiptKey, { flags: ["odd"] }),
    ),
    refusedWith(
      "an empty list of things to say",
      "document_invalid",
      countersigned(receipt, receiptKey, { flags: [] }),
    ),
    accepted("a log proof added later", { document: { ...good, log_proof: { index: 1 } } }),
    accepted("from a test server, where tests are allowed", {
      document: countersigned(receipt, receiptKey, { test: true }),
      allow_test: true,
    }),
    refusedWith("from a test server", "test_document", countersigned(receipt, receiptKey, { test: true })),
    refusedWith("from a test server, which it does not say any more", "signature_invalid", {
      ...receipt,
      countersignature: {
        ...(countersigned(receipt, receiptKey, { test: true })["countersignature"] as JsonMembers),
        test: false,
      },
    }),
    refusedWith("none", "document_invalid", receipt),
    refusedWith("without a time", "document_invalid", {
      ...receipt,
      countersignature: { ...counter, accepted_at: null },
    }),
    refusedWith("another time than was signed", "signature_invalid", {
      ...receipt,
      countersignature: { ...counter, accepted_at: instantAt(NOW + 61) },
    }),
    refusedWith("of another receipt", "signature_invalid", {
      ...signedReceipt({ receipt_id: "r_2" }),
      countersignature: counter,
    }),
    refusedWith("of the same receipt under another signature", "signature_invalid", {
      ...receipt,
      signature: Buffer.alloc(64).toString("base64"),
      countersignature: counter,
    }),
    refusedWith("by a stranger", "signature_missing", countersigned(receipt, strangerKey)),
    refusedWith("by the key for documents", "key_purpose_wrong", countersigned(receipt, documentKey)),
    refusedWith(
      "for another platform",
      "signature_invalid",
      countersigned(receipt, receiptKey, { iss: "https://evil.example" }),
    ),
    refusedWith("the algorithm is not the key's", "key_alg_mismatch", {
      ...receipt,
      countersignature: { ...counter, alg: "EdDSA" },
    }),
  ];
}

/** Points of edwards25519 under which anybody can sign anything: each of the eight, and spellings with y not reduced or x = 0 made negative. */
const SMALL_ORDER = [
  "0100000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000080",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0000000000000000000000000000000000000000000000000000000000000080",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

function publicKeys(): readonly Vector[] {
  const of = (name: string, key: TestKey) =>
    accepted(
      name,
      { jwk: { ...key.publicJwk, use: "sig" } },
      {
        kid: key.kid,
        alg: key.alg,
        pem: createPublicKey(key.privateKey).export({ type: "spki", format: "pem" }).toString(),
      },
    );
  const short = base64url(Buffer.alloc(31, 1));
  const malformed = (name: string, jwk: JsonMembers) => refused(name, "key_malformed", { jwk });
  return [
    of("the Ed25519 key of RFC 8037", anaKey),
    of("the P-256 key of RFC 7515", bramKey),
    malformed("a private key", { ...anaKey.publicJwk, d: "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A" }),
    malformed("a private member that is empty", { ...anaKey.publicJwk, d: "" }),
    malformed("a symmetric key", { kty: "oct", k: "AAAA" }),
    malformed("an RSA key", { kty: "RSA", n: "AQAB", e: "AQAB" }),
    malformed("X25519", { ...anaKey.publicJwk, crv: "X25519" }),
    malformed("P-384", { ...bramKey.publicJwk, crv: "P-384" }),
    malformed("secp256k1", { ...bramKey.publicJwk, crv: "secp256k1" }),
    malformed("a coordinate of 31 bytes", { ...anaKey.publicJwk, x: short }),
    malformed("a padded coordinate", { ...anaKey.publicJwk, x: `${String(anaKey.publicJwk["x"])}=` }),
    malformed("a coordinate as a number", { ...anaKey.publicJwk, x: 1 }),
    malformed("no y", { kty: "EC", crv: "P-256", x: String(bramKey.publicJwk["x"]) }),
    malformed("nothing", {}),
    ...SMALL_ORDER.map((point) =>
      malformed(`the point of small order ${point}`, { ...anaKey.publicJwk, x: base64url(Buffer.from(point, "hex")) }),
    ),
  ];
}

export function writeReceiptVectors(): void {
  const shared = { key_set: KEY_SET };
  writeVectors(
    "usage-receipt.json",
    "Usage receipts received at `received_at`, verified with the marketplace's registered `key` (null when there is none). `sha256` is what the countersignature names.",
    [...valid(), ...refusals()],
  );
  writeVectors(
    "receipt-countersignature.json",
    "The member `countersignature` of an accepted receipt, verified with `key_set`.",
    countersignatures(),
    shared,
  );
  writeVectors("public-key.json", "Public keys as JWK: their RFC 7638 thumbprint, algorithm and PEM.", publicKeys());
}
