import { expect, test } from "vitest";
import vectors from "../vectors/webhook-key.json" with { type: "json" };
import { publicJwkOf, signerOf } from "./signature.ts";
import { casesOf, outcome, testKey } from "./testing/vectors.ts";
import { signWebhookByKey, verifyWebhookByKey, webhookPublicKey, webhookPublicKeys } from "./webhook-key.ts";

interface WebhookKeyInput {
  readonly headers: Record<string, string>;
  readonly body: string;
  readonly public_keys: string[];
  readonly endpoint_ids: string[];
  readonly now: number;
  readonly allow_test?: boolean;
}

const cases = casesOf<WebhookKeyInput, { event_id: string; change: string }>(vectors);

test.each(cases)("webhook by key: $name", async ({ headers, body, expect: expected, ...check }) => {
  const verified = await verifyWebhookByKey((name) => headers[name], body, {
    publicKeys: check.public_keys,
    endpointIds: check.endpoint_ids,
    now: check.now,
    allowTest: check.allow_test ?? false,
  });
  expect(outcome(verified, ({ event_id, change }) => ({ event_id, change }))).toEqual(expected);
});

test("our signature and our key are those of the vectors", async () => {
  const [first] = cases;
  const key = testKey("platform_consent");
  const message = { id: "evt_1", timestamp: 1_800_000_000, body: first?.body ?? "" };
  expect(await signWebhookByKey(message, await signerOf(key))).toBe(first?.headers["webhook-signature"]);
  expect(webhookPublicKey(publicJwkOf(key))).toBe(first?.public_keys[0]);
});

test("only Ed25519 keys sign webhooks, and only such have a whpk_ form", async () => {
  const es256 = testKey("platform_document_es256");
  const message = { id: "evt_1", timestamp: 1_800_000_000, body: "{}" };
  await expect(signWebhookByKey(message, await signerOf(es256))).rejects.toThrow(TypeError);
  expect(webhookPublicKey(publicJwkOf(es256))).toBeUndefined();
});

test("a key set names its webhook keys but the revoked ones", () => {
  const jwk = publicJwkOf(testKey("platform_consent"));
  const lifetime = { not_before: "2026-01-01T00:00:00Z", not_after: "2028-01-01T00:00:00Z" };
  const key = { kid: "k", alg: "EdDSA" as const, jwk, ...lifetime };
  const keys = [
    { ...key, purpose: "webhook" as const, status: "active" as const },
    { ...key, purpose: "webhook" as const, status: "revoked" as const },
    { ...key, purpose: "document" as const, status: "active" as const },
  ];
  expect(webhookPublicKeys({ iss: "https://platform.example", seq: 1, keys })).toEqual([webhookPublicKey(jwk)]);
});

test("a malformed public key is a fault of the receiver's configuration, not a refusal", async () => {
  const [first] = cases;
  for (const publicKey of [
    "",
    "whpk_",
    "whpk_AAAA",
    `whpk_${"A".repeat(43)}=`,
    first?.public_keys[0]?.slice(5) ?? "",
  ]) {
    await expect(
      verifyWebhookByKey((name) => first?.headers[name], first?.body ?? "", {
        publicKeys: [publicKey],
        endpointIds: ["whe_1"],
        now: 1_800_000_000,
      }),
    ).rejects.toThrow(TypeError);
  }
});
