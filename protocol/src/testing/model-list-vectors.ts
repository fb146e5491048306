import { keyOf, marketplaceDocumentVectors } from "./marketplace-document-vectors.ts";
import { type JsonMembers, type Vector, accepted, refused, signed, writeVectors } from "./vector-writing.ts";
import { HASH, NOW, instantAt, marketplaceKey } from "./vector-world.ts";

const BASE = "00".repeat(32);
const MODEL: JsonMembers = { model_id: "acme/writer-7b", fingerprint: HASH, published_at: instantAt(NOW - 3_600) };
const LIST: JsonMembers = { type: "model-list", iss: "mkt_1", models: [MODEL], checked_at: instantAt(NOW) };

function read(document: JsonMembers, key: JsonMembers | null = keyOf(marketplaceKey)): JsonMembers {
  return { document, marketplace_id: "mkt_1", key, now: NOW + 60 };
}

function list(members: JsonMembers): JsonMembers {
  return signed({ ...LIST, ...members }, marketplaceKey);
}

function listOf(model: JsonMembers): JsonMembers {
  return list({ models: [{ ...MODEL, ...model }] });
}

function without(members: JsonMembers, name: string): JsonMembers {
  return Object.fromEntries(Object.entries(members).filter(([member]) => member !== name));
}

function lists(): readonly Vector[] {
  const good = list({});
  const shapeless = (name: string, document: JsonMembers) => refused(name, "model_list_invalid", read(document));
  return [
    accepted("one model", read(good)),
    accepted("no model at all", read(list({ models: [] }))),
    accepted("a model and the one it was made from", read(list({ models: [{ ...MODEL, base_fingerprint: BASE }] }))),
    accepted("from a clock that is 300 seconds ahead", read(list({ checked_at: instantAt(NOW + 360) }))),
    ...marketplaceDocumentVectors({ content: LIST, shapeless: "model_list_invalid", ask: read }),
    ...Object.keys(MODEL).map((member) =>
      shapeless(`a model without ${member}`, list({ models: [without(MODEL, member)] })),
    ),
    shapeless("of another marketplace", list({ iss: "mkt_2" })),
    shapeless("from the future", list({ checked_at: instantAt(NOW + 361) })),
    shapeless("models that are no list", list({ models: MODEL })),
    shapeless("one fingerprint twice", list({ models: [MODEL, { ...MODEL, model_id: "another" }] })),
    shapeless("a fingerprint in capital letters", listOf({ fingerprint: HASH.toUpperCase() })),
    shapeless("a base that is no fingerprint", listOf({ base_fingerprint: "llama" })),
    shapeless("a model id with a space", listOf({ model_id: "writer 7b" })),
    shapeless("a day instead of an instant", listOf({ published_at: "2026-01-18" })),
    refused("a model taken out after signing", "signature_invalid", read({ ...good, models: [] })),
  ];
}

export function writeModelListVectors(): void {
  writeVectors(
    "model-list.json",
    "Lists of the models of `marketplace_id`, verified at `now` with its registered `key` (null when there is none).",
    lists(),
  );
}
