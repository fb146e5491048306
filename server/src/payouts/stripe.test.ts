import { describe, expect, test } from "vitest";
import { enrolCreator, expectStatus, uniqueId } from "../../../test/fixtures/actors.ts";
import { configFor } from "../../../test/fixtures/databases.ts";
import {
  accountBalance,
  balanceOf,
  credit,
  makeBatch,
  putDetails,
  untilPayouts,
} from "../../../test/fixtures/payouts.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { type Mishap, type SimulatedWebhook, startStripeSimulator } from "../../../test/fixtures/stripe-simulator.ts";
import { stripeAdapterOf } from "./stripe-adapter.ts";

const DAY = 86_400;
const stripe = await startStripeSimulator();
const base = configFor({ dataFolder: "/nowhere", databaseUrl: undefined }).payments;
const platform = await startPlatform({
  allowedHosts: [stripe.host],
  sessionSeconds: 10_000 * DAY,
  payments: {
    ...base,
    holdSeconds: 0,
    sending: { ...base.sending, intervalSeconds: 0.2 },
    stripe: { secretKey: stripe.secretKey, webhookSecret: stripe.webhookSecret, api: new URL(stripe.api) },
  },
});
const { operator, server, clock, anonymous } = platform;

/** A creator who is owed 20 euros and has an account at Stripe. */
async function stripeCreator({ isStillKnown = true }: { readonly isStillKnown?: boolean } = {}) {
  const creator = await enrolCreator(platform);
  const stripe_account = uniqueId("acct_");
  stripe.addAccount(stripe_account);
  await credit(server, creator.creatorId, 20_000_000n);
  const details = { adapter: "stripe", currency: "EUR", stripe_account };
  expectStatus(await putDetails(creator.caller, creator.creatorId, details), 200);
  if (!isStillKnown) stripe.removeAccount(stripe_account);
  return creator;
}

/** Makes a payout of 20 euros that suffers what it is told. */
async function payout({ creatorId }: { readonly creatorId: string }, ...mishaps: readonly Mishap[]) {
  stripe.suffer(...mishaps);
  const batch = await makeBatch(operator, { adapter: "stripe", creator_ids: [creatorId] });
  return { batchId: String(batch.batch_id), payoutId: String(batch.payouts[0].payout_id) };
}

function transfersOf(payoutId: string) {
  return stripe.transfers().filter((transfer) => transfer.transfer_group === payoutId);
}

/** Lets time pass until the payout of a batch is in one of these states; answers the batch. */
async function driveUntil(batchId: string, stepSeconds: number, ...states: readonly string[]) {
  const read = async () => expectStatus(await operator.get(`/api/v1/payout-batches/${batchId}`), 200).body;
  await expect
    .poll(
      async () => {
        const { payouts } = await read();
        if (payouts[0].reason !== null) clock.advance(stepSeconds);
        return states.includes(payouts[0].state);
      },
      { timeout: 60_000, interval: 250 },
    )
    .toBe(true);
  return read();
}

const deliver = ({ body, headers }: SimulatedWebhook) =>
  anonymous.send("POST", "/webhooks/stripe", { body, headers: { ...headers } });

describe("a payout by Stripe", () => {
  test("is paid once, out of clearing, with the transfer's id", async () => {
    const creator = await stripeCreator();
    const cash = await accountBalance(server, "cash");
    const { batchId, payoutId } = await payout(creator);
    const { payouts } = await untilPayouts(platform, batchId, "paid");
    const [transfer] = transfersOf(payoutId);
    expect(payouts).toMatchObject([{ external_id: transfer?.id, amount_micros: "20000000" }]);
    expect(await accountBalance(server, "cash")).toBe(cash - 20_000_000n);
    expect(await accountBalance(server, "clearing", { owner: "stripe" })).toBe(0n);
    expect(await balanceOf(creator.caller, creator.creatorId)).toMatchObject({ paid_micros: "20000000" });
  });

  test.each<[string, readonly Mishap[]]>([
    ["whose answer is lost", ["lose"]],
    ["whose connection breaks before", ["break"]],
    ["that meets a limit", ["rate-limit", "lock-timeout"]],
    ["that never gets an answer", ["never"]],
  ])("%s is paid once in the end", { timeout: 90_000 }, async (_name, mishaps) => {
    const { batchId, payoutId } = await payout(await stripeCreator(), ...mishaps);
    await driveUntil(batchId, 20, "paid");
    expect(transfersOf(payoutId)).toHaveLength(1);
  });

  test("whose answer is lost for longer than Stripe remembers the request is found, and not paid again", async () => {
    const { batchId, payoutId } = await payout(await stripeCreator(), "lose");
    await expect.poll(() => transfersOf(payoutId).length, { timeout: 30_000 }).toBe(1);
    stripe.pruneKeys();
    await driveUntil(batchId, 2 * DAY, "paid");
    expect(transfersOf(payoutId)).toHaveLength(1);
  });

  test(
    "that Stripe answers with a fault each time is held, looked for, and returned when it is not there",
    { timeout: 90_000 },
    async () => {
      const creator = await stripeCreator();
      const { batchId, payoutId } = await payout(creator, "server-error");
      const { payouts } = await driveUntil(batchId, 4 * 3_600, "failed");
      expect(payouts[0].reason).toContain("was not sent");
      expect(transfersOf(payoutId)).toEqual([]);
      expect(await balanceOf(creator.caller, creator.creatorId)).toMatchObject({ available_micros: "20000000" });
    },
  );

  test("is not promised to an account that Stripe does not know, and is while Stripe cannot be asked", async () => {
    const creator = await enrolCreator(platform);
    const put = (stripe_account: string) =>
      putDetails(creator.caller, creator.creatorId, { adapter: "stripe", currency: "EUR", stripe_account });
    const refused = await put("acct_1NobodyKnowsIt");
    expect(refused.status).toBe(422);
    expect(refused.body).toMatchObject({
      code: "input_invalid",
      errors: [{ at: "body.stripe_account", detail: expect.stringContaining("does not have access to account") }],
    });
    expect((await put("acct_1")).status).toBe(422);
    const { ctx } = server;
    const silent = new URL("http://127.0.0.1:9");
    const settings = { secretKey: stripe.secretKey, webhookSecret: undefined, api: silent };
    const away = stripeAdapterOf(ctx, settings);
    expect(await away.check({ adapter: "stripe", stripe_account: "acct_1NobodyKnowsIt" })).toEqual({
      ok: true,
      value: true,
    });
  });

  test("to an account that is none any more comes back with the reason, and the next one is another", async () => {
    const creator = await stripeCreator({ isStillKnown: false });
    const { batchId } = await payout(creator);
    await untilPayouts(platform, batchId, "failed");
    const { body } = expectStatus(await creator.caller.get(`/api/v1/creators/${creator.creatorId}/payouts`), 200);
    expect(body.payouts).toMatchObject([{ state: "failed", reason: expect.stringContaining("No such destination") }]);
    expect(await balanceOf(creator.caller, creator.creatorId)).toMatchObject({
      available_micros: "20000000",
      in_payout_micros: "0",
    });
    stripe.addAccount("acct_1RightAccount");
    const details = { adapter: "stripe", currency: "EUR", stripe_account: "acct_1RightAccount" };
    expectStatus(await putDetails(creator.caller, creator.creatorId, details), 200);
    const second = await payout(creator);
    await untilPayouts(platform, second.batchId, "paid");
    expect(transfersOf(second.payoutId)).toMatchObject([{ destination: "acct_1RightAccount" }]);
  });
});

describe("Stripe's webhooks", () => {
  const now = () => ({ atMs: clock.nowMs() });

  test("settle a payout whose answer comes late, and the late answer changes nothing", async () => {
    const creator = await stripeCreator();
    const { batchId, payoutId } = await payout(creator, "lose");
    await expect.poll(() => transfersOf(payoutId).length, { timeout: 30_000 }).toBe(1);
    const [transfer] = transfersOf(payoutId);
    expectStatus(await deliver(stripe.webhook("transfer.created", transfer?.id ?? "", now())), 200);
    await untilPayouts(platform, batchId, "paid");
    clock.advance(600);
    const count = stripe.countOf("POST");
    await untilPayouts(platform, (await payout(await stripeCreator())).batchId, "paid");
    expect(stripe.countOf("POST")).toBe(count + 1);
    expect(await accountBalance(server, "clearing", { owner: "stripe" })).toBe(0n);
  });

  test("count once, in any order: what comes back only grows", async () => {
    const creator = await stripeCreator();
    const { batchId, payoutId } = await payout(creator);
    await untilPayouts(platform, batchId, "paid");
    const id = transfersOf(payoutId)[0]?.id ?? "";
    const created = stripe.webhook("transfer.created", id, now());
    stripe.reverse(id, 500);
    const partial = stripe.webhook("transfer.reversed", id, now());
    stripe.reverse(id, 1_500);
    const whole = stripe.webhook("transfer.reversed", id, now());
    for (const webhook of [partial, partial, whole, created, partial, whole]) expectStatus(await deliver(webhook), 200);
    const { payouts } = await untilPayouts(platform, batchId, "returned");
    expect(payouts).toMatchObject([{ returned_micros: "20000000", reason: "reversed at Stripe" }]);
    expect(await balanceOf(creator.caller, creator.creatorId)).toMatchObject({
      available_micros: "20000000",
      paid_micros: "0",
    });
    const statement = expectStatus(
      await creator.caller.get(
        `/api/v1/creators/${creator.creatorId}/statements/${new Date(clock.nowMs()).toISOString().slice(0, 7)}`,
      ),
      200,
    ).body;
    expect(statement.currencies[0].payouts.map((row: { amount_micros: string }) => row.amount_micros)).toEqual([
      "-20000000",
      "5000000",
      "15000000",
    ]);
  });

  test("are believed of a payout that was given up: its creator does not keep the money twice", async () => {
    const creator = await stripeCreator({ isStillKnown: false });
    const { batchId, payoutId } = await payout(creator);
    await untilPayouts(platform, batchId, "failed");
    const other = await stripeCreator();
    const second = await payout(other);
    await untilPayouts(platform, second.batchId, "paid");
    const webhook = stripe.webhook("transfer.created", transfersOf(second.payoutId)[0]?.id ?? "", now());
    const late = JSON.parse(webhook.body);
    late.data.object = { ...late.data.object, id: "tr_late", transfer_group: payoutId };
    const cash = await accountBalance(server, "cash");
    expectStatus(await deliver(stripe.sign(late, now())), 200);
    await untilPayouts(platform, batchId, "paid");
    expect(await balanceOf(creator.caller, creator.creatorId)).toMatchObject({
      available_micros: "0",
      paid_micros: "20000000",
    });
    expect(await accountBalance(server, "cash")).toBe(cash - 20_000_000n);
  });

  test("are refused unsigned, signed by another, or signed too long ago; of other things they are taken and ignored", async () => {
    const creator = await stripeCreator();
    const { batchId, payoutId } = await payout(creator);
    await untilPayouts(platform, batchId, "paid");
    const id = transfersOf(payoutId)[0]?.id ?? "";
    const { body, headers } = stripe.webhook("transfer.reversed", id, now());
    const answers = [
      await deliver({ body, headers: { "content-type": "application/json" } }),
      await deliver(stripe.webhook("transfer.reversed", id, { ...now(), secret: "whsec_other" })),
      await deliver(stripe.webhook("transfer.reversed", id, { atMs: clock.nowMs() - 301_000 })),
      await deliver({ body: body.replace('"amount_reversed":0', '"amount_reversed":2000'), headers }),
    ];
    expect(answers.map((answer) => answer.body.code)).toEqual([
      "webhook_unsigned",
      "webhook_signature_invalid",
      "webhook_signature_invalid",
      "webhook_signature_invalid",
    ]);
    const other = stripe.sign({ id: "evt_other", object: "event", type: "charge.failed", data: { object: {} } }, now());
    expect((await deliver(other)).body).toEqual({ received: true, is_new: true });
    expect((await deliver(other)).body).toEqual({ received: true, is_new: false });
    await untilPayouts(platform, batchId, "paid");
  });
});
