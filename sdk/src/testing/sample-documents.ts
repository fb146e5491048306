import {
  type JsonObject,
  clocksAt,
  consentLeafHash,
  documentSha256,
  formatInstant,
  itemLeafHash,
  merkleRoot,
} from "@licet/protocol";
import { encodeHex } from "../hex.ts";
import { DATASET_INDEX, type SampleFacts, isStanding, stateOf, statusReference } from "./sample-facts.ts";

/** The version's immutable manifest, before it is signed. */
export function manifestContent(facts: SampleFacts): JsonObject {
  const base = `${facts.origin}/datasets/${facts.datasetId}/versions/1`;
  return {
    type: "manifest",
    iss: facts.origin,
    dataset_id: facts.datasetId,
    name: "A sample",
    version: 1,
    items_count: facts.works.length,
    items_root: encodeHex(merkleRoot(facts.works.map(({ item }) => itemLeafHash(item)))),
    items_url: `${base}/items`,
    consents_count: facts.consents.length,
    consents_root: encodeHex(merkleRoot(facts.consents.map(({ token }) => consentLeafHash(token)))),
    consents_url: `${base}/consents`,
    scope: ["training", "commercial"],
    pricing: { model_use: "per-token:0.0001" },
    currency: "USD",
    license: "paid_training:1.0",
    status: statusReference(facts.origin, DATASET_INDEX),
    published_at: formatInstant(facts.startedAt + 5),
  };
}

export function currentContent(facts: SampleFacts, now: number): JsonObject {
  const manifest = manifestContent(facts);
  return {
    ...manifest,
    status: stateOf(facts),
    status_reference: manifest["status"] ?? null,
    withdrawn: facts.withdrawn,
    withdrawn_complete: true,
    withdrawn_count: facts.withdrawn.length,
    seq: facts.seq,
    manifest_sha256: documentSha256(manifest),
    ...clocksAt(now),
  };
}

export function statusContent(facts: SampleFacts, now: number): JsonObject {
  return {
    dataset_id: facts.datasetId,
    status: stateOf(facts),
    seq: facts.seq,
    current_version: 1,
    min_valid_version: 1,
    manifest_sha256: documentSha256(manifestContent(facts)),
    revoked_jtis: facts.revocations.map(({ jti }) => jti),
    revoked_complete: true,
    revoked_count: facts.revocations.length,
    withdrawn_items_count: facts.works.filter((work) => !isStanding(facts, work)).length,
    ...clocksAt(now),
  };
}
