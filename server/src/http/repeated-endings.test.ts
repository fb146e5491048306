import { expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  offerDataset,
  publishDataset,
  registerMarketplace,
  registerWork,
} from "../../../test/fixtures/actors.ts";
import { licenseDataset } from "../../../test/fixtures/licenses.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { registerUpstream } from "../../../test/fixtures/upstreams.ts";
import { startSink } from "../../../test/fixtures/webhook-sink.ts";
import { AUTHORIZATION, type RouteName } from "./authorization.ts";
import { bucketOf } from "./rate-limits.ts";

const sink = await startSink();
const platform = await startPlatform({ allowedHosts: [sink.host] });
const { operator } = platform;

type Ending = readonly [path: string, body?: Record<string, unknown>];

async function newDataset() {
  const creator = await enrolCreator(platform);
  const work = await registerWork(platform, creator.creatorId);
  const { jti } = await giveConsent(creator);
  const { dataset_id: datasetId } = await publishDataset(platform, [work]);
  return { creator, work, jti, datasetId };
}

async function newMarketplace() {
  return registerMarketplace(platform, { base_url: sink.url("/base"), webhook_url: sink.url("/hook") });
}

async function newClient(): Promise<string> {
  const body = { name: "Backend", scopes: ["content:read"] };
  return expectStatus(await operator.post("/api/v1/clients", body), 201).body.client_id;
}

async function newLicense(): Promise<string> {
  const [{ datasetId }, marketplace] = [await newDataset(), await newMarketplace()];
  await offerDataset(platform, datasetId, marketplace);
  return (await licenseDataset(platform, datasetId, marketplace)).license_id;
}

/** What each route takes away in this test. */
const ENDINGS: Partial<Record<RouteName, () => Promise<Ending>>> = {
  "POST /api/v1/creators/{id}/sessions/end": async () => [
    `/api/v1/creators/${(await enrolCreator(platform)).creatorId}/sessions/end`,
  ],
  "POST /api/v1/creators/{id}/keys/{kid}/retire": async () => {
    const { creatorId, kid } = await enrolCreator(platform);
    return [`/api/v1/creators/${creatorId}/keys/${kid}/retire`];
  },
  "POST /api/v1/creators/{id}/keys/{kid}/compromise": async () => {
    const { creatorId, kid } = await enrolCreator(platform);
    return [`/api/v1/creators/${creatorId}/keys/${kid}/compromise`, {}];
  },
  "POST /api/v1/keys/{kid}/revoke": async () => [
    `/api/v1/keys/${platform.server.ctx.signingKeys.signerFor("document").kid}/revoke`,
    {},
  ],
  "POST /api/v1/consents/{jti}/revoke": async () => [`/api/v1/consents/${(await newDataset()).jti}/revoke`],
  "POST /api/v1/consents/{jti}/suspend": async () => [`/api/v1/consents/${(await newDataset()).jti}/suspend`],
  "POST /api/v1/content/{id}/suspend": async () => [`/api/v1/content/${(await newDataset()).work}/suspend`],
  "POST /api/v1/datasets/{id}/consent/revoke": async () => {
    const { datasetId, jti } = await newDataset();
    return [`/api/v1/datasets/${datasetId}/consent/revoke`, { consent_jwt_id: jti }];
  },
  "POST /api/v1/creators/{id}/revocations": async () => [
    `/api/v1/creators/${(await newDataset()).creator.creatorId}/revocations`,
    { all: true },
  ],
  "POST /api/v1/clients/{id}/suspend": async () => [`/api/v1/clients/${await newClient()}/suspend`],
  "POST /api/v1/clients/{id}/end": async () => [`/api/v1/clients/${await newClient()}/end`],
  "POST /api/v1/sessions/{id}/end": async () => [
    `/api/v1/sessions/${expectStatus(await operator.post("/api/v1/sessions", {}), 201).body.session_id}/end`,
  ],
  "POST /api/v1/marketplaces/{id}/receipt-keys/{kid}/retire": async () => {
    const { marketplaceId, receiptSigner } = await newMarketplace();
    return [`/api/v1/marketplaces/${marketplaceId}/receipt-keys/${receiptSigner.kid}/retire`];
  },
  "POST /api/v1/marketplaces/{id}/receipt-keys/{kid}/revoke": async () => {
    const { marketplaceId, receiptSigner } = await newMarketplace();
    return [`/api/v1/marketplaces/${marketplaceId}/receipt-keys/${receiptSigner.kid}/revoke`, {}];
  },
  "POST /api/v1/datasets/{id}/suspend": async () => [`/api/v1/datasets/${(await newDataset()).datasetId}/suspend`],
  "POST /api/v1/datasets/{id}/withdraw": async () => [`/api/v1/datasets/${(await newDataset()).datasetId}/withdraw`],
  "POST /api/v1/licenses/{id}/revoke": async () => [
    `/api/v1/licenses/${await newLicense()}/revoke`,
    { reason: "no longer needed" },
  ],
  "POST /api/v1/upstreams/{id}/end": async () => [
    `/api/v1/upstreams/${(await registerUpstream(platform)).upstreamId}/end`,
    {},
  ],
  "POST /api/v1/webhook-endpoints/{id}/disable": async () => [
    `/api/v1/webhook-endpoints/${(await newMarketplace()).endpointId}/disable`,
  ],
};

const isRouteName = (name: string): name is RouteName => Object.hasOwn(AUTHORIZATION, name);
/** An upstream's message has an id, and is known by it; consent-updated.test.ts sends it twice. */
const routes = Object.keys(AUTHORIZATION)
  .filter(isRouteName)
  .filter((route) => bucketOf(route, false) === "revoking" && route !== "POST /webhooks/consent-updated");

/** A session that ended is gone, so nobody can tell it from one that never was. */
const GONE: readonly RouteName[] = ["POST /api/v1/sessions/{id}/end"];

test.each(routes)("%s takes away what was taken away before, and answers the same again", async (route) => {
  const ending = ENDINGS[route];
  if (ending === undefined) throw new Error(`expected to know how to call ${route} twice`);
  const [path, body] = await ending();
  expectStatus(await operator.post(path, body), 200);
  const again = await operator.post(path, body);
  expect(again).toMatchObject({ status: GONE.includes(route) ? 404 : 200 });
});
