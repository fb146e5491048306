import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  fetchAccessToken,
  giveConsent,
  publishDataset,
  registerWork,
  uniqueId,
} from "../../../test/fixtures/actors.ts";
import {
  accountBalance,
  balanceOf,
  credit,
  makeBatch,
  post,
  putDetails,
  untilPayouts,
} from "../../../test/fixtures/payouts.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { configFor } from "../../../test/fixtures/databases.ts";
import { createDueBatches } from "./schedule-batches.ts";

const DAY = 86_400;
const base = configFor({ dataFolder: "/nowhere", databaseUrl: undefined }).payments;
const payoutFolder = await mkdtemp(join(tmpdir(), "licet-payouts-"));
afterAll(() => rm(payoutFolder, { recursive: true, force: true }));
// The clock moves on by months, and sessions last as long.
const platform = await startPlatform({
  payments: { ...base, payoutFolder, sending: { ...base.sending, intervalSeconds: 0.2 } },
  sessionSeconds: 10_000 * DAY,
});
const { operator, server, clock } = platform;

const IBAN = { adapter: "csv", currency: "EUR", holder: "A. Creator", account: "DE02 1203 0000 0000 2020 51" } as const;

/** A creator with an amount that has waited long enough, and details for it. */
async function paidCreator(amountMicros: bigint, details: object | null = IBAN) {
  const creator = await enrolCreator(platform);
  await credit(server, creator.creatorId, amountMicros);
  if (details !== null) expectStatus(await putDetails(creator.caller, creator.creatorId, details), 200);
  return creator;
}

describe("making a payout batch", () => {
  test("is not for a platform's client without the scope, nor for creators", async () => {
    const { body: client } = expectStatus(
      await operator.post("/api/v1/clients", { name: "Reader", scopes: ["payouts:read"] }),
      201,
    );
    const token = await fetchAccessToken(platform, {
      clientId: client.client_id,
      clientSecret: client.client_secret,
      scope: "payouts:read",
    });
    const { caller } = await enrolCreator(platform);
    for (const wrong of [platform.as(token), caller]) {
      const answer = await wrong.post("/api/v1/payout-batches", { currency: "EUR", adapter: "csv" });
      expect([answer.status, answer.body.code]).toEqual([403, "forbidden"]);
    }
    expectStatus(await platform.as(token).get("/api/v1/payout-batches"), 200);
  });
});

describe("a creator's balance", () => {
  test("waits, becomes available, goes into a payout, and is paid; a micro-unit is in one place at a time", async () => {
    const { creatorId, caller } = await paidCreator(25_004_999n);
    expect(await balanceOf(caller, creatorId)).toEqual({
      currency: "EUR",
      pending_micros: "25004999",
      available_micros: "0",
      in_payout_micros: "0",
      paid_micros: "0",
      accruing_micros: "0",
    });
    clock.advance(7 * DAY + 60);
    expect(await balanceOf(caller, creatorId)).toMatchObject({ pending_micros: "0", available_micros: "25004999" });
    await credit(server, creatorId, 1n);
    expect(await balanceOf(caller, creatorId)).toMatchObject({ pending_micros: "1", available_micros: "25004999" });
    const { batch_id, payouts } = await makeBatch(operator, { creator_ids: [creatorId] });
    expect(payouts).toMatchObject([{ creator_id: creatorId, amount_micros: "25000000", state: "created" }]);
    expect(await balanceOf(caller, creatorId)).toMatchObject({
      pending_micros: "1",
      available_micros: "4999",
      in_payout_micros: "25000000",
      paid_micros: "0",
    });
    await untilPayouts(platform, batch_id, "sent");
    const settlement = { payouts: [{ payout_id: payouts[0].payout_id, outcome: "paid" }] };
    expectStatus(await operator.post(`/api/v1/payout-batches/${batch_id}/settlements`, settlement), 200);
    expect(await balanceOf(caller, creatorId)).toMatchObject({
      available_micros: "4999",
      in_payout_micros: "0",
      paid_micros: "25000000",
    });
  });

  test("tells what pools that are not split yet would give", async () => {
    const [one, two] = [await enrolCreator(platform), await enrolCreator(platform)];
    const works = [await registerWork(platform, one.creatorId), await registerWork(platform, two.creatorId)];
    await Promise.all([giveConsent(one), giveConsent(two)]);
    const { dataset_id, version } = await publishDataset(platform, works, {
      revenue_split: { by: "items", platform_fee_bps: 1_000 },
    });
    await post(server, [
      {
        kind: "usage_charge",
        reference: uniqueId("r_"),
        currency: "USD",
        explanation: {},
        entries: [
          { account: { kind: "marketplace", owner: "mkt_x" }, amountMicros: 2_000n },
          { account: { kind: "pool", owner: `${dataset_id}/${version}` }, amountMicros: -2_000n },
        ],
      },
    ]);
    expect(await balanceOf(one.caller, one.creatorId, "USD")).toMatchObject({
      pending_micros: "0",
      accruing_micros: "900",
    });
  });

  test("is its creator's and the platform's alone", async () => {
    const [owner, other] = [await paidCreator(1n, null), await enrolCreator(platform)];
    for (const path of ["balance", "payouts", "payout-details", "statements/2026-01"]) {
      const answer = await other.caller.get(`/api/v1/creators/${owner.creatorId}/${path}`);
      expect([path, answer.status, answer.body.code]).toEqual([path, 403, "not_yours"]);
    }
    expect((await operator.get("/api/v1/creators/user:nobody/balance")).status).toBe(404);
  });
});

describe("payout details", () => {
  test("are sealed, and never shown whole again", async () => {
    const { creatorId, caller } = await paidCreator(1n);
    const { body } = expectStatus(await caller.get(`/api/v1/creators/${creatorId}/payout-details`), 200);
    expect(body.payout_details).toMatchObject([{ currency: "EUR", adapter: "csv", hint: "…2051" }]);
    const rows = await server.ctx.db.selectFrom("payout_details").selectAll().execute();
    expect(JSON.stringify(rows.map((row) => Buffer.from(row.sealed_details).toString("latin1")))).not.toContain("2020");
  });

  test("of another are not put, nor any by the operator or a client without the scope", async () => {
    const [owner, other] = [await enrolCreator(platform), await enrolCreator(platform)];
    expect((await putDetails(other.caller, owner.creatorId, IBAN)).body.code).toBe("not_yours");
    expect((await putDetails(operator, owner.creatorId, IBAN)).body.code).toBe("forbidden");
  });

  test.each([
    ["a currency that is none", { ...IBAN, currency: "euro" }],
    ["an IBAN with a slip", { ...IBAN, account: "DE03 1203 0000 0000 2020 51" }],
    ["an IBAN that is too short for its country", { ...IBAN, account: "DE02 1203 0000 0000 2020" }],
    ["an IBAN of no country", { ...IBAN, account: "ZZ02 1203 0000 0000 2020 51" }],
    ["an account with a formula", { ...IBAN, account: "=1+1" }],
    ["a holder of two lines", { ...IBAN, holder: "A\nB" }],
    ["a member that is misspelt", { ...IBAN, acount: "x" }],
    ["another adapter", { ...IBAN, adapter: "cash" }],
    ["an account of Stripe's that is none", { adapter: "stripe", currency: "EUR", stripe_account: "x" }],
  ])("refuse %s", async (_name, details) => {
    const { creatorId, caller } = await enrolCreator(platform);
    const answer = await putDetails(caller, creatorId, details);
    expect([answer.status, answer.body.code]).toEqual([422, "input_invalid"]);
  });

  test("by Stripe are refused where it is not set up", async () => {
    const { creatorId, caller } = await enrolCreator(platform);
    const details = { adapter: "stripe", currency: "EUR", stripe_account: "acct_1032D82eZvKYlo2C" };
    expect((await putDetails(caller, creatorId, details)).body.code).toBe("payout_adapter_unavailable");
    const batch = await operator.post("/api/v1/payout-batches", { currency: "EUR", adapter: "stripe" });
    expect([batch.status, batch.body.code]).toEqual([409, "payout_adapter_unavailable"]);
  });
});

describe("a payout batch", () => {
  test("pays all that has waited although something newer was credited and taken back meanwhile", async () => {
    const { caller, creatorId } = await paidCreator(30_000_000n);
    clock.advance(8 * DAY);
    await credit(server, creatorId, 12_000_000n);
    const { transaction_id } = await server.ctx.db
      .selectFrom("ledger_transaction")
      .select("transaction_id")
      .orderBy("sequence", "desc")
      .executeTakeFirstOrThrow();
    const path = `/api/v1/ledger/transactions/${transaction_id}/reversal`;
    expectStatus(await operator.post(path, { reason: "credited to the wrong one" }), 201);
    expect(await balanceOf(caller, creatorId)).toMatchObject({ pending_micros: "0", available_micros: "30000000" });
    const { payouts } = await makeBatch(operator, { creator_ids: [creatorId] });
    expect(payouts).toMatchObject([{ creator_id: creatorId, amount_micros: "30000000" }]);
  });

  test("pays who is due and lists who is left out, and why; a dry run says the same and writes nothing", async () => {
    const due = await paidCreator(30_000_000n);
    const bare = await paidCreator(40_000_000n, null);
    const small = await paidCreator(9_999_999n);
    clock.advance(8 * DAY);
    const fresh = await paidCreator(50_000_000n);
    const before = await accountBalance(server, "clearing", { owner: "csv" });
    const asked = { currency: "EUR", adapter: "csv" };
    const preview = expectStatus(await operator.post("/api/v1/payout-batches", { ...asked, dry_run: true }), 200).body;
    expect(await accountBalance(server, "clearing", { owner: "csv" })).toBe(before);
    const reasons = new Map(
      preview.skipped.map((row: { creator_id: string; reason: string }) => [row.creator_id, row.reason]),
    );
    expect([bare, small, fresh].map(({ creatorId }) => reasons.get(creatorId))).toEqual([
      "details_missing",
      "below_minimum",
      "pending",
    ]);
    const batch = await makeBatch(operator, {});
    expect(batch.skipped).toEqual(preview.skipped);
    const paid = batch.payouts.find((row: { creator_id: string }) => row.creator_id === due.creatorId);
    expect(paid).toMatchObject({ amount_micros: "30000000", destination: "…2051", state: "created" });
    expect(batch.payouts.map((row: { creator_id: string }) => row.creator_id)).not.toContain(bare.creatorId);
    const again = await operator.post("/api/v1/payout-batches", asked);
    expect([again.status, again.body.code]).toEqual([409, "payout_nothing_due"]);
    expect(again.body.errors).toContainEqual(
      expect.objectContaining({ at: bare.creatorId, code: "payout_details_missing" }),
    );
  });

  test("for a creator without details is refused by name, and pays nobody", async () => {
    const [due, bare] = [await paidCreator(30_000_000n), await paidCreator(30_000_000n, null)];
    clock.advance(8 * DAY);
    const creator_ids = [due.creatorId, bare.creatorId];
    const answer = await operator.post("/api/v1/payout-batches", { currency: "EUR", adapter: "csv", creator_ids });
    expect([answer.status, answer.body.code]).toEqual([409, "payout_details_missing"]);
    expect(answer.body.errors.map((error: { at: string }) => error.at)).toEqual([bare.creatorId]);
    expect(await balanceOf(due.caller, due.creatorId)).toMatchObject({ available_micros: "30000000" });
  });

  test("for creators by name says who is unknown, and whose details are missing although they are owed nothing", async () => {
    const [due, idle] = [await paidCreator(30_000_000n), await enrolCreator(platform)];
    const small = await paidCreator(1n, null);
    clock.advance(8 * DAY);
    const ask = (...creator_ids: readonly string[]) =>
      operator.post("/api/v1/payout-batches", { currency: "EUR", adapter: "csv", creator_ids });
    const unknown = await ask(due.creatorId, "cr_nobody");
    expect([unknown.status, unknown.body.code]).toEqual([404, "not_found"]);
    expect(unknown.body.errors).toMatchObject([{ at: "cr_nobody", code: "not_found" }]);
    const bare = await ask(due.creatorId, idle.creatorId, small.creatorId);
    expect([bare.status, bare.body.code]).toEqual([409, "payout_details_missing"]);
    expect(bare.body.errors.map(({ at }: { at: string }) => at).toSorted()).toEqual(
      [idle.creatorId, small.creatorId].toSorted(),
    );
  });

  test("made many times at once pays everybody once", async () => {
    const creators = [await paidCreator(30_000_000n), await paidCreator(31_000_000n)];
    clock.advance(8 * DAY);
    const body = { currency: "EUR", adapter: "csv", creator_ids: creators.map(({ creatorId }) => creatorId) };
    const answers = await Promise.all(Array.from({ length: 6 }, () => operator.post("/api/v1/payout-batches", body)));
    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, 409, 409, 409, 409, 409]);
    for (const { caller, creatorId } of creators) {
      const { body: listed } = expectStatus(await caller.get(`/api/v1/creators/${creatorId}/payouts`), 200);
      expect(listed.payouts).toHaveLength(1);
    }
  });

  test("is made by itself on its day, once", async () => {
    const { creatorId, caller } = await paidCreator(33_000_000n);
    clock.advance(40 * DAY);
    const { ctx } = server;
    const onTheFirst = { ...ctx, config: { ...ctx.config, payments: { ...ctx.config.payments, payoutDay: 1 } } };
    await createDueBatches(onTheFirst);
    await createDueBatches(onTheFirst);
    const { body } = expectStatus(await caller.get(`/api/v1/creators/${creatorId}/payouts`), 200);
    expect(body.payouts).toHaveLength(1);
    const batch = expectStatus(await operator.get(`/api/v1/payout-batches/${body.payouts[0].batch_id}`), 200).body;
    expect(batch).toMatchObject({ created_by: "timer", schedule: expect.stringMatching(/^\d{4}-\d{2}\/1$/) });
  });
});

describe("a batch in a file", () => {
  test("is written whole for its owner alone, and settled line by line", async () => {
    const creators = [await paidCreator(30_000_000n), await paidCreator(41_230_000n), await paidCreator(50_000_000n)];
    clock.advance(8 * DAY);
    const cash = await accountBalance(server, "cash");
    const { batch_id, file } = await makeBatch(operator, { creator_ids: creators.map(({ creatorId }) => creatorId) });
    const { payouts } = await untilPayouts(platform, batch_id, "sent");
    const path = join(server.ctx.config.payments.payoutFolder, file);
    const text = await readFile(path, "utf8");
    expect(text.split("\r\n").filter((line) => line.includes("DE02120300000000202051"))).toHaveLength(3);
    expect((await stat(path)).mode & 0o777).toBe(0o600);

    const ids: readonly string[] = creators.map(
      ({ creatorId }) => payouts.find((row: { creator_id: string }) => row.creator_id === creatorId).payout_id,
    );
    const settle = (answers: readonly object[]) =>
      operator.post(`/api/v1/payout-batches/${batch_id}/settlements`, { payouts: answers });
    const answers = [
      { payout_id: ids[0], outcome: "paid" },
      { payout_id: ids[1], outcome: "failed", reason: "account closed" },
    ];
    const wrong = await settle([...answers, { payout_id: "pay_nobody", outcome: "paid" }]);
    expect([wrong.status, wrong.body.errors]).toEqual([
      409,
      [expect.objectContaining({ at: "body.payouts.2", code: "not_found" })],
    ]);
    expectStatus(await settle(answers), 200);
    expectStatus(await settle(answers), 200);
    expect(await accountBalance(server, "cash")).toBe(cash - 30_000_000n);

    const failed = creators[1] ?? expect.fail();
    const { body } = expectStatus(await failed.caller.get(`/api/v1/creators/${failed.creatorId}/payouts`), 200);
    expect(body.payouts).toMatchObject([{ state: "failed", reason: "account closed", amount_micros: "41230000" }]);
    expect(await balanceOf(failed.caller, failed.creatorId)).toMatchObject({
      available_micros: "41230000",
      in_payout_micros: "0",
    });

    const unsettled = await settle([
      { payout_id: ids[0], outcome: "failed" },
      { payout_id: ids[1], outcome: "returned" },
      { payout_id: ids[2], outcome: "returned" },
    ]);
    expect([unsettled.body.code, unsettled.body.errors.length]).toEqual(["payout_settled", 3]);

    expectStatus(await settle([{ payout_id: ids[0], outcome: "returned", reason: "bounced" }]), 200);
    const bounced = creators[0] ?? expect.fail();
    expect(await balanceOf(bounced.caller, bounced.creatorId)).toMatchObject({
      available_micros: "30000000",
      paid_micros: "0",
    });
    expect(await accountBalance(server, "cash")).toBe(cash);
  });

  test("is settled by one answer for each payout, or not at all", async () => {
    const { creatorId, caller } = await paidCreator(30_000_000n);
    clock.advance(8 * DAY);
    const { batch_id } = await makeBatch(operator, { creator_ids: [creatorId] });
    const { payouts } = await untilPayouts(platform, batch_id, "sent");
    const { payout_id } = payouts[0];
    const twice = await operator.post(`/api/v1/payout-batches/${batch_id}/settlements`, {
      payouts: [
        { payout_id, outcome: "paid" },
        { payout_id, outcome: "failed" },
      ],
    });
    expect(twice).toMatchObject({
      status: 422,
      body: { code: "input_invalid", errors: [{ at: "body.payouts.1.payout_id", code: "input_invalid" }] },
    });
    expect(await balanceOf(caller, creatorId)).toMatchObject({
      available_micros: "0",
      in_payout_micros: "30000000",
      paid_micros: "0",
    });
  });

  test("takes a transfer that failed and arrived after all from the balance again, once", async () => {
    const { creatorId, caller } = await paidCreator(30_000_000n);
    clock.advance(8 * DAY);
    const cash = await accountBalance(server, "cash");
    const { batch_id } = await makeBatch(operator, { creator_ids: [creatorId] });
    const { payouts } = await untilPayouts(platform, batch_id, "sent");
    const settle = async (outcome: string) =>
      operator.post(`/api/v1/payout-batches/${batch_id}/settlements`, {
        payouts: [{ payout_id: payouts[0].payout_id, outcome }],
      });
    expectStatus(await settle("failed"), 200);
    expect(await balanceOf(caller, creatorId)).toMatchObject({ available_micros: "30000000", paid_micros: "0" });
    expect(expectStatus(await settle("paid"), 200).body.states).toEqual({ paid: 1 });
    expectStatus(await settle("paid"), 200);
    expect(await balanceOf(caller, creatorId)).toMatchObject({
      available_micros: "0",
      in_payout_micros: "0",
      paid_micros: "30000000",
    });
    expect(await accountBalance(server, "cash")).toBe(cash - 30_000_000n);
  });
});
