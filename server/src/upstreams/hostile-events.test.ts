import { MAX_WEBHOOK_BYTES, signWebhook, webhookSecret } from "@licet/protocol";
import { randomBytes } from "node:crypto";
import { beforeEach, describe, expect, test } from "vitest";
import { enrolCreator, expectStatus, registerWork, uniqueId } from "../../../test/fixtures/actors.ts";
import type { Answer } from "../../../test/fixtures/caller.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { readStatusBit } from "../../../test/fixtures/status-bit.ts";
import {
  CONSENT_UPDATED,
  type Upstream,
  mapWorks,
  registerUpstream,
  sendEvent,
  theirJti,
} from "../../../test/fixtures/upstreams.ts";

const platform = await startPlatform();
const { operator, anonymous, clock } = platform;
const now = () => Math.floor(clock.nowMs() / 1_000);
const VALID = 0;

let upstream: Upstream;
let work: string;
let event: { readonly dataset_id: string; readonly change: string; readonly content_id: string };

beforeEach(async () => {
  const creator = await enrolCreator(platform);
  work = await registerWork(platform, creator.creatorId);
  upstream = await registerUpstream(platform);
  const names = { upstream_dataset_id: uniqueId("ds_"), upstream_content_id: uniqueId("content_") };
  expectStatus(await mapWorks(platform, upstream, [{ content_id: work, ...names, upstream_jti: theirJti() }]), 200);
  event = { dataset_id: names.upstream_dataset_id, change: "revoked", content_id: names.upstream_content_id };
});

async function expectRefused(answer: Answer, status: number, code: string): Promise<void> {
  expect(answer).toMatchObject({ status, body: { code } });
  expect(await readStatusBit(platform, (await operator.get(`/api/v1/content/${work}`)).body)).toBe(VALID);
}

const rotate = async (body: object) =>
  expectStatus(await operator.post(`/api/v1/upstreams/${upstream.upstreamId}/secret-rotations`, body), 201).body;

describe("a message that nobody can trust changes nothing", () => {
  test("without a signature", async () => {
    const body = { endpoint_id: upstream.endpointId, event_id: "evt_1", ...event };
    await expectRefused(await anonymous.post(CONSENT_UPDATED, body), 401, "webhook_unsigned");
    await expectRefused(await operator.post(CONSENT_UPDATED, body), 401, "webhook_unsigned");
  });

  test("with another secret", async () => {
    const secret = webhookSecret(randomBytes(32));
    await expectRefused(await upstream.send(event, { secret }), 401, "webhook_signature_invalid");
  });

  test("with a v1 signature and an X-Signature by another secret", async () => {
    const other = signWebhook({ id: "x", timestamp: now(), body: "x" }, webhookSecret(randomBytes(32)));
    const headers = { "x-signature": other["x-signature"] ?? "" };
    await expectRefused(await upstream.send(event, { headers }), 401, "webhook_signature_invalid");
  });

  test.each([-301, 301])("sent %i seconds from now", async (seconds) => {
    await expectRefused(await upstream.send(event, { timestamp: now() + seconds }), 401, "webhook_too_old");
  });

  test("with a body that was changed on its way, if only by a space", async () => {
    const body = JSON.stringify({ endpoint_id: upstream.endpointId, event_id: "evt_1", ...event });
    const headers = signWebhook({ id: "evt_1", timestamp: now(), body }, upstream.secret);
    await expectRefused(await anonymous.post(CONSENT_UPDATED, `${body} `, headers), 401, "webhook_signature_invalid");
    expect((await anonymous.post(CONSENT_UPDATED, body, headers)).status).toBe(200);
  });

  test("whose webhook-id is not the event's", async () => {
    const body = JSON.stringify({ endpoint_id: upstream.endpointId, event_id: "evt_1", ...event });
    const headers = signWebhook({ id: "evt_2", timestamp: now(), body }, upstream.secret);
    await expectRefused(await anonymous.post(CONSENT_UPDATED, body, headers), 400, "webhook_invalid");
  });

  test("that names no endpoint, or one that nobody registered", async () => {
    await expectRefused(await sendEvent(platform, event, { secret: upstream.secret }), 400, "webhook_invalid");
    await expectRefused(await upstream.send({ ...event, endpoint_id: "whe_unknown" }), 400, "webhook_invalid");
    await expectRefused(await upstream.send({ ...event, endpoint_id: 7 }), 400, "webhook_invalid");
  });

  test("that is no event: a duplicate member, another change, no JSON", async () => {
    const body = `{"endpoint_id":"${upstream.endpointId}","endpoint_id":"${upstream.endpointId}"}`;
    const headers = signWebhook({ id: "evt_1", timestamp: now(), body }, upstream.secret);
    await expectRefused(await anonymous.post(CONSENT_UPDATED, body, headers), 400, "webhook_invalid");
    await expectRefused(await anonymous.post(CONSENT_UPDATED, "not JSON"), 400, "webhook_invalid");
    await expectRefused(await anonymous.post(CONSENT_UPDATED), 400, "webhook_invalid");
    await expectRefused(await upstream.send({ ...event, change: "destroyed" }), 400, "webhook_invalid");
    await expectRefused(await upstream.send({ ...event, content_id: "../etc" }), 400, "webhook_invalid");
  });

  test("over the limit, however it is signed", async () => {
    const answer = await upstream.send({ ...event, padding: "x".repeat(MAX_WEBHOOK_BYTES) });
    await expectRefused(answer, 413, "body_too_large");
  });

  test("from a test server", async () => {
    await expectRefused(await upstream.send({ ...event, test: true }), 422, "test_document");
  });
});

describe("an upstream reaches what is mapped to it alone", () => {
  test("not another's works", async () => {
    const other = await registerUpstream(platform);
    const answer = await other.send(event);
    expect(answer).toMatchObject({ status: 200, body: { effect: "not_mapped" } });
    await expectRefused(
      await other.send({ ...event, endpoint_id: upstream.endpointId }),
      401,
      "webhook_signature_invalid",
    );
  });

  test("nor works by the names that they have here", async () => {
    const answer = await upstream.send({ dataset_id: "ds_1", change: "revoked", content_id: work });
    expect(answer.body.effect).toBe("not_mapped");
  });

  test("nor anything else that a token would open", async () => {
    const headers = { authorization: `Bearer ${upstream.secret}` };
    expect(await anonymous.post(`/api/v1/content/${work}/suspend`, {}, headers)).toMatchObject({
      status: 401,
      body: { code: "token_invalid" },
    });
  });
});

describe("a secret", () => {
  test("is taken for as long as it was promised after it was replaced", async () => {
    const { secret } = await rotate({ overlap_seconds: 60 });
    expect((await upstream.send({ ...event, change: "granted" })).status).toBe(200);
    expect((await upstream.send({ ...event, change: "granted" }, { secret })).status).toBe(200);
    clock.advance(60);
    await expectRefused(await upstream.send(event), 401, "webhook_signature_invalid");
    expect((await upstream.send(event, { secret })).status).toBe(200);
  });

  test("that leaked ends at once", async () => {
    await rotate({ overlap_seconds: 0 });
    await expectRefused(await upstream.send(event), 401, "webhook_signature_invalid");
  });

  test("that the upstream made is never shown", async () => {
    const secret = webhookSecret(randomBytes(32));
    expect(await rotate({ secret })).not.toHaveProperty("secret");
    expect((await upstream.send(event, { secret })).status).toBe(200);
  });
});

describe("an upstream that has ended", () => {
  const end = (body?: object) => operator.post(`/api/v1/upstreams/${upstream.upstreamId}/end`, body);

  test("is told that nothing is taken from it any more, and what it took back stays so", async () => {
    expect(await end()).toMatchObject({ status: 200, body: { state: "ended" } });
    expect((await end()).status).toBe(200);
    await expectRefused(await upstream.send(event), 410, "upstream_ended");
    expect(await operator.post(`/api/v1/upstreams/${upstream.upstreamId}/secret-rotations`, {})).toMatchObject({
      status: 410,
      body: { code: "upstream_ended" },
    });
  });

  test("leaves suspended what it suspended, until it is asked to let go", async () => {
    expectStatus(await upstream.send({ ...event, change: "suspended" }), 200);
    const suspended = async () => (await operator.post(`/api/v1/content/${work}/suspend`)).body.held_by.length;
    expectStatus(await end(), 200);
    expect(await suspended()).toBe(2);
    expectStatus(await operator.post(`/api/v1/content/${work}/resume`), 200);
    expect((await end({ resume: true })).body).toMatchObject({ resumed_count: 1, resumed_complete: true });
    expect(await readStatusBit(platform, (await operator.get(`/api/v1/content/${work}`)).body)).toBe(VALID);
  });
});
