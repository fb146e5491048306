import { expect, test } from "vitest";
import vectors from "../vectors/webhook.json" with { type: "json" };
import { WEBHOOK_SECRETS, casesOf, outcome } from "./testing/vectors.ts";
import { isWebhookSecret, signWebhook, verifyWebhook, webhookSecret } from "./webhook.ts";

interface WebhookInput {
  readonly headers: Record<string, string>;
  readonly body: string;
  readonly secrets: string[];
  readonly now: number;
  readonly allow_test?: boolean;
}

const cases = casesOf<WebhookInput, { event_id: string; change: string }>(vectors);

test.each(cases)("webhook: $name", ({ headers, body, secrets, now, allow_test = false, expect: expected }) => {
  const verified = verifyWebhook((name) => headers[name], body, { secrets, now, allowTest: allow_test });
  expect(outcome(verified, ({ event_id, change }) => ({ event_id, change }))).toEqual(expected);
});

test("our headers are those of the vectors", () => {
  const [first] = cases;
  expect(
    signWebhook({ id: "evt_1", timestamp: 1_800_000_000, body: first?.body ?? "" }, WEBHOOK_SECRETS.current),
  ).toEqual(first?.headers);
});

test("a fresh secret signs what it verifies", () => {
  const secret = webhookSecret(crypto.getRandomValues(new Uint8Array(32)));
  const body = cases[0]?.body ?? "";
  const headers = signWebhook({ id: "evt_1", timestamp: 1_800_000_000, body }, secret);
  expect(verifyWebhook((name) => headers[name], body, { secrets: [secret], now: 1_800_000_000 }).ok).toBe(true);
});

test.each([24, 32, 64])("a secret of %i bytes is one", (length) => {
  expect(isWebhookSecret(webhookSecret(new Uint8Array(length)))).toBe(true);
});

test("a secret of ours that is malformed is a fault, not a refusal", () => {
  const message = { id: "evt_1", timestamp: 1_800_000_000, body: "{}" };
  for (const secret of [
    "",
    "whsec_",
    "whsec_AAAA",
    WEBHOOK_SECRETS.current.slice("whsec_".length),
    `${WEBHOOK_SECRETS.current} `,
    webhookSecret(new Uint8Array(65)),
  ]) {
    expect(isWebhookSecret(secret)).toBe(false);
    expect(() => signWebhook(message, secret)).toThrow(TypeError);
  }
});
