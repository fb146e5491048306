import { beforeEach, describe, expect, test } from "vitest";
import {
  type Creator,
  enrolCreator,
  expectStatus,
  giveConsent,
  offerDataset,
  publishDataset,
  registerMarketplace,
} from "../../../test/fixtures/actors.ts";
import { checkPlatform } from "../../../test/fixtures/check-platform.ts";
import { datasetBody, readDocument, readLines, registerWorks } from "../../../test/fixtures/datasets.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { type StatusPlace, readStatusBit } from "../../../test/fixtures/status-bit.ts";
import { createClient, verifyDataset } from "../../../test/fixtures/sdk.ts";

const platform = await startPlatform();
const { operator } = platform;
const VALID = 0;
const REVOKED = 1;
const SUSPENDED = 2;
const now = () => Math.floor(platform.clock.nowMs() / 1_000);

let creator: Creator;
let works: readonly string[];
let consent: Awaited<ReturnType<typeof giveConsent>>;
let datasetId: string;
beforeEach(async () => {
  creator = await enrolCreator(platform);
  works = await registerWorks(platform, creator.creatorId, 2);
  consent = await giveConsent(creator);
  datasetId = (await publishDataset(platform, works)).dataset_id;
});

const post = (caller: typeof operator, path: string, body?: object) => caller.post(`/api/v1/${path}`, body);
const statusOf = (id = datasetId) => readDocument(platform, `/.well-known/dataset-status/${id}`);

async function placeOf(kind: string): Promise<StatusPlace> {
  if (kind === "consent") return consent.claims;
  if (kind === "content") return (await operator.get(`/api/v1/content/${works[0]}`)).body;
  return (await platform.anonymous.get(`/datasets/${datasetId}/versions/1/manifest.json`)).body;
}

const THINGS = [
  { kind: "consent", path: () => `consents/${consent.jti}`, state: "suspended", withdrawn: 2 },
  { kind: "content", path: () => `content/${works[0]}`, state: "partially_revoked", withdrawn: 1 },
  { kind: "dataset", path: () => `datasets/${datasetId}`, state: "suspended", withdrawn: 0 },
] as const;

describe.each(THINGS)("a suspended $kind", ({ kind, path, state, withdrawn }) => {
  test("is refused by every document when the answer comes, and stands again once it is lifted", async () => {
    const place = await placeOf(kind);
    const suspended = await post(operator, `${path()}/suspend`, { reason: "a dispute" });
    expect(suspended).toMatchObject({
      status: 200,
      body: {
        suspended: true,
        held_by: [{ holder: "platform", reason: "a dispute" }],
        datasets: [{ dataset_id: datasetId, status: state }],
      },
    });
    expect(await readStatusBit(platform, place)).toBe(SUSPENDED);
    expect(await statusOf()).toMatchObject({ status: state, withdrawn_items_count: withdrawn });
    expect(await readDocument(platform, `/datasets/${datasetId}/manifest.json`)).toMatchObject({ status: state });
    const { lines } = await readLines(operator, `/datasets/${datasetId}/versions/1/items`);
    expect(lines.filter((line) => line["withdrawn"] === true)).toHaveLength(withdrawn);

    expect((await post(operator, `${path()}/suspend`, { reason: "again" })).body).toEqual(suspended.body);
    expect(await post(operator, `${path()}/resume`)).toMatchObject({
      status: 200,
      body: { suspended: false, held_by: [], datasets: [{ dataset_id: datasetId, status: "active" }] },
    });
    expect(await readStatusBit(platform, place)).toBe(VALID);
    expect(await statusOf()).toMatchObject({ status: "active", revoked_jtis: [], withdrawn_items_count: 0 });
    expect((await post(operator, `${path()}/resume`)).status).toBe(200);
    await checkPlatform({ ...platform, now });
  });

  test("cannot be published", async () => {
    expectStatus(await post(operator, `${path()}/suspend`), 200);
    const answer = await operator.post("/api/v1/datasets", datasetBody(works.slice(0, 1), { dataset_id: datasetId }));
    const codes = { consent: "consent_suspended", content: "item_suspended", dataset: undefined };
    expect(answer).toMatchObject({ body: { code: kind === "dataset" ? "conflict" : "items_not_covered" } });
    expect(answer.body.errors?.[0]?.code).toBe(codes[kind]);
  });

  test("is verified as refused, and reaches the marketplaces by webhook", async () => {
    const marketplace = await registerMarketplace(platform);
    await offerDataset(platform, datasetId, marketplace);
    expectStatus(await post(operator, `${path()}/suspend`), 200);
    expectStatus(await post(operator, `${path()}/resume`), 200);
    expectStatus(await post(operator, `${path()}/suspend`), 200);
    const client = createClient({ origin: platform.origin, token: platform.operatorToken });
    const report = await verifyDataset(`${platform.origin}/datasets/${datasetId}/manifest.json`, { client, now });
    expect(report.summary).toMatchObject({ state, usable: state === "partially_revoked" });
    await expect
      .poll(
        async () =>
          (await operator.get(`/api/v1/webhook-deliveries?dataset_id=${datasetId}`)).body.deliveries.map(
            (delivery: { change: string }) => delivery.change,
          ),
        { timeout: 30_000 },
      )
      .toEqual(["suspended", "resumed", "suspended"]);
  });
});

describe("who may lift a suspension", () => {
  test("is who suspended: each side its own", async () => {
    const path = `consents/${consent.jti}`;
    expectStatus(await post(creator.caller, `${path}/suspend`), 200);
    expect(await post(operator, `${path}/resume`)).toMatchObject({ status: 403, body: { code: "not_yours" } });
    expectStatus(await post(operator, `${path}/suspend`), 200);
    expect((await post(creator.caller, `${path}/resume`)).body).toMatchObject({
      suspended: true,
      held_by: [{ holder: "platform" }],
    });
    expect(await readStatusBit(platform, consent.claims)).toBe(SUSPENDED);
    expect(await post(creator.caller, `${path}/resume`)).toMatchObject({ status: 403, body: { code: "not_yours" } });
    expect((await post(operator, `${path}/resume`)).body.suspended).toBe(false);
    expect(await readStatusBit(platform, consent.claims)).toBe(VALID);
  });

  test("is never another creator, and a creator suspends no dataset", async () => {
    const stranger = (await enrolCreator(platform)).caller;
    for (const path of [`consents/${consent.jti}`, `content/${works[0]}`])
      for (const verb of ["suspend", "resume"])
        expect(await post(stranger, `${path}/${verb}`)).toMatchObject({ status: 403, body: { code: "not_yours" } });
    expect((await post(creator.caller, `datasets/${datasetId}/suspend`)).status).toBe(403);
    expect((await post(operator, "consents/ctok_AAAAAAAAAAAAAAAAAAAAAA/suspend")).status).toBe(404);
  });
});

describe("what has ended", () => {
  test("stays ended: a revocation beats a suspension, and lifting revives nothing", async () => {
    const path = `consents/${consent.jti}`;
    expectStatus(await post(operator, `${path}/suspend`), 200);
    expectStatus(await post(creator.caller, `${path}/revoke`), 200);
    expect(await post(operator, `${path}/resume`)).toMatchObject({ status: 409, body: { code: "conflict" } });
    expect(await post(operator, `${path}/suspend`)).toMatchObject({ status: 409, body: { code: "conflict" } });
    expect(await readStatusBit(platform, consent.claims)).toBe(REVOKED);
    expect(await statusOf()).toMatchObject({ status: "revoked", revoked_jtis: [consent.jti] });
  });

  test("stays ended when a suspended work is withdrawn, or a suspended consent's time is over", async () => {
    const [item, short] = [await placeOf("content"), await giveConsent(creator)];
    expectStatus(await post(operator, `content/${works[0]}/suspend`), 200);
    expectStatus(
      await post(creator.caller, `creators/${creator.creatorId}/revocations`, { content_id: works[0] }),
      200,
    );
    expect(await post(operator, `content/${works[0]}/resume`)).toMatchObject({ body: { code: "item_withdrawn" } });
    expect(await readStatusBit(platform, item)).toBe(REVOKED);
    expectStatus(await post(operator, `consents/${short.jti}/suspend`), 200);
    expect((await operator.get(`/api/v1/consents/${short.jti}`)).body).toMatchObject({ state: "suspended" });
    const { history } = (await operator.get(`/api/v1/consents/${short.jti}/history`)).body;
    expect(history.at(-1)).toMatchObject({ state: "suspended", by: "operator" });
  });

  test("stays ended when a dataset was withdrawn from offer", async () => {
    const place = await placeOf("dataset");
    const withdrawn = await post(operator, `datasets/${datasetId}/withdraw`, { reason: "no longer offered" });
    expect(withdrawn).toMatchObject({ status: 200, body: { state: "revoked" } });
    expect(await readStatusBit(platform, place)).toBe(REVOKED);
    expect(await statusOf()).toMatchObject({ status: "revoked", withdrawn_items_count: 0 });
    expect((await post(operator, `datasets/${datasetId}/withdraw`)).body).toEqual(withdrawn.body);
    for (const verb of ["resume", "suspend", "compact"])
      expect(await post(operator, `datasets/${datasetId}/${verb}`)).toMatchObject({ status: 409 });
    const again = datasetBody(works.slice(0, 1), { dataset_id: datasetId });
    expect(await operator.post("/api/v1/datasets", again)).toMatchObject({ status: 409, body: { code: "conflict" } });
    expect(await readStatusBit(platform, consent.claims)).toBe(VALID);
  });
});

test("suspended, resumed and revoked at the same moment, a consent is revoked", async () => {
  for (let round = 0; round < 6; round += 1) {
    const { jti, claims } = await giveConsent(creator, { subject: `content:${works[0]}` });
    const { dataset_id } = await publishDataset(platform, [works[0] ?? ""]);
    if (round % 2 === 0) expectStatus(await post(operator, `consents/${jti}/suspend`), 200);
    const [revoked, ...others] = await Promise.all([
      post(creator.caller, `consents/${jti}/revoke`),
      post(operator, `consents/${jti}/resume`),
      post(operator, `consents/${jti}/suspend`),
      post(operator, `consents/${jti}/resume`),
    ]);
    expect(revoked?.status).toBe(200);
    expect(others.every((answer) => answer.status === 200 || answer.status === 409)).toBe(true);
    expect(await readStatusBit(platform, claims)).toBe(REVOKED);
    expect((await operator.get(`/api/v1/consents/${jti}`)).body.state).toBe("revoked");
    expect((await operator.get(`/api/v1/datasets/${dataset_id}`)).body.state).toBe(
      (await statusOf(dataset_id))["status"],
    );
  }
  await checkPlatform({ ...platform, now });
});
