import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { uniqueId } from "../../../test/fixtures/actors.ts";
import { startStripeSimulator } from "../../../test/fixtures/stripe-simulator.ts";
import { createOutbound } from "../http/outbound.ts";
import { csvAdapterOf, payoutFileName } from "./csv-adapter.ts";
import type { PayoutAdapter, PayoutDestination, PayoutOrder } from "./payout-adapter.ts";
import { stripeAdapterOf } from "./stripe-adapter.ts";

const folder = await mkdtemp(join(tmpdir(), "licet-payouts-"));
const stripe = await startStripeSimulator();
const outbound = createOutbound({ allowedHosts: [stripe.host] });
afterAll(async () => {
  await outbound.close();
  await rm(folder, { recursive: true, force: true });
});

interface Bench {
  readonly adapter: PayoutAdapter;
  /** Somewhere to pay to. */
  readonly destination: () => PayoutDestination;
  /** How often the other side was told to pay an order. */
  readonly timesPaid: (order: PayoutOrder) => Promise<number>;
  /** Has the next attempt end without an answer, although it was carried out. */
  readonly loseAnswer: (adapter: PayoutAdapter, orders: readonly PayoutOrder[]) => Promise<void>;
}

const csvLines = async ({ batchId, payoutId }: PayoutOrder): Promise<number> => {
  const text = await readFile(join(folder, payoutFileName(batchId)), "utf8").catch(() => "");
  return text.split("\r\n").filter((line) => line.startsWith(`${payoutId},`)).length;
};

const benches: Readonly<Record<string, Bench>> = {
  csv: {
    adapter: csvAdapterOf(folder),
    destination: () => ({ adapter: "csv", holder: "A. Creator", account: "DE02120300000000202051" }),
    timesPaid: csvLines,
    loseAnswer: async (adapter, orders) => {
      await adapter.send(orders, async () => orders);
    },
  },
  stripe: {
    adapter: stripeAdapterOf(
      { outbound },
      { secretKey: stripe.secretKey, webhookSecret: undefined, api: new URL(stripe.api) },
    ),
    destination: () => {
      const stripe_account = uniqueId("acct_");
      stripe.addAccount(stripe_account);
      return { adapter: "stripe", stripe_account };
    },
    timesPaid: async ({ payoutId }) =>
      stripe.transfers().filter((transfer) => transfer.transfer_group === payoutId).length,
    loseAnswer: async (adapter, orders) => {
      stripe.suffer(...orders.map(() => "lose" as const));
      const outcomes = await adapter.send(orders, async () => orders);
      for (const outcome of outcomes.values()) expect(outcome.kind).toBe("unclear");
    },
  },
};

function ordersOf({ destination }: Bench, count: number): readonly PayoutOrder[] {
  const batchId = uniqueId("pb_");
  return Array.from({ length: count }, (_, index) => ({
    payoutId: `${uniqueId("pay_")}${index}`,
    batchId,
    creatorId: uniqueId("user:"),
    currency: "EUR",
    amountMicros: 12_340_000n + BigInt(index) * 10_000n,
    destination: destination(),
  }));
}

async function countPaid(bench: Bench, orders: readonly PayoutOrder[]): Promise<readonly number[]> {
  return Promise.all(orders.map((order) => bench.timesPaid(order)));
}

describe.each(Object.entries(benches))("the way to pay %s", (name, bench) => {
  const { adapter } = bench;

  test("is called what it is, and says how much it takes at once", () => {
    expect(adapter.name).toBe(name);
    expect(adapter.maxAtOnce).toBeGreaterThan(0);
  });

  test("pays each order once and says so", async () => {
    const orders = ordersOf(bench, 3);
    const outcomes = await adapter.send(orders, async () => orders);
    expect([...outcomes.keys()]).toEqual(orders.map((order) => order.payoutId));
    for (const outcome of outcomes.values()) expect(["paid", "sent"]).toContain(outcome.kind);
    expect(await countPaid(bench, orders)).toEqual([1, 1, 1]);
  });

  test("pays once what is sent again, also at the same time", async () => {
    const orders = ordersOf(bench, 2);
    const first = await adapter.send(orders, async () => orders);
    await Promise.all([1, 2, 3].map(() => adapter.send(orders, async () => orders)));
    const last = await adapter.send(orders, async () => orders);
    expect(last).toEqual(first);
    expect(await countPaid(bench, orders)).toEqual([1, 1]);
  });

  test("finds what was sent, and not what was not", async () => {
    const [sent, unsent] = [ordersOf(bench, 1), ordersOf(bench, 1)];
    const outcomes = await adapter.send(sent, async () => sent);
    for (const order of sent) expect(await adapter.find(order)).toEqual(outcomes.get(order.payoutId));
    for (const order of unsent) expect(await adapter.find(order)).toEqual({ kind: "absent" });
  });

  test("finds what was carried out although its answer was lost, and pays it no second time", async () => {
    const orders = ordersOf(bench, 2);
    await bench.loseAnswer(adapter, orders);
    for (const order of orders) expect(["paid", "sent"]).toContain((await adapter.find(order)).kind);
    await adapter.send(orders, async () => orders);
    expect(await countPaid(bench, orders)).toEqual([1, 1]);
  });

  test("finds an order whose destination is lost", async () => {
    const orders = ordersOf(bench, 1);
    await adapter.send(orders, async () => orders);
    for (const order of orders)
      expect(["paid", "sent"]).toContain((await adapter.find({ ...order, destination: undefined })).kind);
  });
});

describe("the csv adapter", () => {
  test("writes the whole batch, the same bytes each time, and nothing a spreadsheet would carry out", async () => {
    const orders = ordersOf(
      {
        adapter: csvAdapterOf(folder),
        destination: () => ({ adapter: "csv", holder: '=cmd|"/c calc"!A1, Ltd', account: "-12345", bank: "+AB" }),
        timesPaid: csvLines,
        loseAnswer: async () => undefined,
      },
      2,
    );
    const [first] = orders;
    if (first === undefined) throw new Error("expected an order");
    await csvAdapterOf(folder).send([first], async () => orders);
    const path = join(folder, payoutFileName(first.batchId));
    const text = await readFile(path, "utf8");
    const [head, ...lines] = text.trimEnd().split("\r\n");
    expect(head).toBe("payout_id,creator_id,holder,account,bank,amount,currency,reference");
    expect(lines).toEqual(
      orders.map(
        ({ payoutId, creatorId }, index) =>
          `${payoutId},${creatorId},"'=cmd|""/c calc""!A1, Ltd",'-12345,'+AB,12.3${4 + index},EUR,${payoutId}`,
      ),
    );
    await csvAdapterOf(folder).send(orders, async () => orders);
    expect(await readFile(path, "utf8")).toBe(text);
    expect((await readdir(folder)).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  test("leaves a payout open when the file cannot be written", async () => {
    const blocked = join(folder, "blocked");
    await writeFile(blocked, "a file where the folder should be");
    const adapter = csvAdapterOf(blocked);
    const orders = ordersOf(benches["csv"] ?? expect.fail(), 1);
    const outcomes = await adapter.send(orders, async () => orders);
    expect([...outcomes.values()].map(({ kind }) => kind)).toEqual(["unclear"]);
  });
});

describe("the stripe adapter", () => {
  const bench = benches["stripe"] ?? expect.fail();
  const sendOne = async (order: PayoutOrder) =>
    (await bench.adapter.send([order], async () => [order])).get(order.payoutId);
  const orderOf = (members: Partial<PayoutOrder> = {}): PayoutOrder => ({
    ...(ordersOf(bench, 1)[0] ?? expect.fail()),
    ...members,
  });

  test.each([
    ["EUR", 12_340_000n, 1_234],
    ["JPY", 500_000_000n, 500],
    ["KWD", 1_230_000n, 1_230],
    ["ISK", 7_000_000n, 700],
  ])("counts %s in Stripe's smallest unit", async (currency, amountMicros, amount) => {
    const order = orderOf({ currency, amountMicros });
    expect((await sendOne(order))?.kind).toBe("paid");
    expect(stripe.transfers().at(-1)).toMatchObject({
      amount,
      currency: currency.toLowerCase(),
      transfer_group: order.payoutId,
      metadata: { payout_id: order.payoutId, batch_id: order.batchId },
    });
  });

  test("ends a payout only by what Stripe says of it", async () => {
    stripe.setBalance("usd", 10);
    expect(await sendOne(orderOf({ currency: "USD" }))).toMatchObject({
      kind: "failed",
      reason: expect.stringMatching(/^balance_insufficient: /),
    });
    expect(await sendOne(orderOf({ destination: { adapter: "stripe", stripe_account: "acct_nobody" } }))).toMatchObject(
      { kind: "failed", reason: expect.stringMatching(/^resource_missing: /) },
    );
    for (const mishap of ["break", "server-error", "lock-timeout"] as const) {
      stripe.suffer(mishap);
      expect([mishap, (await sendOne(orderOf()))?.kind]).toEqual([mishap, "unclear"]);
    }
    stripe.suffer("rate-limit");
    expect(await sendOne(orderOf())).toMatchObject({ kind: "unclear", retryAfterSeconds: 7 });
  });

  test("says nothing of a payout when its key is wrong, and never repeats the key", async () => {
    const settings = { secretKey: "sk_live_wrong", webhookSecret: undefined, api: new URL(stripe.api) };
    const adapter = stripeAdapterOf({ outbound }, settings);
    const order = orderOf();
    const outcome = (await adapter.send([order], async () => [order])).get(order.payoutId);
    expect(outcome?.kind).toBe("unclear");
    expect(JSON.stringify(outcome)).not.toContain("sk_live_wrong");
  });

  test("does not reach an address that the guard forbids", async () => {
    const guarded = createOutbound({ allowedHosts: [] });
    const settings = { secretKey: stripe.secretKey, webhookSecret: undefined, api: new URL(stripe.api) };
    const before = stripe.countOf("POST");
    const order = orderOf();
    const outcome = (await stripeAdapterOf({ outbound: guarded }, settings).send([order], async () => [order])).get(
      order.payoutId,
    );
    await guarded.close();
    expect([outcome?.kind, stripe.countOf("POST")]).toEqual(["unclear", before]);
  });

  test("holds a payout whose transfer is of another amount", async () => {
    const order = orderOf();
    await sendOne(order);
    expect(await bench.adapter.find({ ...order, amountMicros: 1_000_000n })).toMatchObject({ kind: "unclear" });
    expect(await sendOne({ ...order, amountMicros: 1_000_000n })).toMatchObject({
      kind: "unclear",
      reason: expect.stringMatching(/^idempotency_error: /),
    });
  });
});
