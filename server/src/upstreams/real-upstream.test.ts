import { signWebhook } from "@licet/protocol";
import { beforeAll, expect, test } from "vitest";
import {
  type Consent,
  enrolCreator,
  expectStatus,
  giveConsent,
  offerDataset,
  publishDataset,
  registerMarketplace,
  registerWork,
} from "../../../test/fixtures/actors.ts";
import { checkPlatform } from "../../../test/fixtures/check-platform.ts";
import { freePort, startPlatform } from "../../../test/fixtures/platform.ts";
import { readStatusBit } from "../../../test/fixtures/status-bit.ts";
import { CONSENT_UPDATED, mapWorks } from "../../../test/fixtures/upstreams.ts";
import { type Sink, startSink } from "../../../test/fixtures/webhook-sink.ts";

/*
 * Two platforms: one publishes a work, the other carries it. The first one's own webhooks, signed
 * with its secret and its key, take effect at the second.
 */
const port = await freePort();
const sink: Sink = await startSink();
const theirs = await startPlatform({ allowedHosts: [`127.0.0.1:${port}`, sink.host] });
const ours = await startPlatform({ port, allowedHosts: [new URL(theirs.origin).host] });
const VALID = 0;
const REVOKED = 1;
const WAIT = { timeout: 30_000 };

let endpointId: string;
let secret: string;
let upstreamId: string;
let contentId: string;
let consent: Consent;
let datasetId: string;

beforeAll(async () => {
  const creator = await enrolCreator(theirs);
  contentId = await registerWork(theirs, creator.creatorId);
  consent = await giveConsent(creator);
  datasetId = (await publishDataset(theirs, [contentId])).dataset_id;
  const marketplace = await registerMarketplace(theirs, { webhook_url: sink.url("/copies") });
  await offerDataset(theirs, datasetId, marketplace);
  const endpoint = { marketplace_id: marketplace.marketplaceId, url: ours.origin + CONSENT_UPDATED, key_signed: true };
  const added = expectStatus(await theirs.operator.post("/api/v1/webhook-endpoints", endpoint), 201).body;
  endpointId = added.endpoint_id;
  secret = added.secret;
  const upstream = { name: "Theirs", origin: theirs.origin, endpoint_id: endpointId, secret, key_signed: true };
  upstreamId = expectStatus(await ours.operator.post("/api/v1/upstreams", upstream), 201).body.upstream_id;
});

async function carry(): Promise<string> {
  const carried = await registerWork(ours, (await enrolCreator(ours)).creatorId);
  const names = { upstream_dataset_id: datasetId, upstream_content_id: contentId, upstream_jti: consent.jti };
  const upstream = { upstreamId, endpointId, secret, send: () => Promise.reject(new Error("it sends by itself")) };
  expectStatus(await mapWorks(ours, upstream, [{ content_id: carried, ...names }]), 200);
  return carried;
}

const bitOf = async (id: string) => readStatusBit(ours, (await ours.operator.get(`/api/v1/content/${id}`)).body);
const eventsOf = async (): Promise<readonly { readonly change: string; readonly effect: string }[]> =>
  (await ours.operator.get(`/api/v1/upstreams/${upstreamId}/events`)).body.events;

/** The same message as a thief of the secret would send it: v1 holds, v1a is what is given. */
function forge(event: object, v1a: string) {
  const timestamp = Math.floor(ours.clock.nowMs() / 1_000);
  const body = JSON.stringify({ event_id: "evt_forged", endpoint_id: endpointId, dataset_id: datasetId, ...event });
  const signed = signWebhook({ id: "evt_forged", timestamp, body }, secret);
  const headers = { ...signed, "webhook-signature": `${signed["webhook-signature"]} ${v1a}`.trim() };
  return ours.anonymous.post(CONSENT_UPDATED, body, headers);
}

test("a test message arrives, and changes nothing", async () => {
  expectStatus(await theirs.operator.post(`/api/v1/webhook-endpoints/${endpointId}/test`), 202);
  await expect.poll(eventsOf, WAIT).toMatchObject([{ change: "test", effect: "noted" }]);
});

test("whoever has the secret alone cannot speak for the upstream", async () => {
  const carried = await carry();
  for (const v1a of ["", `v1a,${Buffer.alloc(64, 1).toString("base64")}`]) {
    const answer = await forge({ change: "revoked", content_id: contentId }, v1a);
    expect(answer).toMatchObject({ status: 401, body: { code: "webhook_signature_invalid" } });
  }
  expect(await bitOf(carried)).toBe(VALID);
});

test("what is suspended there is suspended here, and stands again with it", async () => {
  const carried = await carry();
  expectStatus(await theirs.operator.post(`/api/v1/content/${contentId}/suspend`), 200);
  await expect.poll(() => bitOf(carried), WAIT).not.toBe(VALID);
  expectStatus(await theirs.operator.post(`/api/v1/content/${contentId}/resume`), 200);
  await expect.poll(() => bitOf(carried), WAIT).toBe(VALID);
});

test("a key that the upstream revoked is replaced, and its messages go on", async () => {
  const before = (await eventsOf()).length;
  const { keys } = (await theirs.operator.get("/api/v1/keys")).body;
  const { kid } = keys.find(
    (key: { purpose: string; status: string }) => key.purpose === "webhook" && key.status === "active",
  );
  expectStatus(await theirs.operator.post(`/api/v1/keys/${kid}/revoke`, {}), 200);
  for (const platform of [ours, theirs]) platform.clock.advance(61);
  expectStatus(await theirs.operator.post(`/api/v1/webhook-endpoints/${endpointId}/test`), 202);
  await expect.poll(async () => (await eventsOf()).length, WAIT).toBe(before + 1);
});

test("what is revoked there is withdrawn here", async () => {
  const carried = await carry();
  expectStatus(await theirs.operator.post(`/api/v1/consents/${consent.jti}/revoke`), 200);
  await expect.poll(() => bitOf(carried), WAIT).toBe(REVOKED);
  expect(await eventsOf()).toContainEqual(
    expect.objectContaining({
      change: "revoked",
      effect: "applied",
      withdrawn_content_ids: expect.arrayContaining([carried]),
    }),
  );
});

test("and the platform keeps its promises after all of it", async () => {
  await checkPlatform({ ...ours, now: () => Math.floor(ours.clock.nowMs() / 1_000) });
});
