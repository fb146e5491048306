import { verifyWebhook as verifyBySecret, verifyKeySet, verifyWebhookByKey, webhookPublicKeys } from "@licet/protocol";
import { describe, expect, test } from "vitest";
import { expectStatus } from "../../../test/fixtures/actors.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { createListeners } from "../../../test/fixtures/webhook-listeners.ts";
import { type ReceivedRequest, startSink } from "../../../test/fixtures/webhook-sink.ts";

const sink = await startSink();
const platform = await startPlatform({ allowedHosts: [sink.host] });
const { listener } = createListeners(platform, sink);
const now = (): number => Math.floor(platform.clock.nowMs() / 1_000);
const headerOf =
  (request: ReceivedRequest | undefined) =>
  (name: string): string | undefined =>
    request?.headers[name];
const verifies = (request: ReceivedRequest | undefined, secrets: readonly string[]): boolean =>
  verifyBySecret(headerOf(request), request?.body ?? "", { secrets, now: now() }).ok;

/** Sends a test message and answers it as it came. */
async function testMessage(endpointId: string, path: string): Promise<ReceivedRequest | undefined> {
  const count = sink.received(path).length;
  expectStatus(await platform.operator.post(`/api/v1/webhook-endpoints/${endpointId}/test`), 202);
  return (await sink.waitFor(path, count + 1)).at(-1);
}

async function rotate(endpointId: string, body: object = {}): Promise<string> {
  const path = `/api/v1/webhook-endpoints/${endpointId}/secret-rotations`;
  return expectStatus(await platform.operator.post(path, body), 201).body.secret;
}

describe("while a secret is being replaced", () => {
  test("messages verify with the newer one and with the older one, and afterwards with the newer one alone", async () => {
    const { marketplace, path } = await listener();
    const { endpointId, webhookSecret: older } = marketplace;
    const newer = await rotate(endpointId);

    const during = await testMessage(endpointId, path);
    expect(during?.headers["webhook-signature"]).toMatch(/^v1,\S{44} v1,\S{44}$/);
    expect([[newer], [older], [newer, older]].map((secrets) => verifies(during, secrets))).toEqual([true, true, true]);
    const { "webhook-signature": _signature, ...bodySigned } = during?.headers ?? {};
    const alone = during === undefined ? undefined : { ...during, headers: bodySigned };
    expect([verifies(alone, [newer]), verifies(alone, [older])]).toEqual([true, false]);

    platform.clock.advance(86_401);
    const after = await testMessage(endpointId, path);
    expect([verifies(after, [newer]), verifies(after, [older])]).toEqual([true, false]);
  });

  test("one that leaked ends at once", async () => {
    const { marketplace, path } = await listener();
    const { endpointId, webhookSecret: leaked } = marketplace;
    await rotate(endpointId);
    const newest = await rotate(endpointId, { overlap_seconds: 0 });
    const request = await testMessage(endpointId, path);
    expect(request?.headers["webhook-signature"]).toMatch(/^v1,\S{44}$/);
    expect([verifies(request, [newest]), verifies(request, [leaked])]).toEqual([true, false]);
  });
});

describe("an endpoint that asked for the platform's key", () => {
  test("gets messages that verify without any secret, with the key of keys.json, and only as its own", async () => {
    const { marketplace, path } = await listener();
    const { endpointId } = marketplace;
    const plain = await testMessage(endpointId, path);
    expectStatus(
      await platform.operator.send("PATCH", `/api/v1/webhook-endpoints/${endpointId}`, {
        body: JSON.stringify({ key_signed: true }),
        headers: { "content-type": "application/json" },
      }),
      200,
    );
    const request = await testMessage(endpointId, path);
    expect(request?.headers["webhook-signature"]).toMatch(/^v1,\S{44} v1a,\S{88}$/);
    const document = (await platform.anonymous.get("/.well-known/keys.json")).body;
    const keys = await verifyKeySet(document, platform.origin, now());
    const publicKeys = keys.ok ? webhookPublicKeys(keys.value) : [];
    const verify = (message: ReceivedRequest | undefined, endpointIds: readonly string[]) =>
      verifyWebhookByKey(headerOf(message), message?.body ?? "", { publicKeys, endpointIds, now: now() });
    expect(await verify(request, [endpointId])).toMatchObject({ ok: true, value: { change: "test" } });
    expect(await verify(request, ["whe_other"])).toMatchObject({ ok: false, refusal: { code: "webhook_invalid" } });
    expect(await verify(plain, [endpointId])).toMatchObject({
      ok: false,
      refusal: { code: "webhook_signature_invalid" },
    });
    expect(verifies(request, [marketplace.webhookSecret])).toBe(true);
  });
});
