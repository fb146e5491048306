import {
  type JsonMembers,
  type TestKey,
  type Vector,
  accepted,
  documentSha256,
  refused,
  signatureOf,
  signed,
  signedAgain,
  writeVectors,
} from "./vector-writing.ts";
import {
  KEY_ENTRIES,
  KEY_SET,
  NOW,
  ORIGIN,
  UNSIGNED_KEY_SET,
  anaKey,
  bramKey,
  compromisedKey,
  consentKey,
  documentKey,
  documentKeyEs256,
  instantAt,
  keyEntry,
  receiptKey,
  retiredKey,
  strangerKey,
  LIFETIME,
} from "./vector-world.ts";

const TERMS: JsonMembers = {
  type: "terms",
  iss: ORIGIN,
  license: "paid_training:1.0",
  language: "en",
  text: "You stay the owner – of “everything”. 😀",
};
const PRESENT: JsonMembers = { type: "provenance", iss: ORIGIN, dataset_id: "ds_1" };

function asked(type: string, document: JsonMembers, others: JsonMembers = {}): JsonMembers {
  return { type, document, made_at: NOW, ...others };
}

function terms(document: JsonMembers, others: JsonMembers = {}): JsonMembers {
  return asked("terms", document, others);
}

function withSignatures(...signatures: readonly JsonMembers[]): JsonMembers {
  return terms({ ...TERMS, signatures });
}

function validDocuments(): readonly Vector[] {
  const answer = { sha256: documentSha256(TERMS) };
  const good = signatureOf(TERMS, documentKey);
  const unknown = { ...TERMS, x: { b: [1, null, true], a: "" } };
  const beforeCompromise = { made_at: Date.parse("2026-08-31T23:59:59Z") / 1000 };
  return [
    accepted("signed with Ed25519", terms(signed(TERMS, documentKey)), answer),
    accepted("signed with ES256", terms(signed(TERMS, documentKeyEs256)), answer),
    accepted("signed twice", terms(signed(TERMS, documentKey, documentKeyEs256)), answer),
    accepted("signed by us and by a key we do not know", withSignatures(signatureOf(TERMS, strangerKey), good), answer),
    accepted("members that no reader knows are covered", terms(signed(unknown, documentKey)), {
      sha256: documentSha256(unknown),
    }),
    accepted(
      "members of a signature that no reader knows are left alone",
      withSignatures({ ...good, note: "kept" }),
      answer,
    ),
    accepted(
      "a durable document made while a key, since retired, was in force",
      terms(signed(TERMS, retiredKey), { made_at: Date.parse("2026-06-30T23:59:59Z") / 1000 }),
      answer,
    ),
    accepted(
      "a durable document made before the key was compromised",
      terms(signed(TERMS, compromisedKey), beforeCompromise),
      answer,
    ),
    accepted(
      "a document that speaks of the present, under an active key",
      asked("provenance", signed(PRESENT, documentKey)),
      { sha256: documentSha256(PRESENT) },
    ),
    accepted(
      "signed again under another key after its first key was compromised",
      terms(signedAgain(TERMS, documentKey, instantAt(NOW + 60))),
      answer,
    ),
    accepted(
      "signed again with a key that is younger than the document",
      terms(signedAgain(TERMS, documentKey, instantAt(NOW)), { made_at: Date.parse("2025-06-01T00:00:00Z") / 1000 }),
      answer,
    ),
    accepted("test: false", terms(signed({ ...TERMS, test: false }, documentKey)), {
      sha256: documentSha256({ ...TERMS, test: false }),
    }),
    accepted(
      "test: true, where tests are allowed",
      terms(signed({ ...TERMS, test: true }, documentKey), { allow_test: true }),
      { sha256: documentSha256({ ...TERMS, test: true }) },
    ),
  ];
}

function malformedDocuments(): readonly Vector[] {
  const good = signatureOf(TERMS, documentKey);
  const invalid = (name: string, input: JsonMembers) => refused(name, "document_invalid", input);
  return [
    invalid("another type", terms(signed({ ...TERMS, type: "manifest" }, documentKey))),
    invalid("no type", terms({ ...signed(PRESENT, documentKey), type: null })),
    invalid("another issuer", terms(signed({ ...TERMS, iss: "https://evil.example" }, documentKey))),
    invalid("an issuer with a slash", terms(signed({ ...TERMS, iss: `${ORIGIN}/` }, documentKey))),
    invalid("no signatures member", terms(TERMS)),
    invalid("no signature", withSignatures()),
    invalid("17 signatures", withSignatures(...Array.from({ length: 17 }, () => good))),
    invalid("signatures as an object", terms({ ...TERMS, signatures: good })),
    invalid("a signature without key_id", withSignatures({ alg: good.alg, sig: good.sig })),
    invalid("a signature with alg none", withSignatures({ ...good, alg: "none" })),
    invalid("a signature with alg HS256", withSignatures({ ...good, alg: "HS256" })),
    refused("test: true", "test_document", terms(signed({ ...TERMS, test: true }, documentKey))),
    refused("test as text", "test_document", terms(signed({ ...TERMS, test: "false" }, documentKey))),
    refused("test: null", "test_document", terms(signed({ ...TERMS, test: null }, documentKey))),
  ];
}

function wrongSignatures(): readonly Vector[] {
  const good = signatureOf(TERMS, documentKey);
  const later = instantAt(NOW + 60);
  const again = (key: TestKey, signedAt = later) => terms(signedAgain(TERMS, key, signedAt));
  const notInForce = (name: string, input: JsonMembers) => refused(name, "key_not_in_force", input);
  return [
    refused("signed again by the compromised key", "key_not_in_force", again(compromisedKey)),
    refused("signed again before it was made", "document_invalid", again(documentKey, instantAt(NOW - 1))),
    refused(
      "signed again, the moment changed afterwards",
      "signature_invalid",
      withSignatures({ ...signatureOf(TERMS, documentKey, `terms;signed_at=${later}`), signed_at: instantAt(NOW) }),
    ),
    refused(
      "a signature passed off as a later one",
      "signature_invalid",
      withSignatures({ ...good, signed_at: later }),
    ),
    refused(
      "a later signature passed off as the first one",
      "signature_invalid",
      withSignatures(signatureOf(TERMS, documentKey, `terms;signed_at=${later}`)),
    ),
    refused(
      "signed_at on a document that speaks of the present",
      "document_invalid",
      asked("provenance", signedAgain(PRESENT, documentKey, later)),
    ),
    refused("signed_at without a zone", "document_invalid", withSignatures({ ...good, signed_at: "2027-01-15" })),
    refused("signed by a stranger alone", "signature_missing", terms(signed(TERMS, strangerKey))),
    refused(
      "a member changed after signing",
      "signature_invalid",
      terms({ ...signed(TERMS, documentKey), language: "de" }),
    ),
    refused("a member added after signing", "signature_invalid", terms({ ...signed(TERMS, documentKey), extra: 1 })),
    refused(
      "a signature made for another type",
      "signature_invalid",
      withSignatures(signatureOf(TERMS, documentKey, "manifest")),
    ),
    refused(
      "one signature right, one by a known key wrong",
      "signature_invalid",
      withSignatures(good, { ...signatureOf(PRESENT, documentKeyEs256), alg: "ES256" }),
    ),
    refused(
      "a stranger's signature under a known key_id",
      "signature_invalid",
      withSignatures({ ...signatureOf(TERMS, strangerKey), key_id: documentKey.kid }),
    ),
    refused("a padded signature", "signature_invalid", withSignatures({ ...good, sig: `${good.sig}==` })),
    refused("an empty signature", "signature_invalid", withSignatures({ ...good, sig: "" })),
    refused(
      "a signature in base64 instead of base64url",
      "signature_invalid",
      withSignatures({ ...good, sig: Buffer.from(good.sig, "base64url").toString("base64") }),
    ),
    refused("the algorithm is not the key's", "key_alg_mismatch", withSignatures({ ...good, alg: "ES256" })),
    refused("the key for consents", "key_purpose_wrong", terms(signed(TERMS, consentKey))),
    refused("the key for receipts", "key_purpose_wrong", terms(signed(TERMS, receiptKey))),
    notInForce(
      "made before the key's first second",
      terms(signed(TERMS, documentKey), { made_at: Date.parse("2025-12-31T23:59:59Z") / 1000 }),
    ),
    notInForce(
      "made at the key's not_after",
      terms(signed(TERMS, documentKey), { made_at: Date.parse("2030-01-01T00:00:00Z") / 1000 }),
    ),
    notInForce("a durable document made after a key's retirement", terms(signed(TERMS, retiredKey))),
    notInForce(
      "a durable document made since a key was compromised",
      terms(signed(TERMS, compromisedKey), { made_at: Date.parse("2026-09-01T00:00:00Z") / 1000 }),
    ),
    notInForce(
      "a document that speaks of the present, under a retired key",
      asked("provenance", signed(PRESENT, retiredKey), { made_at: Date.parse("2026-06-30T00:00:00Z") / 1000 }),
    ),
    notInForce(
      "a document that speaks of the present, under a revoked key",
      asked("provenance", signed(PRESENT, compromisedKey), { made_at: Date.parse("2026-08-01T00:00:00Z") / 1000 }),
    ),
  ];
}

function keySet(members: JsonMembers, signer: TestKey = documentKey): JsonMembers {
  return { document: signed({ ...UNSIGNED_KEY_SET, ...members }, signer), origin: ORIGIN, now: NOW };
}

/** The key set with its second key, the document key, written otherwise. */
function entry(members: JsonMembers, base = keyEntry(documentKeyEs256, "document")): JsonMembers {
  return keySet({ keys: [keyEntry(documentKey, "document"), { ...base, ...members }] });
}

function keySets(): readonly Vector[] {
  const kids = KEY_ENTRIES.map((key) => String(key["kid"]));
  const invalid = (name: string, input: JsonMembers) => refused(name, "document_invalid", input);
  const { y: _, ...withoutY } = keyEntry(documentKeyEs256, "document");
  const { kid: _kid, ...withoutKid } = keyEntry(documentKeyEs256, "document");
  return [
    accepted("the platform's keys", { document: KEY_SET, origin: ORIGIN, now: NOW }, { seq: 3, kids }),
    accepted("signed with ES256", keySet({}, documentKeyEs256), { seq: 3, kids }),
    accepted(
      "from a test server, where tests are allowed",
      { ...keySet({ test: true }), allow_test: true },
      { seq: 3, kids },
    ),
    accepted("an entry with members that no reader knows", entry({ x5t: "abc" }), {
      seq: 3,
      kids: [documentKey.kid, documentKeyEs256.kid],
    }),
    invalid("of another origin", { ...keySet({}), origin: "https://evil.example" }),
    invalid("of another type", keySet({ type: "manifest" })),
    invalid("keys that are no list", keySet({ keys: {} })),
    invalid("a negative seq", keySet({ seq: -1 })),
    invalid("kid is not the thumbprint", entry({ kid: strangerKey.kid })),
    invalid("no kid", keySet({ keys: [keyEntry(documentKey, "document"), withoutKid] })),
    invalid("a key twice", keySet({ keys: [keyEntry(documentKey, "document"), keyEntry(documentKey, "document")] })),
    invalid(
      "a key twice, with two purposes",
      keySet({ keys: [keyEntry(documentKey, "document"), keyEntry(documentKey, "consent")] }),
    ),
    invalid("an unknown purpose", entry({ purpose: "everything" })),
    invalid("an unknown status", entry({ status: "resting" })),
    invalid("a key without an end", entry({ not_after: null })),
    invalid("a key that is revoked and does not say since when", entry({ status: "revoked" })),
    invalid("another algorithm", entry({ alg: "RS256" })),
    refused("the algorithm is not the key's", "key_alg_mismatch", entry({ alg: "EdDSA" })),
    refused("a private key", "key_malformed", entry({ d: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" })),
    refused(
      "a P-256 key with one coordinate",
      "key_malformed",
      keySet({ keys: [keyEntry(documentKey, "document"), withoutY] }),
    ),
    refused("signed by a key of another purpose", "key_purpose_wrong", keySet({}, consentKey)),
    refused("signed by a retired key of its own", "key_not_in_force", keySet({}, retiredKey)),
    refused("signed by a revoked key of its own", "key_not_in_force", keySet({}, compromisedKey)),
    refused("signed by a key it does not hold", "signature_missing", keySet({}, strangerKey)),
    refused("a key exchanged after signing", "signature_invalid", {
      document: { ...KEY_SET, keys: [keyEntry(documentKey, "document"), keyEntry(strangerKey, "document")] },
      origin: ORIGIN,
      now: NOW,
    }),
    refused("from a test server", "test_document", keySet({ test: true })),
  ];
}

function creatorKey(members: JsonMembers, signer: TestKey = documentKey): JsonMembers {
  const content = {
    type: "creator-key",
    iss: ORIGIN,
    creator_id: "user:ana",
    kid: anaKey.kid,
    alg: "EdDSA",
    jwk: anaKey.publicJwk,
    ...LIFETIME,
    ...members,
  };
  return { document: signed(content, signer), now: NOW };
}

function creatorKeys(): readonly Vector[] {
  const answer = { creator_id: "user:ana", kid: anaKey.kid };
  const bram = { creator_id: "bram", kid: bramKey.kid, alg: "ES256", jwk: bramKey.publicJwk };
  const { x: _, ...withoutX } = anaKey.publicJwk;
  return [
    accepted("an Ed25519 key", creatorKey({}), answer),
    accepted("a P-256 key", creatorKey(bram), { creator_id: "bram", kid: bramKey.kid }),
    accepted(
      "a revoked key",
      creatorKey({ revoked_at: instantAt(NOW - 10), compromised_since: instantAt(NOW - 20) }),
      answer,
    ),
    refused("kid is not the thumbprint", "document_invalid", creatorKey({ kid: bramKey.kid })),
    refused("a creator id with a slash", "document_invalid", creatorKey({ creator_id: "user/ana" })),
    refused("no creator id", "document_invalid", creatorKey({ creator_id: null })),
    refused("the algorithm is not the key's", "key_alg_mismatch", creatorKey({ alg: "ES256" })),
    refused("a key without its coordinate", "key_malformed", creatorKey({ jwk: withoutX })),
    refused("another curve", "key_malformed", creatorKey({ jwk: { ...anaKey.publicJwk, crv: "Ed448" } })),
    refused("signed by the creator", "signature_missing", creatorKey({}, anaKey)),
    refused("changed after signing", "signature_invalid", {
      now: NOW,
      document: {
        ...signed({ type: "creator-key", iss: ORIGIN, ...bram, ...LIFETIME }, documentKey),
        creator_id: "user:ana",
      },
    }),
    refused("signed by a retired key", "key_not_in_force", creatorKey({}, retiredKey)),
  ];
}

export function writeDocumentVectors(): void {
  const shared = { key_set: KEY_SET };
  writeVectors(
    "signed-document.json",
    "Signed documents of `type`, made at `made_at`, verified with `key_set`. `sha256` is how documents name each other.",
    [...validDocuments(), ...malformedDocuments(), ...wrongSignatures()],
    shared,
  );
  writeVectors("key-set.json", "Key sets as fetched from `origin` at `now`.", keySets());
  writeVectors(
    "creator-key.json",
    "Creators' keys as published by the platform, verified with `key_set` at `now`.",
    creatorKeys(),
    shared,
  );
}
