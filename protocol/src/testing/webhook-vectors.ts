import { createHmac } from "node:crypto";
import {
  type Json,
  type JsonMembers,
  type Vector,
  WEBHOOK_SECRETS,
  accepted,
  refused,
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
/** What makes an event of ours a notice: it is about an endpoint, and about no dataset's state. */
const NOTICE = {
  dataset_id: "whe_2",
  jti: undefined,
  revoked_at: undefined,
  dataset: undefined,
  reason: "failing",
  disable_at: instantAt(NOW + 86_400),
};
/** What makes it a notice about a license: it is about the dataset, and says nothing of its state. */
const LICENSE_NOTICE = {
  jti: undefined,
  revoked_at: undefined,
  dataset: undefined,
  license_id: "lic_1",
  request_id: "lrq_1",
  model_fingerprint: HASH,
  license_expires_at: instantAt(NOW + 86_400),
  reason: "over the cap",
};
/** What makes it a notice about a remediation. */
const REMEDIATION_NOTICE = {
  jti: undefined,
  revoked_at: undefined,
  dataset: undefined,
  case_id: "rem_1",
  state: "offered",
  step: "offered",
  license_id: "lic_1",
  model_fingerprint: HASH,
};
const BODY = JSON.stringify(EVENT);
const { current, next } = WEBHOOK_SECRETS;

function hmac(secret: string, text: string, encoding: "base64" | "hex"): string {
  return createHmac("sha256", Buffer.from(secret.slice("whsec_".length), "base64"))
    .update(text)
    .digest(encoding);
}

function v1(body: string, secret = current, id = "evt_1", timestamp = String(NOW)): string {
  return `v1,${hmac(secret, `${id}.${timestamp}.${body}`, "base64")}`;
}

function headersOf(body: string, secret = current): Record<string, string> {
  return {
    "webhook-id": "evt_1",
    "webhook-timestamp": String(NOW),
    "webhook-signature": v1(body, secret),
    "x-signature": `sha256=${hmac(secret, body, "hex")}`,
  };
}

function asked(headers: Record<string, string>, others: JsonMembers = {}): JsonMembers {
  return { headers, body: BODY, secrets: [current], now: NOW + 1, ...others };
}

function without(name: string): Record<string, string> {
  return Object.fromEntries(Object.entries(headersOf(BODY)).filter(([header]) => header !== name));
}

function withBody(body: string): JsonMembers {
  return asked(headersOf(body), { body });
}

/** As the brief has it: X-Signature and nothing else. */
function bodySigned(members: Record<string, true | undefined>): JsonMembers {
  const body = JSON.stringify({ ...EVENT, ...members });
  return asked({ "x-signature": `sha256=${hmac(current, body, "hex")}` }, { body });
}

function withEvent(members: Readonly<Record<string, Json | undefined>>): JsonMembers {
  return withBody(JSON.stringify({ ...EVENT, ...members }));
}

function valid(): readonly Vector[] {
  const answer = { event_id: "evt_1", change: "revoked" };
  const changes = ["granted", "suspended", "resumed", "expired", "withdrawn", "erased", "published"];
  const notices = ["test", "endpoint_failing", "endpoint_disabled"];
  const licenses = ["license_issued", "license_denied", "license_renewed", "license_revoked", "license_expired"];
  const good = headersOf(BODY);
  const spaced = `${JSON.stringify(EVENT, null, 2)}\n`;
  return [
    accepted("both signatures", asked(good), answer),
    accepted("without X-Signature", asked(without("x-signature")), answer),
    accepted("the second of two secrets", asked(headersOf(BODY, next), { secrets: [current, next] }), answer),
    accepted(
      "two v1 signatures, the second ours",
      asked({ ...good, "webhook-signature": `${v1(BODY, next)} ${v1(BODY)}` }),
      answer,
    ),
    accepted(
      "a secret being replaced: the receiver holds the older one, X-Signature is by the newer",
      asked({ ...headersOf(BODY, next), "webhook-signature": `${v1(BODY, next)} ${v1(BODY)}` }),
      answer,
    ),
    accepted(
      "a secret being replaced: the receiver holds the newer one",
      asked({ ...headersOf(BODY, next), "webhook-signature": `${v1(BODY, next)} ${v1(BODY)}` }, { secrets: [next] }),
      answer,
    ),
    accepted(
      "a signature of another version beside ours",
      asked({ ...good, "webhook-signature": `v1a,AAAA ${v1(BODY)}` }),
      answer,
    ),
    accepted("a body with white space: the raw bytes are what is signed", withBody(spaced), answer),
    accepted("a body with letters beyond ASCII and an unknown member", withEvent({ note: "Rösti 😀" }), answer),
    accepted("test: true, where tests are allowed", { ...withEvent({ test: true }), allow_test: true }, answer),
    accepted("test: false", withEvent({ test: false }), answer),
    accepted("300 seconds old", asked(good, { now: NOW + 300 }), answer),
    accepted("300 seconds in the future", asked(good, { now: NOW - 300 }), answer),
    accepted("X-Signature alone over a body with event_id and sent_at", bodySigned({}), answer),
    ...["event_id", "endpoint_id", "sequence", "sent_at", "dataset"].map((name) =>
      accepted(`without ${name}: the brief's members are enough`, withEvent({ [name]: undefined }), answer),
    ),
    ...changes.map((change) => accepted(`change ${change}`, withEvent({ change }), { event_id: "evt_1", change })),
    ...notices.map((change) =>
      accepted(`notice ${change}`, withEvent({ change, ...NOTICE }), { event_id: "evt_1", change }),
    ),
    ...licenses.map((change) =>
      accepted(`notice ${change}`, withEvent({ change, ...LICENSE_NOTICE }), { event_id: "evt_1", change }),
    ),
    ...["remediation_opened", "remediation_updated"].map((change) =>
      accepted(`notice ${change}`, withEvent({ change, ...REMEDIATION_NOTICE }), { event_id: "evt_1", change }),
    ),
  ];
}

function unsigned(): readonly Vector[] {
  const good = headersOf(BODY);
  const timestamps = ["", "now", "-1", "1.5", "1e9", ` ${NOW}`, "9".repeat(13)];
  return [
    ...["webhook-id", "webhook-timestamp"].map((name) =>
      refused(`no ${name}`, "webhook_unsigned", asked(without(name))),
    ),
    refused(
      "no signature at all",
      "webhook_unsigned",
      asked({ "webhook-id": "evt_1", "webhook-timestamp": String(NOW) }),
    ),
    refused("X-Signature alone over a body without sent_at", "webhook_unsigned", bodySigned({ sent_at: undefined })),
    ...timestamps.map((timestamp) =>
      refused(
        `webhook-timestamp "${timestamp}"`,
        "webhook_unsigned",
        asked({ ...good, "webhook-timestamp": timestamp }),
      ),
    ),
    refused(
      "nine signatures",
      "webhook_unsigned",
      asked({ ...good, "webhook-signature": Array.from({ length: 9 }, () => v1(BODY)).join(" ") }),
    ),
  ];
}

function wronglySigned(): readonly Vector[] {
  const good = headersOf(BODY);
  const wrong = (name: string, headers: Record<string, string>, others: JsonMembers = {}) =>
    refused(name, "webhook_signature_invalid", asked(headers, others));
  const signature = good["webhook-signature"] ?? "";
  return [
    wrong("another secret", headersOf(BODY, next)),
    wrong("no secret", good, { secrets: [] }),
    wrong("a body changed after signing", good, { body: BODY.replace("ds_1", "ds_2") }),
    wrong("a body with a line feed more", good, { body: `${BODY}\n` }),
    wrong("another id under the same signature", { ...good, "webhook-id": "evt_2" }),
    wrong("another time under the same signature", { ...good, "webhook-timestamp": String(NOW + 1) }),
    wrong("no version", { ...good, "webhook-signature": signature.slice("v1,".length) }),
    wrong("another version", { ...good, "webhook-signature": signature.replace("v1", "v2") }),
    wrong("an empty signature", { ...good, "webhook-signature": "" }),
    wrong("a signature cut short", { ...good, "webhook-signature": signature.slice(0, -2) }),
    wrong("a signature without padding", { ...good, "webhook-signature": signature.replace(/=+$/, "") }),
    wrong("the HMAC keyed with the text of the secret", {
      ...good,
      "webhook-signature": `v1,${createHmac("sha256", current).update(`evt_1.${NOW}.${BODY}`).digest("base64")}`,
    }),
    wrong("v1 right, X-Signature wrong", { ...good, "x-signature": `sha256=${"0".repeat(64)}` }),
    wrong("v1 right, X-Signature empty", { ...good, "x-signature": "" }),
    wrong("X-Signature in capital letters", { ...good, "x-signature": (good["x-signature"] ?? "").toUpperCase() }),
    wrong("X-Signature alone is right", { ...good, "webhook-signature": v1(BODY, next) }),
    wrong(
      "the two signatures by two secrets",
      { ...good, "x-signature": headersOf(BODY, next)["x-signature"] ?? "" },
      { secrets: [current, next] },
    ),
    wrong("the signature comes before the age: both wrong", headersOf(BODY, next), { now: NOW + 1_000 }),
    refused("301 seconds old", "webhook_too_old", asked(good, { now: NOW + 301 })),
    refused("301 seconds in the future", "webhook_too_old", asked(good, { now: NOW - 301 })),
    refused("the age comes before the content: both wrong", "webhook_too_old", {
      ...withBody("no event"),
      now: NOW + 301,
    }),
  ];
}

function contents(): readonly Vector[] {
  const required = ["dataset_id", "change"];
  const invalid = (name: string, input: JsonMembers) => refused(name, "webhook_invalid", input);
  return [
    ...required.map((name) =>
      invalid(
        `without ${name}`,
        withBody(JSON.stringify(Object.fromEntries(Object.entries(EVENT).filter(([member]) => member !== name)))),
      ),
    ),
    invalid("X-Signature alone over a body without event_id", bodySigned({ event_id: undefined })),
    refused(
      "X-Signature alone by another secret",
      "webhook_signature_invalid",
      asked({ "x-signature": `sha256=${hmac(next, BODY, "hex")}` }),
    ),
    refused("X-Signature alone, too old", "webhook_too_old", { ...bodySigned({}), now: NOW + 301 }),
    refused("test: true", "test_document", withEvent({ test: true })),
    refused("test: true, X-Signature alone", "test_document", bodySigned({ test: true })),
    invalid("no JSON", withBody("revoked")),
    invalid("a list", withBody(`[${BODY}]`)),
    invalid("a member twice", withBody(BODY.replace('"change"', '"change":"granted","change"'))),
    invalid("an empty body", withBody("")),
    invalid("an unknown change", withEvent({ change: "forgotten" })),
    invalid("an event_id unlike webhook-id", withEvent({ event_id: "evt_2" })),
    invalid("a dataset id with a path in it", withEvent({ dataset_id: "../ds_1" })),
    invalid("a jti of another form", withEvent({ jti: "1" })),
    invalid("a negative sequence", withEvent({ sequence: -1 })),
    invalid("a sequence as text", withEvent({ sequence: "3" })),
    invalid(
      "an unknown state of the dataset",
      withEvent({ dataset: { status: "fine", current_version: 1, min_valid_version: 1, manifest_sha256: HASH } }),
    ),
    invalid("revoked_at without a zone", withEvent({ revoked_at: "2027-01-15T08:00:00" })),
    invalid("disable_at without a zone", withEvent({ ...NOTICE, change: "test", disable_at: "2027-01-15T08:00:00" })),
  ];
}

export function writeWebhookVectors(): void {
  writeVectors(
    "webhook.json",
    "Webhooks as received at `now` by somebody who shares `secrets`. The signature is over the raw body.",
    [...valid(), ...unsigned(), ...wronglySigned(), ...contents()],
  );
}
