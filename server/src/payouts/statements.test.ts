import { describe, expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  publishDataset,
  registerWork,
  uniqueId,
} from "../../../test/fixtures/actors.ts";
import { configFor } from "../../../test/fixtures/databases.ts";
import { credit, makeBatch, post, putDetails, untilPayouts } from "../../../test/fixtures/payouts.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { closePeriod } from "../ledger/close-period.ts";
import { reverseTransaction } from "../ledger/reverse-transaction.ts";

const DAY = 86_400;
const base = configFor({ dataFolder: "/nowhere", databaseUrl: undefined }).payments;
const platform = await startPlatform({
  sessionSeconds: 10_000 * DAY,
  payments: { ...base, holdSeconds: 0, minimums: { fallbackMicros: 1n, byCurrency: new Map() } },
});
const { operator, server, clock } = platform;

const monthOf = (ms: number): string => new Date(ms).toISOString().slice(0, 7);

/** Moves on to the third day of the next month. */
function nextMonth(): void {
  const now = new Date(clock.nowMs());
  clock.advance(Math.ceil((Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 3) - clock.nowMs()) / 1_000));
}

async function close(period: string): Promise<void> {
  const closed = await closePeriod(server.ctx, period, "operator");
  if (!closed.ok) throw new Error(closed.refusal.detail);
}

describe("a statement", () => {
  test("adds up from opening to closing, names what is behind each amount, and never changes once its month is closed", async () => {
    const [one, two] = [await enrolCreator(platform), await enrolCreator(platform)];
    const works = [await registerWork(platform, one.creatorId), await registerWork(platform, two.creatorId)];
    await Promise.all([giveConsent(one), giveConsent(two)]);
    const { dataset_id, version } = await publishDataset(platform, works, {
      currency: "EUR",
      revenue_split: { by: "items", platform_fee_bps: 1_000 },
    });
    const charge = (units: number) => ({
      kind: "usage_charge" as const,
      reference: uniqueId("r_"),
      currency: "EUR",
      explanation: { unit: "tokens", units, price: "per-token:0.0001", license_id: "lic_1" },
      entries: [
        { account: { kind: "marketplace" as const, owner: "mkt_1" }, amountMicros: BigInt(units) * 100n },
        { account: { kind: "pool" as const, owner: `${dataset_id}/${version}` }, amountMicros: BigInt(units) * -100n },
      ],
    });
    await post(server, [charge(100_000), charge(123_456)]);
    await credit(server, one.creatorId, 500_000n);
    const first = monthOf(clock.nowMs());
    const read = (period: string, headers = {}) =>
      one.caller.get(`/api/v1/creators/${one.creatorId}/statements/${period}`, headers);
    expect((await read(first)).body).toMatchObject({
      state: "provisional",
      currencies: [{ opening_micros: "0", credited: [], compensations_micros: "500000", closing_micros: "500000" }],
    });
    nextMonth();
    await close(first);
    const closed = expectStatus(await read(first), 200);
    const [account] = closed.body.currencies;
    expect(closed.body.state).toBe("closed");
    expect(account.credited).toEqual([
      {
        dataset_id,
        version,
        amount_micros: "10055520",
        transaction_id: expect.stringMatching(/^ltx_/),
        split: {
          pool_micros: "22345600",
          platform_fee_bps: 1_000,
          fee_micros: "2234560",
          shared_micros: "20111040",
          by: "items",
          creators: 2,
        },
        receipts: [{ kind: "usage_charge", unit: "tokens", count: 2, units: "223456", amount_micros: "22345600" }],
      },
    ]);
    expect(account).toMatchObject({ opening_micros: "0", closing_micros: "10555520" });

    const details = { adapter: "csv", currency: "EUR", holder: "One", account: "DE02120300000000202051" };
    expectStatus(await putDetails(one.caller, one.creatorId, details), 200);
    const batch = await makeBatch(operator, { creator_ids: [one.creatorId] });
    await untilPayouts(platform, batch.batch_id, "sent");
    const reversed = await reverseTransaction(server.ctx, account.compensations[0].transaction_id, {
      reason: "a mistake",
      by: "operator",
    });
    expect(reversed.ok).toBe(true);
    const second = expectStatus(await read(monthOf(clock.nowMs())), 200).body;
    expect(second).toMatchObject({ state: "provisional" });
    const [later] = second.currencies;
    expect(later).toMatchObject({
      opening_micros: "10555520",
      credited_micros: "0",
      payouts_micros: "-10550000",
      corrections: [{ kind: "reversal", amount_micros: "-500000" }],
      corrections_micros: "-500000",
      closing_micros: "-494480",
    });
    const sums = ["opening", "credited", "compensations", "corrections", "payouts"];
    expect(sums.reduce((sum, name) => sum + BigInt(later[`${name}_micros`]), 0n)).toBe(BigInt(later.closing_micros));
    expect((await read(first)).text).toBe(closed.text);
  });

  test("is CSV by Accept or by its ending, with nothing a spreadsheet would carry out", async () => {
    const { creatorId, caller } = await enrolCreator(platform);
    await credit(server, creatorId, 1_234_567n);
    const period = monthOf(clock.nowMs());
    const path = `/api/v1/creators/${creatorId}/statements/${period}`;
    const byEnding = expectStatus(await caller.get(`${path}.csv`), 200);
    const byHeader = expectStatus(await caller.get(path, { accept: "text/csv" }), 200);
    expect(byHeader.text).toBe(byEnding.text);
    expect(byEnding.headers.get("content-type")).toBe("text/csv; charset=utf-8");
    const [head, opening, line, closing] = byEnding.text.split("\r\n");
    expect(head).toBe("period,state,currency,line,at,dataset_id,version,reference,units,unit,amount");
    expect(opening).toMatch(/^\d{4}-\d\d,provisional,EUR,opening,.+,0\.00$/);
    expect(line).toMatch(/,compensation,.+,case_.+,1\.234567$/);
    expect(closing).toMatch(/,closing,.+,1\.234567$/);
  });

  test("that is longer than a page says so and goes on, and its CSV has all of it", async () => {
    const { creatorId, caller } = await enrolCreator(platform);
    const entries = 1_003;
    const compensation = (currency: string) => ({
      kind: "compensation" as const,
      reference: uniqueId("case_"),
      currency,
      explanation: {},
      entries: [
        { account: { kind: "marketplace" as const, owner: "mkt_1" }, amountMicros: 1_000n },
        { account: { kind: "creator" as const, owner: creatorId }, amountMicros: -1_000n },
      ],
    });
    await post(
      server,
      Array.from({ length: entries }, () => compensation("EUR")),
    );
    await post(server, [compensation("USD")]);
    const path = `/api/v1/creators/${creatorId}/statements/${monthOf(clock.nowMs())}`;
    const first = expectStatus(await caller.get(path), 200).body;
    expect(first.complete).toBe(false);
    const [euros, dollars] = first.currencies;
    expect([euros.compensations.length, dollars.compensations.length]).toEqual([1_000, 0]);
    expect([euros.compensations_micros, dollars.compensations_micros]).toEqual(["1003000", "1000"]);
    const second = expectStatus(await caller.get(`${path}?after=${first.next}`), 200).body;
    expect([second.complete, second.next]).toEqual([false, null]);
    expect(second.currencies[0].compensations_micros).toBe("1003000");
    expect(second.currencies.map(({ compensations }: { readonly compensations: [] }) => compensations.length)).toEqual([
      3, 1,
    ]);
    const ids = [first, second].flatMap(({ currencies }) =>
      currencies.flatMap(({ compensations }: { readonly compensations: readonly { transaction_id: string }[] }) =>
        compensations.map((row) => row.transaction_id),
      ),
    );
    expect(new Set(ids).size).toBe(entries + 1);
    const whole = expectStatus(await caller.get(`${path}.csv`), 200).text.split("\r\n");
    expect(whole.filter((line) => line.includes(",compensation,"))).toHaveLength(entries + 1);
    expect(whole.filter((line) => line.includes(",closing,")).map((line) => line.split(",").at(-1))).toEqual([
      "1.003",
      "0.001",
    ]);
    const wrong = await caller.get(`${path}?after=nonsense`);
    expect([wrong.status, wrong.body.code]).toEqual([422, "input_invalid"]);
  });

  test("names each receipt with the split that shared it out, when a pool is split more than once in a month", async () => {
    const creator = await enrolCreator(platform);
    const work = await registerWork(platform, creator.creatorId);
    await giveConsent(creator);
    const { dataset_id, version } = await publishDataset(platform, [work], { currency: "EUR" });
    const charge = (units: number) => ({
      kind: "usage_charge" as const,
      reference: uniqueId("r_"),
      currency: "EUR",
      explanation: { unit: "tokens", units },
      entries: [
        { account: { kind: "marketplace" as const, owner: "mkt_1" }, amountMicros: BigInt(units) },
        { account: { kind: "pool" as const, owner: `${dataset_id}/${version}` }, amountMicros: -BigInt(units) },
      ],
    });
    const period = monthOf(clock.nowMs());
    for (const batch of [[charge(10), charge(20)], [charge(40)]]) {
      await post(server, batch);
      clock.advance(2);
      expectStatus(await operator.post(`/api/v1/ledger/pools/${dataset_id}/${version}/split`), 201);
      clock.advance(2);
    }
    const path = `/api/v1/creators/${creator.creatorId}/statements/${period}`;
    const [account] = expectStatus(await creator.caller.get(path), 200).body.currencies;
    expect(account.credited.map(({ receipts }: { readonly receipts: unknown }) => receipts)).toEqual([
      [{ kind: "usage_charge", unit: "tokens", count: 2, units: "30", amount_micros: "30" }],
      [{ kind: "usage_charge", unit: "tokens", count: 1, units: "40", amount_micros: "40" }],
    ]);
  });

  test.each([
    ["2999-01", 422],
    ["2026-13", 422],
    ["nonsense", 400],
  ])("of %s is refused", async (period, status) => {
    const { creatorId, caller } = await enrolCreator(platform);
    expect((await caller.get(`/api/v1/creators/${creatorId}/statements/${period}`)).status).toBe(status);
  });
});
