import { randomInt } from "node:crypto";
import { expect, test } from "vitest";
import { type Creator, enrolCreator, giveConsent, uniqueId } from "../../../test/fixtures/actors.ts";
import { checkPlatform } from "../../../test/fixtures/check-platform.ts";
import { datasetBody, readDocument, registerWorks } from "../../../test/fixtures/datasets.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { roundsOf } from "../../../test/fixtures/settings.ts";

const platform = await startPlatform();
const ROUNDS = Math.max(30, roundsOf(30));

async function later<T>(work: () => Promise<T>): Promise<T> {
  await new Promise((resolve) => setTimeout(resolve, randomInt(12)));
  return work();
}

interface Round {
  readonly creator: Creator;
  readonly works: readonly string[];
  readonly jti: string;
}

/** Whoever comes first, the documents agree: published and then revoked, or never published. */
async function expectNeverActive(datasetId: string, jti: string, isPublished: boolean): Promise<void> {
  if (!isPublished) {
    expect((await platform.anonymous.get(`/.well-known/dataset-status/${datasetId}`)).status).toBe(404);
    return;
  }
  expect(await readDocument(platform, `/.well-known/dataset-status/${datasetId}`)).toMatchObject({
    status: "revoked",
    revoked_jtis: [jti],
  });
  expect(await readDocument(platform, `/datasets/${datasetId}/manifest.json`)).toMatchObject({
    status: "revoked",
    withdrawn: [{ jti }],
  });
  expect((await platform.operator.get(`/api/v1/datasets/${datasetId}`)).body.state).toBe("revoked");
}

async function prepare(creator: Creator): Promise<Round> {
  const works = await registerWorks(platform, creator.creatorId, 3);
  const { jti } = await giveConsent(creator);
  return { creator, works, jti };
}

test(
  `${ROUNDS} times: a dataset published while its consent is taken back is never left active`,
  { timeout: 60_000 + ROUNDS * 1_000 },
  async () => {
    const outcomes = { published: 0, refused: 0 };
    for (let round = 0; round < ROUNDS; round += 1) {
      const { creator, works, jti } = await prepare(await enrolCreator(platform));
      const dataset_id = uniqueId("ds-");
      const [published, revoked] = await Promise.all([
        later(() => platform.operator.post("/api/v1/datasets", datasetBody(works, { dataset_id }))),
        later(() => creator.caller.post(`/api/v1/consents/${jti}/revoke`)),
      ]);
      expect(revoked.status).toBe(200);
      expect([201, 422]).toContain(published.status);
      outcomes[published.status === 201 ? "published" : "refused"] += 1;
      await expectNeverActive(dataset_id, jti, published.status === 201);
    }
    expect(outcomes.published).toBeGreaterThan(0);
    expect(outcomes.refused).toBeGreaterThan(0);
  },
);

test("a work withdrawn while many datasets are published with it stands in none of them", async () => {
  const { creator, works } = await prepare(await enrolCreator(platform));
  const ids = Array.from({ length: 12 }, () => uniqueId("ds-"));
  const [withdrawn, ...answers] = await Promise.all([
    later(() => creator.caller.post(`/api/v1/creators/${creator.creatorId}/revocations`, { content_id: works[0] })),
    ...ids.map((dataset_id) =>
      later(() => platform.operator.post("/api/v1/datasets", datasetBody(works, { dataset_id }))),
    ),
  ]);
  expect(withdrawn?.status).toBe(200);
  const published = answers.filter((answer) => answer.status === 201).map((answer) => answer.body.dataset_id);
  expect(answers.every((answer) => answer.status === 201 || answer.status === 422)).toBe(true);
  for (const datasetId of published) {
    expect(await readDocument(platform, `/.well-known/dataset-status/${datasetId}`)).toMatchObject({
      status: "partially_revoked",
      withdrawn_items_count: 1,
    });
    expect(await readDocument(platform, `/datasets/${datasetId}/manifest.json`)).toMatchObject({
      withdrawn: [{ content_id: works[0] }],
    });
  }
});

test("an offer that comes while a version for other marketplaces is published never opens that version", async () => {
  for (let round = 0; round < 10; round += 1) {
    const creator = await enrolCreator(platform);
    const [open = "", closed = ""] = await registerWorks(platform, creator.creatorId, 2);
    const marketplace_id = uniqueId("mkt_");
    await platform.operator.post("/api/v1/marketplaces", {
      marketplace_id,
      name: "Late",
      base_url: "https://late.example",
      webhook_url: "https://late.example/hook",
    });
    await giveConsent(creator, { subject: `content:${open}` });
    await giveConsent(creator, { subject: `content:${closed}`, audience: ["somebody-else"] });
    const dataset_id = uniqueId("ds-");
    await platform.operator.post("/api/v1/datasets", datasetBody([open], { dataset_id }));
    const [offered, published] = await Promise.all([
      later(() => platform.operator.post(`/api/v1/datasets/${dataset_id}/offers`, { marketplace_id })),
      later(() => platform.operator.post("/api/v1/datasets", datasetBody([open, closed], { dataset_id }))),
    ]);
    expect([offered.status, published.status].toSorted()).toEqual([201, 422]);
  }
});

test("the platform keeps its promises after all of this", { timeout: 120_000 }, async () => {
  await checkPlatform({ ...platform, now: () => Math.floor(platform.clock.nowMs() / 1_000) });
});
