import { type JsonObject, accept, parseMicros } from "@licet/protocol";
import { sql } from "kysely";
import { describe, expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  publishDataset,
  registerMarketplace,
  registerWork,
  uniqueId,
} from "../../../test/fixtures/actors.ts";
import { type Site, createSites } from "../../../test/fixtures/backups.ts";
import { checkLedger } from "../../../test/fixtures/check-ledger.ts";
import { readAll } from "../../../test/fixtures/check-platform.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { writeFact } from "../events/write-fact.ts";
import { type NewTransaction, postTransactions } from "./post-transactions.ts";

const platform = await startPlatform();
type Reached = Pick<Site["platform"], "server" | "operator">;

function nowOf({ clock }: { readonly clock: { readonly nowMs: () => number } }): number {
  return Math.floor(clock.nowMs() / 1_000);
}

async function post({ server }: Reached, transactions: readonly NewTransaction[]): Promise<readonly string[]> {
  const posted = await writeFact(server.ctx, async (fact) => accept(postTransactions(fact, transactions)));
  if (!posted.ok) throw new Error(posted.refusal.detail);
  return posted.value;
}

function chargeOf(
  marketplaceId: string,
  owner: string,
  amountMicros: bigint,
  members: JsonObject = {},
): NewTransaction {
  const explanation = { charge_micros: String(amountMicros), ...members };
  return {
    kind: "usage_charge",
    reference: uniqueId("r_"),
    currency: "USD",
    explanation,
    entries: [
      { account: { kind: "marketplace", owner: marketplaceId }, amountMicros },
      { account: { kind: "pool", owner }, amountMicros: -amountMicros },
    ],
  };
}

/** A dataset with as many works of each creator as are asked for. */
async function publishFor(counts: readonly number[], members: JsonObject = {}) {
  const creators = [];
  const works: string[] = [];
  for (const count of counts) {
    const creator = await enrolCreator(platform);
    for (let index = 0; index < count; index += 1)
      works.push(await registerWork(platform, creator.creatorId, { size_bytes: 100 * (index + 1) }));
    await giveConsent(creator);
    creators.push(creator);
  }
  return { creators, works, dataset: await publishDataset(platform, works, members) };
}

/** A caller with a session of today. */
async function openSession(creatorId: string) {
  const { body } = expectStatus(await platform.operator.post(`/api/v1/creators/${creatorId}/sessions`), 201);
  return platform.as(body.creator_token);
}

async function balanceOf(reached: Reached, kind: string, owner: string): Promise<bigint> {
  const path = `/api/v1/ledger/accounts?kind=${kind}&owner=${encodeURIComponent(owner)}`;
  const { body } = expectStatus(await reached.operator.get(path), 200);
  return parseMicros(body.accounts[0]?.balance_micros ?? "0") ?? 0n;
}

/** A pool that tests pay into which are about other things. */
const { dataset: someDataset } = await publishFor([1]);
const somePool = `${someDataset.dataset_id}/1`;

describe("the database", () => {
  const insert = (entries: readonly (readonly [number, string])[], transactionId: string) =>
    sql`insert into ledger_entry (transaction_id, account_id, currency, amount)
        select ${transactionId}, account, 'USD', amount
          from unnest(${entries.map(([account]) => account)}::bigint[], ${entries.map(([, amount]) => amount)}::numeric[])
               as added (account, amount)`.execute(platform.server.ctx.db);

  async function accountsOf(transactionId: string): Promise<readonly number[]> {
    const { body } = expectStatus(await platform.operator.get(`/api/v1/ledger/transactions/${transactionId}`), 200);
    return body.entries.map((entry: { account_id: number }) => entry.account_id);
  }

  test("refuses a transaction that does not add up to zero, one without a currency of its accounts, and additions to one that is written", async () => {
    const [written = ""] = await post(platform, [chargeOf("mkt_x", somePool, 5n)]);
    const [from = 0, to = 0] = await accountsOf(written);
    const before = await balanceOf(platform, "marketplace", "mkt_x");
    const { db } = platform.server.ctx;
    const fresh = `ltx_${"0".repeat(26)}`;
    await db
      .insertInto("ledger_transaction")
      .values({
        transaction_id: fresh,
        kind: "usage_charge",
        reference: uniqueId("r_"),
        currency: "USD",
        value_at: Math.floor(platform.clock.nowMs() / 1_000),
        recorded_at: 1,
        reverses: null,
        explanation: "{}",
      })
      .execute();
    await expect(
      insert(
        [
          [from, "3"],
          [to, "-2"],
        ],
        fresh,
      ),
    ).rejects.toThrow(/adds up to 1, not to 0/);
    await expect(insert([[from, "0"]], fresh)).rejects.toThrow(/check/);
    await expect(
      insert(
        [
          [from, "1.5"],
          [to, "-1.4"],
        ],
        fresh,
      ),
    ).rejects.toThrow(/integer|numeric|adds up|check/i);
    await expect(
      insert(
        [
          [from, "3"],
          [to, "-3"],
        ],
        written,
      ),
    ).rejects.toThrow(/written already|unique/);
    const other = await post(platform, [{ ...chargeOf("mkt_x", somePool, 5n), currency: "EUR" }]);
    const [euros = 0] = await accountsOf(other[0] ?? "");
    await expect(
      insert(
        [
          [euros, "3"],
          [to, "-3"],
        ],
        fresh,
      ),
    ).rejects.toThrow(/foreign key/);
    expect(await balanceOf(platform, "marketplace", "mkt_x")).toBe(before);
  });

  test("takes what the largest amounts add up to, to the last micro-unit", async () => {
    const huge = 10n ** 37n + 7n;
    const { dataset } = await publishFor([1]);
    const pool = `${dataset.dataset_id}/1`;
    await post(platform, [chargeOf("mkt_huge", pool, huge), chargeOf("mkt_huge", pool, 1n)]);
    expect(await balanceOf(platform, "marketplace", "mkt_huge")).toBe(huge + 1n);
    expect(await balanceOf(platform, "pool", pool)).toBe(-huge - 1n);
  });

  test("lets the same thing happen to one reference once", async () => {
    const charge = chargeOf("mkt_twice", somePool, 5n);
    await post(platform, [charge]);
    await expect(post(platform, [charge])).rejects.toThrow(/unique/);
    expect(await balanceOf(platform, "marketplace", "mkt_twice")).toBe(5n);
  });
});

describe("postTransactions", () => {
  test("throws on what does not add up, or moves nothing", async () => {
    const { entries: _entries, ...charge } = chargeOf("mkt_x", somePool, 5n);
    const account = { kind: "cash" as const, owner: "" };
    await expect(post(platform, [{ ...charge, entries: [{ account, amountMicros: 1n }] }])).rejects.toThrow(RangeError);
    await expect(
      post(platform, [
        {
          ...charge,
          entries: [
            { account, amountMicros: 1n },
            { account, amountMicros: -1n },
          ],
        },
      ]),
    ).rejects.toThrow(RangeError);
  });

  test("numbers what is posted at once without a gap that fills later", async () => {
    const rounds = Array.from({ length: 12 }, async () => post(platform, [chargeOf("mkt_many", somePool, 2n)]));
    const seen: number[] = [];
    const watch = async (): Promise<void> => {
      const rows = await platform.server.ctx.db.selectFrom("ledger_transaction").select("sequence").execute();
      const top = Math.max(0, ...seen);
      expect(rows.filter((row) => row.sequence < top && !seen.includes(row.sequence))).toEqual([]);
      seen.push(...rows.map((row) => row.sequence).filter((sequence) => !seen.includes(sequence)));
    };
    await watch();
    await Promise.all([...rounds, watch(), watch(), watch()]);
    await watch();
    expect(await balanceOf(platform, "marketplace", "mkt_many")).toBe(24n);
  });
});

describe("closing a month", () => {
  const monthAt = (seconds: number) => new Date(seconds * 1_000).toISOString().slice(0, 7);

  test("shares a pool out to three creators after the fee, explains each amount, and does it once", async () => {
    const { creators, dataset } = await publishFor([1, 1, 2], { revenue_split: { platform_fee_bps: 1_000 } });
    const marketplace = await registerMarketplace(platform);
    const owner = `${dataset.dataset_id}/1`;
    const receipt = { receipt_id: "r_001", license_id: "lic_1", price: "per-token:0.0001", unit: "tokens" };
    const told = { ...receipt, units: "123456", units_total: "123456", charged_before_micros: "0" };
    const valueAt = Math.floor(platform.clock.nowMs() / 1_000);
    await post(platform, [{ ...chargeOf(marketplace.marketplaceId, owner, 12_345_600n, told), valueAt }]);
    const period = monthAt(valueAt);
    const early = await platform.operator.post(`/api/v1/ledger/periods/${period}/close`);
    expect(early).toMatchObject({ status: 409, body: { code: "period_not_over" } });

    platform.clock.advance(33 * 86_400);
    const closed = await platform.operator.post(`/api/v1/ledger/periods/${period}/close`);
    expect(closed).toMatchObject({ status: 200, body: { period, state: "closed", closed_by: expect.any(String) } });
    expect(expectStatus(await platform.operator.post(`/api/v1/ledger/periods/${period}/close`), 200).body).toEqual(
      closed.body,
    );

    // 12 345 600 less 10 % is 11 111 040: a quarter, a quarter and a half.
    const balances = await Promise.all(creators.map(({ creatorId }) => balanceOf(platform, "creator", creatorId)));
    expect(balances).toEqual([-2_777_760n, -2_777_760n, -5_555_520n]);
    expect(await balanceOf(platform, "pool", owner)).toBe(0n);

    const [creator] = creators;
    const caller = await openSession(creator?.creatorId ?? "");
    const own = expectStatus(await caller.get("/api/v1/ledger/accounts"), 200).body;
    expect(own.accounts).toMatchObject([{ kind: "creator", owner: creator?.creatorId, balance_micros: "-2777760" }]);
    const path = `/api/v1/ledger/accounts/${own.accounts[0].account_id}/entries`;
    const { entries } = expectStatus(await caller.get(path), 200).body;
    expect(entries).toMatchObject([{ amount_micros: "-2777760", transaction_kind: "pool_split" }]);
    const explained = expectStatus(
      await caller.get(`/api/v1/ledger/entries/${entries[0].entry_id}/explanation`),
      200,
    ).body;
    expect(explained.steps.map((step: { says: string }) => step.says)).toEqual([
      "0.0001 USD a token × 123456 tokens reported under lic_1 up to receipt r_001 = 12.3456 USD, rounded down to a micro-unit; less 0.00 USD charged before: 12.3456 USD.",
      expect.stringMatching(`^Pool of ${owner} before \\S+T00:00:00Z: 12.3456 USD from the entry above.$`),
      "The platform's fee of 1000 basis points, rounded down: 1.23456 USD; to share out: 12.3456 USD − 1.23456 USD = 11.11104 USD.",
      "1 of 4 works: 11111040 × 1 ÷ 4, rounded down = 2777760 micro-units.",
      `Credited to creator ${creator?.creatorId}: 2.77776 USD, entry ${entries[0].entry_id}.`,
    ]);
    const stranger = await enrolCreator(platform);
    expect(await stranger.caller.get(`/api/v1/ledger/entries/${entries[0].entry_id}/explanation`)).toMatchObject({
      status: 403,
      body: { code: "not_yours" },
    });
    expect(await stranger.caller.get(path)).toMatchObject({ status: 403, body: { code: "not_yours" } });
  });

  test("splits by a measure, refuses to publish without it, and names the works", async () => {
    const { creators, dataset } = await publishFor([1, 2], { revenue_split: { by: "bytes" } });
    const valueAt = Math.floor(platform.clock.nowMs() / 1_000);
    await post(platform, [{ ...chargeOf("mkt_bytes", `${dataset.dataset_id}/1`, 10n), valueAt }]);
    platform.clock.advance(33 * 86_400);
    await closeAll();
    // 100 bytes against 100 + 200.
    const balances = await Promise.all(creators.map(({ creatorId }) => balanceOf(platform, "creator", creatorId)));
    expect(balances.reduce((sum, balance) => sum + balance, 0n)).toBe(-10n);
    expect([2n, 3n].map((part) => -part)).toContain(balances[0]);
    const creator = await enrolCreator(platform);
    const work = await registerWork(platform, creator.creatorId);
    await giveConsent(creator);
    const refused = await platform.operator.post("/api/v1/datasets", {
      name: "No tokens",
      content_items: [{ content_id: work }],
      pricing: { model_use: "per-token:0.0001" },
      revenue_split: { by: "tokens" },
    });
    expect(refused).toMatchObject({
      status: 422,
      body: { code: "split_measure_missing", errors: [{ at: work, code: "split_measure_missing" }] },
    });
  });

  test("ahead of the month's end may come twice within a second, and each time shares out what is there", async () => {
    const { dataset } = await publishFor([1]);
    const pool = `${dataset.dataset_id}/1`;
    const path = `/api/v1/ledger/pools/${pool}/split`;
    const split = async () => expectStatus(await platform.operator.post(path), 201).body.transaction_id;
    await post(platform, [{ ...chargeOf("mkt_twice", pool, 7n), kind: "license_fee" }]);
    const first = await split();
    await post(platform, [{ ...chargeOf("mkt_twice", pool, 4n), kind: "license_fee" }]);
    expect(await split()).not.toBe(first);
    expect(await balanceOf(platform, "pool", pool)).toBe(0n);
  });

  test("of more than a hundred charges is told page by page, and each charge once", async () => {
    const { creators, dataset } = await publishFor([1]);
    const pool = `${dataset.dataset_id}/1`;
    const [{ creatorId } = { creatorId: "" }] = creators;
    const path = `/api/v1/ledger/pools/${pool}/split`;
    const fees = (count: number): readonly NewTransaction[] =>
      Array.from({ length: count }, () => ({ ...chargeOf("mkt_many", pool, 10n), kind: "license_fee" }));
    // Counts for later: the split after it tells of it.
    const later = { ...chargeOf("mkt_many", pool, 5n), kind: "license_fee", valueAt: nowOf(platform) + 1_000 } as const;
    await post(platform, [later, ...fees(2)]);
    expectStatus(await platform.operator.post(path), 201);
    await post(platform, fees(230));
    platform.clock.advance(2_000);
    const split = expectStatus(await platform.operator.post(path), 201).body;
    const entry = split.entries.find(({ account }: { account: { owner: string } }) => account.owner === creatorId);
    const references: string[] = [];
    const pages: number[] = [];
    for (let after: string | null = ""; after !== null;) {
      const query: string = after === "" ? "" : `?after=${after}`;
      const answer = await platform.operator.get(`/api/v1/ledger/entries/${entry.entry_id}/explanation${query}`);
      const { steps, next } = expectStatus(answer, 200).body;
      const told = steps.filter(({ says }: { says: string }) => says.startsWith("The flat price"));
      pages.push(told.length);
      references.push(...told.map(({ says }: { says: string }) => says));
      expect(steps.find(({ numbers }: { numbers: JsonObject }) => "entries" in numbers).numbers).toMatchObject({
        entries: 231,
        entries_shown: told.length,
        entries_micros: "2305",
      });
      after = next;
    }
    expect(pages).toEqual([100, 100, 31]);
    expect(new Set(references).size).toBe(231);
    const month = new Date(platform.clock.nowMs()).toISOString().slice(0, 7);
    const statement = await platform.operator.get(`/api/v1/creators/${creatorId}/statements/${month}`);
    const { credited } = expectStatus(statement, 200).body.currencies[0];
    expect(credited.map(({ receipts }: { receipts: readonly object[] }) => receipts)).toMatchObject([
      [{ kind: "license_fee", count: 2, amount_micros: "20" }],
      [{ kind: "license_fee", count: 231, amount_micros: "2305" }],
    ]);
  });

  test("leaves what was shared out before it to that split, and each split tells of its own charges", async () => {
    const { creators, dataset } = await publishFor([1, 1]);
    const pool = `${dataset.dataset_id}/1`;
    const path = `/api/v1/ledger/pools/${dataset.dataset_id}/1/split`;
    expect(await platform.operator.post(path)).toMatchObject({ status: 404, body: { code: "not_found" } });
    await post(platform, [{ ...chargeOf("mkt_early", pool, 7n), kind: "license_fee" }]);
    const first = expectStatus(await platform.operator.post(path), 201).body;
    platform.clock.advance(2);
    expect(await platform.operator.post(path)).toMatchObject({ status: 409, body: { code: "pool_empty" } });
    await post(platform, [{ ...chargeOf("mkt_early", pool, 4n), kind: "license_fee" }]);
    const now = platform.clock.nowMs() / 1_000;
    platform.clock.advance(33 * 86_400);
    await closeAll();
    const balances = await Promise.all(creators.map(({ creatorId }) => balanceOf(platform, "creator", creatorId)));
    expect(balances.reduce((sum, balance) => sum + balance, 0n)).toBe(-11n);
    expect(await balanceOf(platform, "pool", pool)).toBe(0n);
    const entryOf = async (transaction: { entries: readonly { entry_id: number; account: { owner: string } }[] }) => {
      const entry = transaction.entries.find(({ account }) => account.owner === creators[0]?.creatorId);
      const answer = await platform.operator.get(`/api/v1/ledger/entries/${entry?.entry_id}/explanation`);
      return expectStatus(answer, 200).body.steps.map((step: { says: string }) => step.says);
    };
    expect(await entryOf(first)).toEqual(
      expect.arrayContaining([expect.stringContaining("0.000007 USD from the entry above.")]),
    );
    const accounts = await platform.operator.get(`/api/v1/ledger/accounts?kind=pool&owner=${encodeURIComponent(pool)}`);
    const { entries } = expectStatus(
      await platform.operator.get(`/api/v1/ledger/accounts/${accounts.body.accounts[0].account_id}/entries`),
      200,
    ).body;
    const last = entries.at(-1);
    expect(last).toMatchObject({ transaction_kind: "pool_split", reference: `${monthAt(now)}/${pool}` });
    const { body } = await platform.operator.get(`/api/v1/ledger/transactions/${last.transaction_id}`);
    expect(await entryOf(body)).toEqual(
      expect.arrayContaining([expect.stringContaining("0.000004 USD from the entry above.")]),
    );
  });

  test("shares nothing out twice: not what a split after the month's end has, nor what was taken back since, nor by two at once", async () => {
    const { creators, dataset } = await publishFor([1, 1]);
    const pool = `${dataset.dataset_id}/1`;
    const path = `/api/v1/ledger/pools/${dataset.dataset_id}/1/split`;
    const paidOut = async (): Promise<bigint> => {
      const balances = await Promise.all(creators.map(({ creatorId }) => balanceOf(platform, "creator", creatorId)));
      return balances.reduce((sum, balance) => sum + balance, 0n);
    };
    await post(platform, [chargeOf("mkt_late", pool, 700n)]);
    const [wrong = ""] = await post(platform, [chargeOf("mkt_late", pool, 90n)]);
    platform.clock.advance(32 * 86_400);
    // The month is over and not closed yet.
    expectStatus(
      await platform.operator.post(`/api/v1/ledger/transactions/${wrong}/reversal`, { reason: "wrong" }),
      201,
    );
    await post(platform, [chargeOf("mkt_late", pool, 50n)]);
    const answers = await Promise.all([platform.operator.post(path), platform.operator.post(path)]);
    platform.clock.advance(3);
    answers.push(await platform.operator.post(path));
    expect(answers.map(({ status }) => status).sort()).toEqual(
      answers[0]?.body.transaction_id === answers[1]?.body.transaction_id ? [201, 201, 409] : [201, 409, 409],
    );
    await closeAll();
    expect(await paidOut()).toBe(-750n);
    platform.clock.advance(33 * 86_400);
    await closeAll();
    expect(await paidOut()).toBe(-750n);
    expect(await balanceOf(platform, "pool", pool)).toBe(0n);
  });

  test("takes the months in order, and refuses what is no month", async () => {
    const now = Math.floor(platform.clock.nowMs() / 1_000);
    await post(
      platform,
      [chargeOf("mkt_order", somePool, 1n)].map((charge) => ({ ...charge, valueAt: now })),
    );
    platform.clock.advance(70 * 86_400);
    const later = monthAt(now + 33 * 86_400);
    expect(await platform.operator.post(`/api/v1/ledger/periods/${later}/close`)).toMatchObject({
      status: 409,
      body: { code: "period_out_of_order" },
    });
    for (const wrong of ["2026-13", "2026-1", "november"])
      expect(await platform.operator.post(`/api/v1/ledger/periods/${wrong}/close`)).toMatchObject({
        status: 422,
        body: { code: "input_invalid" },
      });
  });

  /** Closes every month that is over, the oldest first. */
  async function closeAll(): Promise<void> {
    const { periods } = expectStatus(await platform.operator.get("/api/v1/ledger/periods"), 200).body;
    const over = periods.filter((entry: { state: string; until: string }) => entry.state === "open").toReversed();
    for (const { period, until } of over)
      if (Date.parse(until) / 1_000 + 3_600 < platform.clock.nowMs() / 1_000)
        expectStatus(await platform.operator.post(`/api/v1/ledger/periods/${period}/close`), 200);
  }
});

describe("a correction", () => {
  test("is the opposite of what it takes back, once, and says why", async () => {
    const [charged = ""] = await post(platform, [chargeOf("mkt_wrong", somePool, 90n)]);
    const path = `/api/v1/ledger/transactions/${charged}/reversal`;
    expect(await platform.operator.post(path, { reason: "" })).toMatchObject({ status: 422 });
    const { body } = expectStatus(await platform.operator.post(path, { reason: "counted twice" }), 201);
    expect(body).toMatchObject({ kind: "reversal", reverses: charged, reference: charged });
    expect(await balanceOf(platform, "marketplace", "mkt_wrong")).toBe(0n);
    expect(await platform.operator.post(path, { reason: "again" })).toMatchObject({
      status: 409,
      body: { code: "ledger_transaction_final" },
    });
    expect(
      await platform.operator.post(`/api/v1/ledger/transactions/${body.transaction_id}/reversal`, { reason: "no" }),
    ).toMatchObject({ status: 409, body: { code: "ledger_transaction_final" } });
    const explained = await platform.operator.get(`/api/v1/ledger/entries/${body.entries[0].entry_id}/explanation`);
    expect(expectStatus(explained, 200).text).toContain("counted twice");
  });

  test("of nothing is refused", async () => {
    const path = `/api/v1/ledger/transactions/ltx_${"1".repeat(26)}/reversal`;
    expect(await platform.operator.post(path, { reason: "x" })).toMatchObject({ status: 404 });
  });
});

describe("a payment", () => {
  test("settles what is owed, once for its reference, in the currency that is owed", async () => {
    const { marketplaceId } = await registerMarketplace(platform);
    const path = `/api/v1/marketplaces/${marketplaceId}/payments`;
    const payment = { amount_micros: "40", currency: "USD", reference: "bank-1" };
    expect(await platform.operator.post(path, payment)).toMatchObject({
      status: 422,
      body: { code: "currency_wrong" },
    });
    await post(platform, [chargeOf(marketplaceId, somePool, 100n)]);
    const first = expectStatus(await platform.operator.post(path, payment), 201).body;
    expect(expectStatus(await platform.operator.post(path, payment), 200).body).toEqual(first);
    expect(await platform.operator.post(path, { ...payment, amount_micros: "41" })).toMatchObject({
      status: 409,
      body: { code: "payment_reference_reused" },
    });
    expect(await platform.operator.post(path, { ...payment, currency: "EUR", reference: "bank-2" })).toMatchObject({
      status: 422,
      body: { code: "currency_wrong" },
    });
    for (const amount_micros of ["0", "-1", "1.5", "1e3", "", 40])
      expect((await platform.operator.post(path, { ...payment, amount_micros })).status).toBe(422);
    expect(await balanceOf(platform, "marketplace", marketplaceId)).toBe(60n);
  });

  test("that was reversed is recorded again under a new reference, and not answered as if it stood", async () => {
    const { marketplaceId } = await registerMarketplace(platform);
    const path = `/api/v1/marketplaces/${marketplaceId}/payments`;
    const payment = { amount_micros: "40", currency: "USD", reference: "bank-1" };
    await post(platform, [chargeOf(marketplaceId, somePool, 100n)]);
    const { transaction_id: id } = expectStatus(await platform.operator.post(path, payment), 201).body;
    const reversed = await platform.operator.post(`/api/v1/ledger/transactions/${id}/reversal`, { reason: "a slip" });
    expect(await platform.operator.post(path, payment)).toMatchObject({
      status: 409,
      body: {
        code: "payment_reference_reused",
        detail: expect.stringContaining(`reversed by ${reversed.body.transaction_id}`),
      },
    });
    expectStatus(await platform.operator.post(path, { ...payment, reference: "bank-1.again" }), 201);
    expect(await balanceOf(platform, "marketplace", marketplaceId)).toBe(60n);
  });
});

test("a backup carries the ledger, and what is posted after a restore adds up", async () => {
  const sites = createSites();
  const site = await sites.open(await sites.createDatabase());
  const fee = (amountMicros: bigint): NewTransaction => ({
    ...chargeOf("mkt_kept", "ds_kept/1", amountMicros),
    kind: "license_fee",
  });
  await post(site.platform, [fee(10n ** 30n), fee(7n)]);
  const path = await site.backUp();
  await site.stop();
  const database = await sites.createDatabase();
  await sites.restore(site, { path, journals: [], database });
  const back = await sites.open(database, { ...site, origin: site.platform.origin });
  await post(back.platform, [fee(1n)]);
  expect(await balanceOf(back.platform, "marketplace", "mkt_kept")).toBe(10n ** 30n + 8n);
  expect(await checkLedger(back.platform.operator, readAll)).toEqual([]);
  await back.stop();
});
