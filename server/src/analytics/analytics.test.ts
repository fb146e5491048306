import { accept } from "@licet/protocol";
import { sql } from "kysely";
import { describe, expect, test } from "vitest";
import {
  type Creator,
  enrolCreator,
  expectStatus,
  fetchAccessToken,
  giveConsent,
  offerDataset,
  publishDataset,
  registerMarketplace,
  registerWork,
} from "../../../test/fixtures/actors.ts";
import type { Answer, Caller } from "../../../test/fixtures/caller.ts";
import { engine } from "../../../test/fixtures/settings.ts";
import { startFurtherServer, startPlatform } from "../../../test/fixtures/platform.ts";
import { postReceipt } from "../../../test/fixtures/receipts.ts";
import { writeFact } from "../events/write-fact.ts";
import { postTransactions } from "../ledger/post-transactions.ts";

const platform = await startPlatform();
const today = (): string => new Date(platform.clock.nowMs()).toISOString().slice(0, 10);

/** A dataset with one work of each of so many creators, offered to a marketplace. */
async function offerFor(creatorCount: number) {
  const creators: Creator[] = [];
  const works: string[] = [];
  for (let index = 0; index < creatorCount; index += 1) {
    const creator = await enrolCreator(platform);
    works.push(await registerWork(platform, creator.creatorId));
    await giveConsent(creator);
    creators.push(creator);
  }
  const dataset = await publishDataset(platform, works, { revenue_split: { platform_fee_bps: 1_000 } });
  const marketplace = await registerMarketplace(platform);
  await offerDataset(platform, dataset.dataset_id, marketplace);
  return { creators, works, dataset, marketplace };
}

/** Waits until everything that was accepted by now is counted. */
async function counted(): Promise<void> {
  const isCurrent = async (): Promise<boolean> =>
    expectStatus(await platform.operator.get("/api/v1/analytics/progress"), 200).body.complete_to.is_current;
  await expect.poll(isCurrent, { timeout: 20_000, interval: 50 }).toBe(true);
}

async function usage(query: string, caller: Caller = platform.operator): Promise<Answer["body"]> {
  return expectStatus(await caller.get(`/api/v1/analytics/usage?${query}`), 200).body;
}

async function earnings(query: string, caller: Caller = platform.operator): Promise<Answer["body"]> {
  return expectStatus(await caller.get(`/api/v1/analytics/earnings?${query}`), 200).body;
}

/** The sums are those of receipts and ledger. */
async function expectAgreement(): Promise<void> {
  const { body } = expectStatus(await platform.operator.get("/api/v1/analytics/check"), 200);
  expect(body.checks).toMatchObject(
    Object.fromEntries(
      ["receipts", "charges", "pools", "earnings"].map((name) => [name, { differing: 0, differences: [] }]),
    ),
  );
  expect(body).toMatchObject({ agrees: true });
}

async function sessionOf(creatorId: string): Promise<Caller> {
  const { body } = expectStatus(await platform.operator.post(`/api/v1/creators/${creatorId}/sessions`), 201);
  return platform.as(body.creator_token);
}

describe("usage", () => {
  test("is what receipts report and what the ledger charges for it, grouped as asked", async () => {
    const { dataset, marketplace } = await offerFor(1);
    const receipts = [];
    for (const count of [1_000, 500]) {
      const members = { usage: { unit: "tokens", count }, tokens_used: count };
      receipts.push(expectStatus(await postReceipt(platform, marketplace, dataset, members), 201).body);
    }
    const [receipt] = receipts;
    await counted();
    const { groups, next, complete_to } = await usage(
      `group_by=day,version,model,marketplace,unit&dataset_id=${dataset.dataset_id}`,
    );
    expect(groups).toEqual([
      {
        day: today(),
        dataset_id: dataset.dataset_id,
        dataset_version: 1,
        model_fingerprint: receipt.model_fingerprint,
        model_id: receipt.model_id,
        marketplace_id: marketplace.marketplaceId,
        unit: "tokens",
        currency: "USD",
        receipts: 2,
        units: "1500",
        charged_micros: "150000",
      },
    ]);
    expect({ next, complete_to }).toMatchObject({ next: null, complete_to: { is_current: true } });
    // Tokens and images do not add up: what is not told apart by unit has no units.
    expect((await usage(`dataset_id=${dataset.dataset_id}`)).groups).toEqual([
      { currency: "USD", receipts: 2, charged_micros: "150000" },
    ]);
    const tomorrow = new Date(platform.clock.nowMs() + 86_400_000).toISOString().slice(0, 10);
    expect((await usage(`dataset_id=${dataset.dataset_id}&from=${tomorrow}`)).groups).toEqual([]);
    expect((await usage(`dataset_id=${dataset.dataset_id}&until=${today()}`)).groups).toEqual([]);
    await expectAgreement();
  });

  test("is a creator's for the versions that hold a work of theirs, as receipts are", async () => {
    const { creators, works, dataset, marketplace } = await offerFor(1);
    const later = await enrolCreator(platform);
    const work = await registerWork(platform, later.creatorId);
    await giveConsent(later);
    expectStatus(await postReceipt(platform, marketplace, dataset), 201);
    const grown = await publishDataset(platform, [...works, work], { dataset_id: dataset.dataset_id });
    expect(grown.version).toBe(2);
    expectStatus(await postReceipt(platform, marketplace, grown), 201);
    await counted();
    const versions = async (caller: Caller): Promise<readonly number[]> => [
      ...new Set<number>(
        (await usage("group_by=version", caller)).groups.map(
          (group: { readonly dataset_version: number }) => group.dataset_version,
        ),
      ),
    ];
    const [own] = creators;
    expect(await versions(await sessionOf(own?.creatorId ?? ""))).toEqual([1, 2]);
    const session = await sessionOf(later.creatorId);
    expect(await versions(session)).toEqual([2]);
    const { receipts } = expectStatus(await session.get("/api/v1/usage-receipts"), 200).body;
    expect(receipts.map((row: { readonly dataset_version: number }) => row.dataset_version)).toEqual([2]);
  });

  test("counts a charge that is taken back as less, and a license's flat price without a receipt", async () => {
    const { dataset, marketplace } = await offerFor(1);
    expectStatus(await postReceipt(platform, marketplace, dataset), 201);
    const license = expectStatus(await platform.operator.get(`/api/v1/licenses?dataset_id=${dataset.dataset_id}`), 200)
      .body.licenses[0];
    const fee = await writeFact(platform.server.ctx, async (fact) =>
      accept(
        postTransactions(fact, [
          {
            kind: "license_fee",
            reference: license.license_id,
            currency: "USD",
            entries: [
              { account: { kind: "marketplace", owner: marketplace.marketplaceId }, amountMicros: 7_000n },
              { account: { kind: "pool", owner: `${dataset.dataset_id}/1` }, amountMicros: -7_000n },
            ],
            explanation: { license_id: license.license_id },
          },
        ]),
      ),
    );
    expect(fee.ok).toBe(true);
    await counted();
    const query = `group_by=unit,model&dataset_id=${dataset.dataset_id}`;
    const before = (await usage(query)).groups;
    expect(before).toMatchObject([
      { unit: "flat", receipts: 0, units: "0", charged_micros: "7000", model_id: license.model.model_id },
      { unit: "tokens", receipts: 1, units: "1200", charged_micros: "120000", model_id: license.model.model_id },
    ]);
    const { body: accounts } = await platform.operator.get(
      `/api/v1/ledger/accounts?kind=marketplace&owner=${marketplace.marketplaceId}`,
    );
    const { body: listed } = await platform.operator.get(
      `/api/v1/ledger/accounts/${accounts.accounts[0].account_id}/entries`,
    );
    for (const { transaction_id } of listed.entries)
      expectStatus(
        await platform.operator.post(`/api/v1/ledger/transactions/${transaction_id}/reversal`, { reason: "test" }),
        201,
      );
    await counted();
    expect((await usage(query)).groups).toMatchObject([
      { unit: "flat", receipts: 0, charged_micros: "0" },
      { unit: "tokens", receipts: 1, charged_micros: "0" },
    ]);
    await expectAgreement();
  });

  test("comes page by page, each group once, and a cursor of another grouping is refused", async () => {
    for (let index = 0; index < 3; index += 1) {
      const { dataset, marketplace } = await offerFor(1);
      expectStatus(await postReceipt(platform, marketplace, dataset), 201);
    }
    await counted();
    const whole = (await usage("group_by=dataset,unit")).groups;
    const seen: unknown[] = [];
    let after = "";
    for (;;) {
      const page = await usage(`group_by=dataset,unit&limit=2${after}`);
      expect(page.groups.length).toBeLessThanOrEqual(2);
      seen.push(...page.groups);
      if (page.next === null) break;
      after = `&after=${page.next}`;
    }
    expect(seen).toEqual(whole);
    expect(whole.length).toBeGreaterThan(3);
    const { next } = await usage("group_by=dataset&limit=1");
    for (const query of [`group_by=day&after=${next}`, "group_by=dataset&after=AAAA", "group_by=dataset,colour"])
      expect(await platform.operator.get(`/api/v1/analytics/usage?${query}`)).toMatchObject({
        status: 422,
        body: { code: "input_invalid" },
      });
    for (const day of ["2026-02-30", "2026-1-1", "yesterday"])
      expect(await platform.operator.get(`/api/v1/analytics/usage?from=${day}`)).toMatchObject({ status: 422 });
  });

  test("is shown to a marketplace of its own, to a creator of datasets with works of theirs, and to nobody else", async () => {
    const mine = await offerFor(1);
    const other = await offerFor(1);
    for (const { marketplace, dataset } of [mine, other])
      expectStatus(await postReceipt(platform, marketplace, dataset), 201);
    await counted();
    const caller = await mine.marketplace.call();
    const own = await usage("group_by=marketplace,dataset", caller);
    expect(own.groups).toMatchObject([
      { marketplace_id: mine.marketplace.marketplaceId, dataset_id: mine.dataset.dataset_id },
    ]);
    const notYours = { status: 403, body: { code: "not_yours" } };
    expect(await caller.get(`/api/v1/analytics/usage?marketplace_id=${other.marketplace.marketplaceId}`)).toMatchObject(
      notYours,
    );
    const creator = await sessionOf(mine.creators[0]?.creatorId ?? "");
    expect((await usage("group_by=dataset", creator)).groups).toMatchObject([{ dataset_id: mine.dataset.dataset_id }]);
    expect(await creator.get(`/api/v1/analytics/usage?dataset_id=${other.dataset.dataset_id}`)).toMatchObject(notYours);
    const stranger = await enrolCreator(platform);
    expect((await usage("group_by=dataset", stranger.caller)).groups).toEqual([]);
    const { body: client } = expectStatus(
      await platform.operator.post("/api/v1/clients", { name: "Reports", scopes: ["analytics:read"] }),
      201,
    );
    const reports = platform.as(
      await fetchAccessToken(platform, {
        clientId: client.client_id,
        clientSecret: client.client_secret,
        scope: "analytics:read",
      }),
    );
    expect((await usage(`dataset_id=${other.dataset.dataset_id}`, reports)).groups).toHaveLength(1);
    expect(await reports.post("/api/v1/analytics/rebuild")).toMatchObject({ status: 403 });
  });
});

test.runIf(engine === "postgres")("of several servers each receipt is counted by one", async () => {
  const servers = [await startFurtherServer(platform), await startFurtherServer(platform)];
  const { dataset, marketplace } = await offerFor(1);
  const posted = Array.from({ length: 12 }, (_, index) =>
    postReceipt(platform, marketplace, dataset, {
      usage: { unit: "tokens", count: 10 },
      tokens_used: 10,
      period: periodAt(index),
    }),
  );
  expectStatus(await platform.operator.post("/api/v1/analytics/rebuild"), 202);
  for (const answer of await Promise.all(posted)) expectStatus(answer, 201);
  await counted();
  expect((await usage(`group_by=unit&dataset_id=${dataset.dataset_id}`)).groups).toMatchObject([
    { receipts: 12, units: "120", charged_micros: "12000" },
  ]);
  for (const { operator } of servers) expectStatus(await operator.get("/api/v1/analytics/check"), 200);
  await expectAgreement();
});

describe("earnings", () => {
  test("are what a month's close shared out, by creator and dataset, and each creator sees their own", async () => {
    const { creators, dataset, marketplace } = await offerFor(3);
    expectStatus(await postReceipt(platform, marketplace, dataset), 201);
    expect(await (await marketplace.call()).get("/api/v1/analytics/earnings")).toMatchObject({ status: 403 });
    const period = today().slice(0, 7);
    platform.clock.advance(33 * 86_400);
    expectStatus(await platform.operator.post(`/api/v1/ledger/periods/${period}/close`), 200);
    await counted();
    // 120 000 less 10 % are 108 000, for three creators.
    const { groups } = await earnings(`group_by=creator,dataset&dataset_id=${dataset.dataset_id}`);
    expect(groups.map((group: { amount_micros: string }) => group.amount_micros)).toEqual(["36000", "36000", "36000"]);
    expect(groups.map((group: { creator_id: string }) => group.creator_id).toSorted()).toEqual(
      creators.map((creator) => creator.creatorId).toSorted(),
    );
    const [first = { creatorId: "" }, second = { creatorId: "" }] = creators;
    const caller = await sessionOf(first.creatorId);
    expect((await earnings("group_by=creator", caller)).groups).toMatchObject([
      { creator_id: first.creatorId, amount_micros: "36000" },
    ]);
    expect(await caller.get(`/api/v1/analytics/earnings?creator_id=${second.creatorId}`)).toMatchObject({
      status: 403,
      body: { code: "not_yours" },
    });
    await expectAgreement();
  });
});

describe("a rebuild", () => {
  test("comes to the same sums", async () => {
    await counted();
    const all = "group_by=day,version,model,marketplace,unit&limit=1000";
    const before = [(await usage(all)).groups, (await earnings("group_by=day,creator,dataset&limit=1000")).groups];
    const { body } = expectStatus(await platform.operator.post("/api/v1/analytics/rebuild"), 202);
    expect(body).toMatchObject({ complete_to: { receipt_sequence: 0, ledger_sequence: 0, is_current: false } });
    await counted();
    expect([(await usage(all)).groups, (await earnings("group_by=day,creator,dataset&limit=1000")).groups]).toEqual(
      before,
    );
    await expectAgreement();
    const { body: progress } = expectStatus(await platform.operator.get("/api/v1/analytics/progress"), 200);
    expect(progress.complete_to).toMatchObject(progress.newest);
  });

  test("mends what the check finds wrong", async () => {
    await counted();
    const { db } = platform.server.ctx;
    await sql`update usage_rollup set units = units + 1, charged_micros = charged_micros - 1
               where unit = 'tokens' and day = (select min(day) from usage_rollup)`.execute(db);
    await sql`delete from earning_rollup`.execute(db);
    const { body } = expectStatus(await platform.operator.get("/api/v1/analytics/check"), 200);
    expect(body).toMatchObject({
      agrees: false,
      checks: {
        receipts: { differing: expect.any(Number), differences: expect.any(Array) },
        earnings: { differences: expect.arrayContaining([expect.objectContaining({ rollup: null })]) },
      },
    });
    for (const name of ["receipts", "charges", "pools", "earnings"])
      expect(body.checks[name].differing).toBeGreaterThan(0);
    expectStatus(await platform.operator.post("/api/v1/analytics/rebuild"), 202);
    await counted();
    await expectAgreement();
  });
});

/** An instant of today that no other receipt is about. */
function periodAt(index: number): { readonly from: string; readonly to: string } {
  const at = new Date(platform.clock.nowMs() - index).toISOString().replace(/\.\d+Z$/, "Z");
  return { from: at, to: at };
}
