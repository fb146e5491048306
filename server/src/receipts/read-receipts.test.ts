import { describe, expect, test } from "vitest";
import {
  type Creator,
  enrolCreator,
  expectStatus,
  giveConsent,
  offerDataset,
  publishDataset,
  registerMarketplace,
  registerWork,
  uniqueId,
} from "../../../test/fixtures/actors.ts";
import type { Caller } from "../../../test/fixtures/caller.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { type PublishedDataset, licenseFor, postReceipt } from "../../../test/fixtures/receipts.ts";
import { engine } from "../../../test/fixtures/settings.ts";

const platform = await startPlatform();

interface Prepared {
  readonly creator: Creator;
  readonly jti: string;
  readonly work: string;
  readonly dataset: PublishedDataset;
}

async function prepare(): Promise<Prepared> {
  const creator = await enrolCreator(platform);
  const work = await registerWork(platform, creator.creatorId);
  const { jti } = await giveConsent(creator);
  return { creator, jti, work, dataset: await publishDataset(platform, [work]) };
}

async function idsOf(caller: Caller, query = ""): Promise<readonly string[]> {
  const { body } = expectStatus(await caller.get(`/api/v1/usage-receipts${query}`), 200);
  return body.receipts.map((receipt: { receipt_id: string }) => receipt.receipt_id);
}

describe("receipts", () => {
  test("are seen by the creators of the version that was used, and by no one who came later", async () => {
    const first = await prepare();
    const marketplace = await registerMarketplace(platform);
    await offerDataset(platform, first.dataset.dataset_id, marketplace);
    const receiptId = expectStatus(await postReceipt(platform, marketplace, first.dataset), 201).body.receipt_id;
    const later = await enrolCreator(platform);
    const work = await registerWork(platform, later.creatorId);
    await giveConsent(later);
    await publishDataset(platform, [first.work, work], { dataset_id: first.dataset.dataset_id });
    expect(await idsOf(first.creator.caller)).toEqual([receiptId]);
    expect(await idsOf(later.caller)).toEqual([]);
    expect(await later.caller.get(`/api/v1/usage-receipts/${receiptId}`)).toMatchObject({
      status: 403,
      body: { code: "not_yours" },
    });
  });

  test("are seen by the marketplace they are from, by the platform, and by the creators of the works", async () => {
    const [first, second] = [await prepare(), await prepare()];
    const [mine, theirs] = [await registerMarketplace(platform), await registerMarketplace(platform)];
    for (const marketplace of [mine, theirs])
      for (const { dataset } of [first, second]) await offerDataset(platform, dataset.dataset_id, marketplace);
    const ids = {
      mineFirst: (await postReceipt(platform, mine, first.dataset)).body.receipt_id,
      mineSecond: (await postReceipt(platform, mine, second.dataset)).body.receipt_id,
      theirsFirst: (await postReceipt(platform, theirs, first.dataset)).body.receipt_id,
    };
    const [myCaller, theirCaller] = [await mine.call(), await theirs.call()];
    const ofFirst = `?dataset_id=${first.dataset.dataset_id}`;
    expect(await idsOf(myCaller)).toEqual([ids.mineFirst, ids.mineSecond]);
    expect(await idsOf(myCaller, ofFirst)).toEqual([ids.mineFirst]);
    expect(await idsOf(theirCaller)).toEqual([ids.theirsFirst]);
    expect(await idsOf(platform.operator, ofFirst)).toEqual([ids.mineFirst, ids.theirsFirst]);
    expect(await idsOf(first.creator.caller)).toEqual([ids.mineFirst, ids.theirsFirst]);
    expect(await idsOf(second.creator.caller)).toEqual([ids.mineSecond]);
    expect(await idsOf((await enrolCreator(platform)).caller)).toEqual([]);

    expect(await theirCaller.get(`/api/v1/usage-receipts/${ids.mineFirst}`)).toMatchObject({
      status: 403,
      body: { code: "not_yours" },
    });
    expect(await second.creator.caller.get(`/api/v1/usage-receipts/${ids.mineFirst}`)).toMatchObject({
      status: 403,
      body: { code: "not_yours" },
    });
    expect(await first.creator.caller.get(`/api/v1/usage-receipts/${ids.mineFirst}`)).toMatchObject({
      status: 200,
      body: { receipt_id: ids.mineFirst, valid_for_future_training: true },
    });
    expect(await myCaller.get("/api/v1/usage-receipts/r_nothing")).toMatchObject({ status: 404 });
    expect(await second.creator.caller.get(`/api/v1/usage-receipts${ofFirst}`)).toMatchObject({
      status: 403,
      body: { code: "not_yours" },
    });
    expect((await platform.anonymous.get("/api/v1/usage-receipts")).status).toBe(401);
  });

  test("of a dataset that was not offered, or is not there, are not to be had", async () => {
    const { dataset } = await prepare();
    const caller = await (await registerMarketplace(platform)).call();
    expect(await caller.get(`/api/v1/usage-receipts?dataset_id=${dataset.dataset_id}`)).toMatchObject({
      status: 403,
      body: { code: "not_yours" },
    });
    expect((await caller.get("/api/v1/usage-receipts?dataset_id=nothing")).status).toBe(404);
    expect((await caller.get("/api/v1/usage-receipts?dataset_id=../x")).status).toBe(422);
  });

  test("say that nothing more may be learned under a license that was revoked, or whose time is over", async () => {
    const validity = async (receiptId: string) =>
      (await platform.operator.get(`/api/v1/usage-receipts/${receiptId}`)).body.valid_for_future_training;
    const licensed = async () => {
      const { dataset } = await prepare();
      const marketplace = await registerMarketplace(platform);
      await offerDataset(platform, dataset.dataset_id, marketplace);
      const { license_id } = await licenseFor(platform, marketplace, dataset);
      const { receipt_id } = expectStatus(await postReceipt(platform, marketplace, dataset), 201).body;
      return { license_id, receipt_id };
    };
    const [revoked, expired, standing] = [await licensed(), await licensed(), await licensed()];
    const all = async () => Promise.all([revoked, expired, standing].map(({ receipt_id }) => validity(receipt_id)));
    expect(await all()).toEqual([true, true, true]);
    const path = `/api/v1/licenses/${revoked.license_id}/revoke`;
    expectStatus(await platform.operator.post(path, { reason: "given up" }), 200);
    // Over, and not yet ended by the sweep.
    await platform.server.ctx.db
      .updateTable("license")
      .set({ expires_at: Math.floor(platform.clock.nowMs() / 1_000) })
      .where("license_id", "=", expired.license_id)
      .execute();
    expect(await all()).toEqual([false, false, true]);
  });

  test("with one id from two marketplaces are told apart", async () => {
    const { dataset, creator } = await prepare();
    const [one, other] = [await registerMarketplace(platform), await registerMarketplace(platform)];
    const receipt_id = uniqueId("r_");
    for (const marketplace of [one, other]) {
      await offerDataset(platform, dataset.dataset_id, marketplace);
      expectStatus(await postReceipt(platform, marketplace, dataset, { receipt_id }), 201);
    }
    for (const marketplace of [one, other]) {
      expect((await (await marketplace.call()).get(`/api/v1/usage-receipts/${receipt_id}`)).body.iss).toBe(
        marketplace.marketplaceId,
      );
    }
    expect(await idsOf(creator.caller)).toEqual([receipt_id, receipt_id]);
  });

  test("come page by page, in the order of their acceptance, none twice and none left out", async () => {
    const { dataset } = await prepare();
    const marketplace = await registerMarketplace(platform);
    await offerDataset(platform, dataset.dataset_id, marketplace);
    const posted: string[] = [];
    for (let index = 0; index < 7; index += 1)
      posted.push((await postReceipt(platform, marketplace, dataset)).body.receipt_id);
    const caller = await marketplace.call();
    const read: string[] = [];
    for (let after = ""; ;) {
      const { body } = await caller.get(`/api/v1/usage-receipts?limit=3${after}`);
      read.push(...body.receipts.map((receipt: { receipt_id: string }) => receipt.receipt_id));
      if (body.next === null) break;
      after = `&after=${body.next}`;
    }
    expect(read).toEqual(posted);
    for (const query of ["limit=0", "limit=1001", "after=x", "after=-1"])
      expect((await caller.get(`/api/v1/usage-receipts?${query}`)).status).toBe(422);
  });

  test.skipIf(engine === "pglite")(
    "are numbered in the order in which they can be read, however many come at once (PGlite commits one at a time anyway)",
    async () => {
      const { dataset } = await prepare();
      const marketplaces = await Promise.all(Array.from({ length: 4 }, () => registerMarketplace(platform)));
      for (const marketplace of marketplaces) await offerDataset(platform, dataset.dataset_id, marketplace);
      const seen: string[] = [];
      let after: string | null = null;
      const follow = async (): Promise<void> => {
        const { body } = await platform.operator.get(
          `/api/v1/usage-receipts?dataset_id=${dataset.dataset_id}${after === null ? "" : `&after=${after}`}&limit=2`,
        );
        seen.push(...body.receipts.map((receipt: { receipt_id: string }) => receipt.receipt_id));
        after = body.next ?? after;
      };
      const posting = { isDone: false };
      const reading = (async () => {
        while (!posting.isDone) await follow();
      })();
      const answers = await Promise.all(
        marketplaces.flatMap((marketplace) =>
          Array.from({ length: 20 }, () => postReceipt(platform, marketplace, dataset)),
        ),
      );
      posting.isDone = true;
      await reading;
      const all = await idsOf(platform.operator, `?dataset_id=${dataset.dataset_id}&limit=1000`);
      expect(new Set(all)).toEqual(new Set(answers.map((answer) => answer.body.receipt_id)));
      const firstSeen = [...new Set(seen)];
      expect(all.slice(0, firstSeen.length)).toEqual(firstSeen);
    },
  );
});

describe("a receipt of a dataset that lost something", () => {
  test("stays proof of what was used, and is no longer valid for future training", async () => {
    const { creator, jti, dataset } = await prepare();
    const marketplace = await registerMarketplace(platform);
    await offerDataset(platform, dataset.dataset_id, marketplace);
    const { body: receipt } = await postReceipt(platform, marketplace, dataset);
    const read = async () =>
      (await (await marketplace.call()).get(`/api/v1/usage-receipts?dataset_id=${dataset.dataset_id}`)).body.receipts;
    const acceptance = { flags: [], charged_micros: "120000", currency: "USD", pulled: false };
    expect(await read()).toEqual([{ ...receipt, valid_for_future_training: true, acceptance }]);
    expectStatus(await creator.caller.post(`/api/v1/consents/${jti}/revoke`), 200);
    expect(await read()).toEqual([{ ...receipt, valid_for_future_training: false, acceptance }]);
  });

  test("is judged by its own version, not by a later one without the lost work", async () => {
    const [leaving, staying] = [await enrolCreator(platform), await enrolCreator(platform)];
    const [left, stayed] = [
      await registerWork(platform, leaving.creatorId),
      await registerWork(platform, staying.creatorId),
    ];
    const { jti } = await giveConsent(leaving);
    await giveConsent(staying);
    const first = await publishDataset(platform, [left, stayed]);
    const marketplace = await registerMarketplace(platform);
    await offerDataset(platform, first.dataset_id, marketplace);
    await licenseFor(platform, marketplace, first);
    const second = await publishDataset(platform, [stayed], { dataset_id: first.dataset_id });
    for (const version of [first, second]) expectStatus(await postReceipt(platform, marketplace, version), 201);
    expectStatus(await leaving.caller.post(`/api/v1/consents/${jti}/revoke`), 200);
    const { body } = await platform.operator.get(`/api/v1/usage-receipts?dataset_id=${first.dataset_id}`);
    expect(body.receipts).toMatchObject([
      { dataset_version: 1, valid_for_future_training: false },
      { dataset_version: 2, valid_for_future_training: true },
    ]);
  });
});
