import {
  type JsonMembers,
  type TestKey,
  type Vector,
  accepted,
  refused,
  signatureOf,
  signed,
  writeVectors,
} from "./vector-writing.ts";
import { HASH, LIFETIME, NOW, anaKey, instantAt, marketplaceKey, strangerKey } from "./vector-world.ts";

const BASE = "00".repeat(32);
const MODEL: JsonMembers = { model_id: "acme/writer-7b", fingerprint: HASH, published_at: instantAt(NOW - 3_600) };
const LIST: JsonMembers = { type: "model-list", iss: "mkt_1", models: [MODEL], checked_at: instantAt(NOW) };

function keyOf(key: TestKey, lifetime: JsonMembers = {}): JsonMembers {
  return { kid: key.kid, alg: key.alg, jwk: key.publicJwk, ...LIFETIME, ...lifetime };
}

function read(document: JsonMembers, key: JsonMembers | null = keyOf(marketplaceKey)): JsonMembers {
  return { document, marketplace_id: "mkt_1", key, now: NOW + 60 };
}

function list(members: JsonMembers, key: TestKey = marketplaceKey): JsonMembers {
  return signed({ ...LIST, ...members }, key);
}

function listOf(model: JsonMembers): JsonMembers {
  return list({ models: [{ ...MODEL, ...model }] });
}

function without(members: JsonMembers, name: string): JsonMembers {
  return Object.fromEntries(Object.entries(members).filter(([member]) => member !== name));
}

function lists(): readonly Vector[] {
  const good = list({});
  const { signatures: [first] = [] } = good as { readonly signatures?: readonly JsonMembers[] };
  const signature: JsonMembers = first ?? {};
  const shapeless = (name: string, document: JsonMembers) => refused(name, "model_list_invalid", read(document));
  const forged = (name: string, document: JsonMembers) => refused(name, "signature_invalid", read(document));
  return [
    accepted("one model", read(good)),
    accepted("no model at all", read(list({ models: [] }))),
    accepted("a model and the one it was made from", read(list({ models: [{ ...MODEL, base_fingerprint: BASE }] }))),
    accepted("signed with Ed25519", read(list({}, anaKey), keyOf(anaKey))),
    accepted("an unknown member is covered", read(list({ note: "Rösti" }))),
    accepted("from a clock that is 300 seconds ahead", read(list({ checked_at: instantAt(NOW + 360) }))),
    accepted("test: true, where tests are allowed", { ...read(list({ test: true })), allow_test: true }),
    ...Object.keys(LIST).map((member) => shapeless(`without ${member}`, signed(without(LIST, member), marketplaceKey))),
    ...Object.keys(MODEL).map((member) =>
      shapeless(`a model without ${member}`, list({ models: [without(MODEL, member)] })),
    ),
    shapeless("without signatures", LIST),
    shapeless("of another type", list({ type: "usage-receipt" })),
    shapeless("of another marketplace", list({ iss: "mkt_2" })),
    shapeless("from the future", list({ checked_at: instantAt(NOW + 361) })),
    shapeless("models that are no list", list({ models: MODEL })),
    shapeless("one fingerprint twice", list({ models: [MODEL, { ...MODEL, model_id: "another" }] })),
    shapeless("a fingerprint in capital letters", listOf({ fingerprint: HASH.toUpperCase() })),
    shapeless("a base that is no fingerprint", listOf({ base_fingerprint: "llama" })),
    shapeless("a model id with a space", listOf({ model_id: "writer 7b" })),
    shapeless("a day instead of an instant", listOf({ published_at: "2026-01-18" })),
    shapeless("signed twice", signed(LIST, marketplaceKey, anaKey)),
    forged("a model taken out after signing", { ...good, models: [] }),
    forged("a member added after signing", { ...good, note: "and nothing else" }),
    forged("a signature made for another type", {
      ...LIST,
      signatures: [signatureOf(LIST, marketplaceKey, "usage-receipt")],
    }),
    refused("no key is registered", "receipt_key_unknown", read(good, null)),
    refused("by a key that is not registered", "receipt_key_unknown", read(list({}, strangerKey))),
    refused(
      "by a key that was revoked",
      "key_not_in_force",
      read(good, keyOf(marketplaceKey, { revoked_at: instantAt(NOW) })),
    ),
    refused(
      "the algorithm is not the key's",
      "key_alg_mismatch",
      read({ ...good, signatures: [{ ...signature, alg: "EdDSA" }] }),
    ),
    refused("from a test marketplace", "test_document", read(list({ test: true }))),
  ];
}

export function writeModelListVectors(): void {
  writeVectors(
    "model-list.json",
    "Lists of the models of `marketplace_id`, verified at `now` with its registered `key` (null when there is none).",
    lists(),
  );
}
