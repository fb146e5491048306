import { sign } from "node:crypto";
import {
  type JsonMembers,
  type TestKey,
  type Vector,
  accepted,
  refused,
  signatureBytes,
  testKey,
  writeVectors,
} from "./vector-writing.ts";
import { HASH, JTI, NOW, instantAt } from "./vector-world.ts";

const EVENT: JsonMembers = {
  dataset_id: "ds_1",
  change: "revoked",
  jti: JTI,
  revoked_at: instantAt(NOW - 2),
  event_id: "evt_1",
  endpoint_id: "whe_1",
  sequence: 3,
  sent_at: instantAt(NOW),
  dataset: { status: "partially_revoked", current_version: 1, min_valid_version: 1, manifest_sha256: HASH },
};
const BODY = JSON.stringify(EVENT);
const KEY = testKey("platform_consent");
const NEXT = testKey("platform_document");
const ES256 = testKey("platform_document_es256");

/** `whpk_` and the 32 bytes of an Ed25519 public key. */
function whpk(key: TestKey): string {
  return `whpk_${Buffer.from(String(key.publicJwk["x"]), "base64url").toString("base64")}`;
}

function v1a(body: string, key = KEY, id = "evt_1", timestamp = NOW): string {
  return `v1a,${signatureBytes(`${id}.${timestamp}.${body}`, key).toString("base64")}`;
}

function headersOf(body: string, signature = v1a(body)): Record<string, string> {
  return { "webhook-id": "evt_1", "webhook-timestamp": String(NOW), "webhook-signature": signature };
}

function asked(headers: Record<string, string>, others: JsonMembers = {}): JsonMembers {
  return { headers, body: BODY, public_keys: [whpk(KEY)], endpoint_ids: ["whe_1"], now: NOW + 1, ...others };
}

function withBody(body: string): JsonMembers {
  return asked(headersOf(body), { body });
}

function valid(): readonly Vector[] {
  const answer = { event_id: "evt_1", change: "revoked" };
  const good = headersOf(BODY);
  return [
    accepted("a v1a signature", asked(good), answer),
    accepted("the second of two keys", asked(good, { public_keys: [whpk(NEXT), whpk(KEY)] }), answer),
    accepted(
      "beside a v1 signature and an X-Signature, which need a secret",
      asked({ ...headersOf(BODY, `v1,AAAA ${v1a(BODY)}`), "x-signature": "sha256=00" }),
      answer,
    ),
    accepted(
      "a key being replaced: two v1a signatures, the second by ours",
      asked(headersOf(BODY, `${v1a(BODY, NEXT)} ${v1a(BODY)}`)),
      answer,
    ),
    accepted("one of two endpoints", asked(good, { endpoint_ids: ["whe_9", "whe_1"] }), answer),
    accepted("300 seconds old", asked(good, { now: NOW + 300 }), answer),
    accepted(
      "test: true, where tests are allowed",
      { ...withBody(JSON.stringify({ ...EVENT, test: true })), allow_test: true },
      answer,
    ),
  ];
}

function invalid(): readonly Vector[] {
  const good = headersOf(BODY);
  const signature = v1a(BODY);
  const wrong = (name: string, headers: Record<string, string>, others: JsonMembers = {}) =>
    refused(name, "webhook_signature_invalid", asked(headers, others));
  const { "webhook-id": _id, ...withoutId } = good;
  return [
    refused("no webhook-id", "webhook_unsigned", asked(withoutId)),
    refused(
      "nine signatures",
      "webhook_unsigned",
      asked(headersOf(BODY, Array.from({ length: 9 }, () => signature).join(" "))),
    ),
    wrong("another key", headersOf(BODY, v1a(BODY, NEXT))),
    wrong("no key", good, { public_keys: [] }),
    wrong("an ES256 signature", headersOf(BODY, v1a(BODY, ES256))),
    wrong("a body changed after signing", good, { body: BODY.replace("ds_1", "ds_2") }),
    wrong("another id under the same signature", { ...good, "webhook-id": "evt_2" }),
    wrong("another time under the same signature", { ...good, "webhook-timestamp": String(NOW + 1) }),
    wrong("the signature as v1", headersOf(BODY, signature.replace("v1a", "v1"))),
    wrong(
      "the signature in base64url",
      headersOf(BODY, signature.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "")),
    ),
    wrong("a signature cut short", headersOf(BODY, signature.slice(0, -4))),
    wrong(
      "a signature of the body alone",
      headersOf(BODY, `v1a,${sign(null, Buffer.from(BODY), KEY.privateKey).toString("base64")}`),
    ),
    refused("301 seconds old", "webhook_too_old", asked(good, { now: NOW + 301 })),
    refused("301 seconds in the future", "webhook_too_old", asked(good, { now: NOW - 301 })),
    refused("sent to another endpoint", "webhook_invalid", asked(good, { endpoint_ids: ["whe_9"] })),
    refused("without endpoint_id", "webhook_invalid", withBody(JSON.stringify({ ...EVENT, endpoint_id: undefined }))),
    refused(
      "an event_id unlike webhook-id",
      "webhook_invalid",
      withBody(JSON.stringify({ ...EVENT, event_id: "evt_2" })),
    ),
    refused("no JSON", "webhook_invalid", withBody("revoked")),
    refused("test: true", "test_document", withBody(JSON.stringify({ ...EVENT, test: true }))),
  ];
}

export function writeWebhookKeyVectors(): void {
  writeVectors(
    "webhook-key.json",
    "Webhooks as received at `now` by somebody who holds `public_keys` and owns `endpoint_ids`. The signature (Standard Webhooks v1a) is over the raw body.",
    [...valid(), ...invalid()],
  );
}
