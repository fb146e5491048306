import { type JsonObject, type KeySet, type StatusList, STATUS, setStatusAt } from "@licet/protocol";
import { beforeEach, describe, expect, it } from "vitest";
import type { SampleConsent } from "./testing/sample-facts.ts";
import { BRAM, type SamplePlatform, createSamplePlatform } from "./testing/sample-platform.ts";
import { verifyConsent } from "./verify-consent.ts";
import { receiveWebhook, verifyWebhook } from "./verify-webhook.ts";

const ORIGIN = "https://platform.example";
const NOW = 1_768_737_900;
const now = (): number => NOW;

let platform: SamplePlatform;
let keys: KeySet;
let ana: SampleConsent;
let bram: SampleConsent;

beforeEach(async () => {
  platform = await createSamplePlatform({ origin: ORIGIN, now });
  keys = { iss: ORIGIN, seq: 1, keys: platform.facts.keys };
  const [first, second] = platform.facts.consents;
  if (first === undefined || second === undefined) throw new Error("expected two consents");
  [ana, bram] = [first, second];
});

function list(uri = `${ORIGIN}/status-lists/1`): StatusList {
  return { uri, iss: ORIGIN, seq: 1, iat: NOW, exp: NOW + 300, bits: platform.facts.bits };
}

function trust(): { keys: KeySet; origin: string; now: number } {
  return { keys, origin: ORIGIN, now: NOW };
}

describe("a consent", () => {
  it("stands when its creator signed it, the platform accepted it and its bit is clear", async () => {
    expect(await verifyConsent({ ...ana, ...trust(), status: list() })).toMatchObject({
      ok: true,
      value: { creatorId: "user:ana", signedBy: "creator", status: "valid", acceptedAt: NOW - 59 },
    });
    expect(await verifyConsent({ ...bram, ...trust() })).toMatchObject({
      ok: true,
      value: { creatorId: "user:bram", signedBy: "platform", status: "unchecked" },
    });
  });

  it.each<[string, () => Parameters<typeof verifyConsent>[0], string]>([
    ["malformed", () => ({ ...ana, ...trust(), token: "a.b" }), "jws_malformed"],
    ["by an unknown key", () => ({ token: ana.token, acceptance: ana.acceptance, ...trust() }), "key_unknown"],
    ["beside another key's document", () => ({ ...bram, key: ana.key ?? {}, ...trust() }), "key_unknown"],
    ["unaccepted", () => ({ token: bram.token, ...trust() }), "consent_unaccepted"],
    ["accepted as another", () => ({ ...bram, acceptance: ana.acceptance, ...trust() }), "consent_unaccepted"],
    ["expired", () => ({ ...bram, ...trust(), now: NOW + 400 * 86_400 }), "token_expired"],
    ["not valid yet", () => ({ ...bram, ...trust(), now: NOW - 600 }), "token_not_yet_valid"],
    [
      "judged by another list",
      () => ({ ...bram, ...trust(), status: list(`${ORIGIN}/status-lists/2`) }),
      "status_list_invalid",
    ],
    ["of another platform", () => ({ ...bram, ...trust(), origin: "https://other.example" }), "document_invalid"],
  ])("is refused when it is %s", async (_, input, code) => {
    expect(await verifyConsent(input())).toMatchObject({ ok: false, refusal: { code } });
  });

  it("is refused once its bit says revoked or suspended", async () => {
    setStatusAt(platform.facts.bits, bram.idx, STATUS.revoked);
    expect(await verifyConsent({ ...bram, ...trust(), status: list() })).toMatchObject({
      refusal: { code: "consent_revoked" },
    });
    setStatusAt(platform.facts.bits, bram.idx, STATUS.suspended);
    expect(await verifyConsent({ ...bram, ...trust(), status: list() })).toMatchObject({
      refusal: { code: "consent_suspended" },
    });
  });

  it("is refused when the platform signed with a key of another purpose", async () => {
    const wrongPurpose: KeySet = {
      ...keys,
      keys: keys.keys.map((key) => (key.purpose === "consent" ? { ...key, purpose: "license" as const } : key)),
    };
    expect(await verifyConsent({ ...bram, ...trust(), keys: wrongPurpose })).toMatchObject({
      refusal: { code: "key_purpose_wrong" },
    });
  });
});

describe("a webhook", () => {
  function message(): { headers: Headers; body: string } {
    const { headers, body } = platform.webhook({ change: "revoked", sequence: 1, jti: BRAM.jti });
    return { headers: new Headers(headers), body };
  }

  it("is verified from headers and raw body, or from a request", async () => {
    expect(verifyWebhook(message(), { secrets: [platform.secret], now })).toMatchObject({
      ok: true,
      value: { change: "revoked", jti: BRAM.jti },
    });
    const request = new Request(ORIGIN, { method: "POST", ...message() });
    expect(await receiveWebhook(request, { secrets: [platform.secret], now })).toMatchObject({
      ok: true,
      value: { body: message().body },
    });
  });

  it("is refused when it is altered, old or too long", async () => {
    const { headers, body } = message();
    expect(
      verifyWebhook({ headers, body: body.replace("revoked", "granted") }, { secrets: [platform.secret], now }),
    ).toMatchObject({ refusal: { code: "webhook_signature_invalid" } });
    expect(verifyWebhook(message(), { secrets: [platform.secret], now: () => NOW + 301 })).toMatchObject({
      refusal: { code: "webhook_too_old" },
    });
    const long = new Request(ORIGIN, { method: "POST", headers, body: "x".repeat(70_000) });
    expect(await receiveWebhook(long, { secrets: [platform.secret], now })).toMatchObject({
      refusal: { code: "body_too_large" },
    });
  });
});

describe("an acceptance", () => {
  it("is refused when another platform signed it", async () => {
    const other = await createSamplePlatform({ origin: ORIGIN, now });
    const foreign: JsonObject | undefined = other.facts.consents[1]?.acceptance;
    expect(
      await verifyConsent({
        ...bram,
        acceptance: { ...foreign, token_sha256: bram.acceptance["token_sha256"] ?? "" },
        ...trust(),
      }),
    ).toMatchObject({ refusal: { code: "signature_missing" } });
  });
});
