import { afterAll, describe, expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  offerDataset,
  publishDataset,
  registerMarketplace,
  registerWork,
} from "../../../test/fixtures/actors.ts";
import type { Caller } from "../../../test/fixtures/caller.ts";
import { checkPlatform } from "../../../test/fixtures/check-platform.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import {
  type Learned,
  PROMISING,
  learnedFrom,
  licenseModel,
  reportUse,
  trainOn,
} from "../../../test/fixtures/remediations.ts";
import { createClient } from "../../../test/fixtures/sdk.ts";
import { startSink } from "../../../test/fixtures/webhook-sink.ts";
import { sweepRemediations } from "./sweep-cases.ts";

const sink = await startSink();
const platform = await startPlatform({ allowedHosts: [sink.host] });
const { ctx } = platform.server;
const CASES = "/api/v1/remediations";

async function revoke({ creator, jti }: Learned) {
  return expectStatus(await creator.caller.post(`/api/v1/consents/${jti}/revoke`), 200).body;
}

/** A case between a creator and a marketplace, just opened. */
async function opened(): Promise<Learned & { readonly caseId: string; readonly path: string; readonly mkt: Caller }> {
  const learned = await learnedFrom(platform);
  const caseId: string = (await revoke(learned)).cannot_be_undone.remediation_ids[0];
  return { ...learned, caseId, path: `${CASES}/${caseId}`, mkt: await learned.marketplace.call() };
}

const OFFER = { amount_micros: "25000000", currency: "USD", text: "We are sorry." };

async function offer(mkt: Caller, path: string, members: object = {}): Promise<string> {
  return expectStatus(await mkt.post(`${path}/offers`, { ...OFFER, ...members }), 201).body.offer_id;
}

async function balances(caller: Caller): Promise<Record<string, string>> {
  const { accounts } = expectStatus(await caller.get("/api/v1/ledger/accounts"), 200).body;
  return Object.fromEntries(
    accounts.map(({ kind, balance_micros }: { kind: string; balance_micros: string }) => [kind, balance_micros]),
  );
}

async function eventTypes(caseId: string): Promise<readonly string[]> {
  const rows = await ctx.db.selectFrom("event").select("type").where("aggregate", "=", caseId).orderBy("id").execute();
  return rows.map((row) => row.type);
}

describe("a remediation", () => {
  afterAll(() => checkPlatform({ ...platform, now: () => Math.floor(platform.clock.nowMs() / 1_000) }));

  test("opens with the revocation for what a model has learned already, where the terms promise it", async () => {
    const { caseId, creator, jti, dataset, marketplace, trained, path, mkt } = await opened();
    for (const caller of [creator.caller, platform.operator])
      expect((await caller.get(path)).body.creator_id).toBe(creator.creatorId);
    expect((await mkt.get(path)).text).not.toContain(creator.creatorId);
    for (const caller of [creator.caller, platform.operator, mkt])
      expect(await caller.get(path)).toMatchObject({
        status: 200,
        body: {
          case_id: caseId,
          state: "open",
          marketplace_id: marketplace.marketplaceId,
          dataset_id: dataset.dataset_id,
          license_id: trained.license_id,
          model_fingerprint: trained.fingerprint,
          currency: "USD",
          receipts: "1",
          overdue: false,
          taken_back: [{ kind: "consent", id: jti }],
          offers: [],
          history: [{ type: "remediation.opened" }],
        },
      });
  });

  test("opens for a use that is reported after the revocation, once, and not for what its user did without", async () => {
    const [first, second] = [await enrolCreator(platform), await enrolCreator(platform)];
    const works = [await registerWork(platform, first.creatorId), await registerWork(platform, second.creatorId)];
    const given = [
      await giveConsent(first, { license: PROMISING }),
      await giveConsent(second, { license: PROMISING }),
    ] as const;
    const dataset = await publishDataset(platform, works, { license: PROMISING });
    const marketplace = await registerMarketplace(platform);
    await offerDataset(platform, dataset.dataset_id, marketplace);
    const known = await trainOn(platform, marketplace, dataset);
    const whole = await licenseModel(platform, marketplace, dataset);
    const rest = await licenseModel(platform, marketplace, dataset);
    const now = (): number => Math.floor(platform.clock.nowMs() / 1_000);
    const usedAt: number[] = [];
    for (const [index, { caller }] of [first, second].entries()) {
      platform.clock.advance(10);
      usedAt.push(now());
      platform.clock.advance(10);
      const { body } = await caller.post(`/api/v1/consents/${given[index]?.jti}/revoke`);
      expect(body.cannot_be_undone).toMatchObject({ models_count: 1, remediations_count: 1 });
    }
    // Nobody knew of these models: one was trained with all works, one after the first was gone.
    await reportUse(platform, marketplace, { dataset, model: whole, usedAt: usedAt[0] ?? 0 });
    await reportUse(platform, marketplace, { dataset, model: rest, usedAt: usedAt[1] ?? 0 });
    const modelsOf = async ({ caller }: { readonly caller: Caller }): Promise<readonly string[]> =>
      (await caller.get(CASES)).body.remediations
        .map((row: { readonly model_fingerprint: string }) => row.model_fingerprint)
        .sort();
    const fingerprints = (...models: readonly { readonly fingerprint: string }[]): readonly string[] =>
      models.map((model) => model.fingerprint).sort();
    await expect.poll(() => modelsOf(second), { timeout: 30_000 }).toEqual(fingerprints(known, whole, rest));
    await expect.poll(() => modelsOf(first), { timeout: 30_000 }).toEqual(fingerprints(known, whole));
    const [late] = (await first.caller.get(CASES)).body.remediations.filter(
      (row: { readonly model_fingerprint: string }) => row.model_fingerprint === whole.fingerprint,
    );
    expect(await first.caller.get(`${CASES}/${late.case_id}`)).toMatchObject({
      body: { state: "open", receipts: "1", taken_back: [{ kind: "consent", id: given[0].jti }] },
    });
    // Whoever had a case about a model has no other one, also when that came to an end.
    expectStatus(await first.caller.post(`${CASES}/${late.case_id}/close`, { reason: "settled" }), 200);
    await reportUse(platform, marketplace, { dataset, model: whole, usedAt: (usedAt[0] ?? 0) + 1 });
    const isWaiting = async () =>
      (await ctx.db.selectFrom("unhandled_event").selectAll().where("queue", "=", "open-remediations").execute())
        .length;
    await expect.poll(isWaiting, { timeout: 30_000 }).toBe(0);
    expect(await modelsOf(first)).toEqual(fingerprints(known, whole));
  });

  test("does not open under terms that promise none, or when nothing was trained", async () => {
    const plain = await learnedFrom(platform, { license: "paid_training:1.0" });
    expect((await revoke(plain)).cannot_be_undone).toMatchObject({ models_count: 1, remediation_ids: [] });
    const creator = await enrolCreator(platform);
    await registerWork(platform, creator.creatorId);
    const { jti } = await giveConsent(creator, { license: PROMISING });
    const { body } = await creator.caller.post(`/api/v1/consents/${jti}/revoke`);
    expect(body.cannot_be_undone).toMatchObject({ models_count: 0, remediations_count: 0 });
    for (const { caller } of [plain.creator, creator])
      expect((await caller.get(CASES)).body).toEqual({ remediations: [], next: null });
  });

  test("opens once, however often it is taken back", async () => {
    const learned = await learnedFrom(platform);
    const [first, second] = await Promise.all([revoke(learned), revoke(learned)]);
    const third = await revoke(learned);
    const counts = [first, second, third].map((body) => body.cannot_be_undone.remediations_count);
    expect(counts.sort()).toEqual([0, 0, 1]);
    expect(third.cannot_be_undone.models).toHaveLength(1);
    expect((await learned.creator.caller.get(CASES)).body.remediations).toHaveLength(1);
  });

  test("is joined by what else is taken back while it is under way", async () => {
    const creator = await enrolCreator(platform);
    const works = [await registerWork(platform, creator.creatorId), await registerWork(platform, creator.creatorId)];
    for (const work of works) await giveConsent(creator, { subject: `content:${work}`, license: PROMISING });
    const dataset = await publishDataset(platform, works, { license: PROMISING });
    const marketplace = await registerMarketplace(platform);
    await offerDataset(platform, dataset.dataset_id, marketplace);
    await trainOn(platform, marketplace, dataset);
    const ids = [];
    for (const work of works) {
      const { body } = await creator.caller.post(`/api/v1/creators/${creator.creatorId}/revocations`, {
        content_id: work,
      });
      ids.push(body.cannot_be_undone.remediation_ids[0]);
    }
    expect(new Set(ids).size).toBe(1);
    const { taken_back } = (await creator.caller.get(`${CASES}/${ids[0]}`)).body;
    expect(taken_back.map(({ kind }: { kind: string }) => kind).sort()).toEqual(["consent", "consent", "work", "work"]);
    expect(await eventTypes(ids[0])).toEqual(["remediation.opened", "remediation.extended"]);
  });

  test("opens for every model, and the cases come page by page", async () => {
    const learned = await learnedFrom(platform);
    for (let at = 0; at < 4; at += 1) await trainOn(platform, learned.marketplace, learned.dataset);
    const { stops_now, cannot_be_undone } = await revoke(learned);
    expect(stops_now).toMatchObject({ datasets: [learned.dataset.dataset_id], licenses_count: 5 });
    expect(cannot_be_undone).toMatchObject({ models_count: 5, remediations_count: 5 });
    const page = (await learned.creator.caller.get(`${CASES}?limit=3`)).body;
    const rest = (await learned.creator.caller.get(`${CASES}?limit=3&after=${page.next}`)).body;
    expect([page.remediations.length, rest.remediations.length, rest.next]).toEqual([3, 2, null]);
  });

  test("ends in a compensation that both sides find in the ledger", async () => {
    const { path, mkt, creator, caseId } = await opened();
    const before = await balances(mkt);
    expectStatus(await mkt.post(`${path}/messages`, { text: "What would be fair?" }), 201);
    expectStatus(await creator.caller.post(`${path}/messages`, { text: "25 dollars." }), 201);
    for (const caller of [mkt, creator.caller])
      expect((await caller.get(`${path}/messages`)).body).toMatchObject({
        messages: [
          { side: "marketplace", text: "What would be fair?" },
          { side: "creator", text: "25 dollars." },
        ],
        next: null,
      });
    const offerId = await offer(mkt, path);
    const accepted = expectStatus(await creator.caller.post(`${path}/offers/${offerId}/accept`), 200).body;
    for (const target of [path, `${path}/messages`, `/api/v1/ledger/transactions/${accepted.transaction_id}`])
      expect((await mkt.get(target)).text).not.toContain(creator.creatorId);
    expect(accepted).toMatchObject({ state: "accepted", transaction_id: expect.stringMatching(/^ltx_/) });
    expect(await balances(creator.caller)).toEqual({ creator: "-25000000" });
    expect(BigInt((await balances(mkt))["marketplace"] ?? 0) - BigInt(before["marketplace"] ?? 0)).toBe(25_000_000n);
    expect((await creator.caller.get(`/api/v1/ledger/transactions/${accepted.transaction_id}`)).body).toMatchObject({
      kind: "compensation",
      reference: caseId,
    });
    expect(await creator.caller.post(`${path}/close`, { reason: "settled" })).toMatchObject({
      status: 200,
      body: { state: "closed", reason: "settled" },
    });
    expect(await eventTypes(caseId)).toEqual([
      "remediation.opened",
      "remediation.messaged",
      "remediation.messaged",
      "remediation.offered",
      "remediation.compensated",
      "remediation.closed",
    ]);
  });

  test("is compensated once, however often it is accepted", async () => {
    const { path, mkt, creator } = await opened();
    const offerId = await offer(mkt, path);
    const accept = (caller: Caller) => caller.post(`${path}/offers/${offerId}/accept`);
    const answers = await Promise.all([accept(creator.caller), accept(creator.caller), accept(creator.caller)]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(new Set(answers.map(({ body }) => body.transaction_id)).size).toBe(1);
    expect(await balances(creator.caller)).toEqual({ creator: "-25000000" });
    expect(await mkt.post(`${path}/offers`, OFFER)).toMatchObject({
      status: 409,
      body: { code: "remediation_settled" },
    });
  });

  test("is open again once an offer is declined, withdrawn or replaced, and only the one that stands can be accepted", async () => {
    const { path, mkt, creator } = await opened();
    const declined = await offer(mkt, path);
    expect(await creator.caller.post(`${path}/offers/${declined}/decline`)).toMatchObject({ body: { state: "open" } });
    const replaced = await offer(mkt, path);
    const withdrawn = await offer(mkt, path, { amount_micros: "30000000" });
    expect(await mkt.post(`${path}/offers/${withdrawn}/withdraw`)).toMatchObject({ body: { state: "open" } });
    for (const offerId of [declined, replaced, withdrawn])
      for (const step of ["accept", "decline"])
        expect(await creator.caller.post(`${path}/offers/${offerId}/${step}`)).toMatchObject({
          status: 409,
          body: { code: "remediation_no_offer" },
        });
    expect((await creator.caller.post(`${path}/offers/rof_other/accept`)).status).toBe(404);
    expect((await creator.caller.get(path)).body.offers.map(({ state }: { state: string }) => state)).toEqual([
      "declined",
      "withdrawn",
      "withdrawn",
    ]);
    expect(await balances(creator.caller)).toEqual({});
  });

  test("takes nothing more once it is over", async () => {
    const { path, mkt, creator } = await opened();
    const offerId = await offer(mkt, path);
    expect(await creator.caller.post(`${path}/close`, { reason: "I let it be" })).toMatchObject({
      body: { state: "withdrawn", ended_by: `creator:${creator.creatorId}` },
    });
    const attempts = [
      creator.caller.post(`${path}/offers/${offerId}/accept`),
      creator.caller.post(`${path}/offers/${offerId}/decline`),
      creator.caller.post(`${path}/close`, { reason: "again" }),
      creator.caller.post(`${path}/messages`, { text: "one more" }),
      mkt.post(`${path}/offers`, OFFER),
      mkt.post(`${path}/offers/${offerId}/withdraw`),
    ];
    for (const attempt of attempts)
      expect(await attempt).toMatchObject({ status: 409, body: { code: "remediation_settled" } });
    expect(await balances(creator.caller)).toEqual({});
  });
});

describe("an offer", () => {
  test.each([
    ["in another currency", { currency: "EUR" }, "currency_wrong"],
    ["of a negative amount", { amount_micros: "-1" }, "input_invalid"],
    ["of nothing", { amount_micros: "0" }, "input_invalid"],
    ["of a fraction", { amount_micros: "1.5" }, "input_invalid"],
    ["beyond all reason", { amount_micros: "1000000000000000001" }, "input_invalid"],
    ["as a number", { amount_micros: 5 }, "input_invalid"],
    ["without a word", { text: " " }, "input_invalid"],
    ["with a book", { text: "a".repeat(4_001) }, "input_invalid"],
    ["with more than an offer has", { accepted: true }, "input_invalid"],
  ])("%s is refused", async (_name, members, code) => {
    const { path, mkt } = await opened();
    expect(await mkt.post(`${path}/offers`, { ...OFFER, ...members })).toMatchObject({ status: 422, body: { code } });
    expect((await mkt.get(path)).body).toMatchObject({ state: "open", offers: [] });
  });

  test("ends by itself when its time is over", async () => {
    const { path, mkt, creator, caseId } = await opened();
    const offerId = await offer(mkt, path, { valid_days: 1 });
    await ctx.db.updateTable("remediation_offer").set({ expires_at: 1 }).where("offer_id", "=", offerId).execute();
    expect(await creator.caller.post(`${path}/offers/${offerId}/accept`)).toMatchObject({
      body: { code: "remediation_no_offer" },
    });
    await sweepRemediations(ctx);
    expect((await mkt.get(path)).body).toMatchObject({ state: "open", offers: [{ state: "expired" }] });
    expect(await eventTypes(caseId)).toContain("remediation.offer-ended");
  });
});

describe("nobody", () => {
  test("reads or changes a case of others, and no side does what is the other's", async () => {
    const { path, mkt, creator, caseId } = await opened();
    const offerId = await offer(mkt, path);
    const [stranger, rival] = [
      (await enrolCreator(platform)).caller,
      await (await registerMarketplace(platform)).call(),
    ];
    const steps: readonly (readonly [Caller, "get" | "post", string, object?])[] = [
      [stranger, "get", path],
      [rival, "get", path],
      [stranger, "get", `${path}/messages`],
      [rival, "get", `${path}/messages`],
      [stranger, "post", `${path}/messages`, { text: "hello" }],
      [rival, "post", `${path}/messages`, { text: "hello" }],
      [rival, "post", `${path}/offers`, OFFER],
      [rival, "post", `${path}/offers/${offerId}/withdraw`],
      [stranger, "post", `${path}/offers/${offerId}/accept`],
      [stranger, "post", `${path}/offers/${offerId}/decline`],
      [stranger, "post", `${path}/close`, { reason: "mine" }],
    ];
    for (const [caller, method, target, body] of steps)
      expect(await (method === "get" ? caller.get(target) : caller.post(target, body ?? {}))).toMatchObject({
        status: 403,
        body: { code: "not_yours" },
      });
    for (const caller of [stranger, rival]) expect((await caller.get(CASES)).body.remediations).toEqual([]);
    for (const caller of [stranger, rival, mkt])
      expect((await caller.get(`${CASES}?creator_id=${creator.creatorId}`)).body.code).toBe("not_yours");
    for (const attempt of [
      creator.caller.post(`${path}/offers`, OFFER),
      platform.operator.post(`${path}/offers`, OFFER),
      mkt.post(`${path}/offers/${offerId}/accept`),
      // What a loss is worth is the creator's to say, and nobody's for them.
      platform.operator.post(`${path}/offers/${offerId}/accept`),
      platform.operator.post(`${path}/offers/${offerId}/decline`),
      mkt.post(`${path}/close`, { reason: "enough" }),
    ])
      expect(await attempt).toMatchObject({ status: 403, body: { code: "forbidden" } });
    expect(await platform.operator.get(`${CASES}/rem_none`)).toMatchObject({ status: 404 });
    expect(await eventTypes(caseId)).toEqual(["remediation.opened", "remediation.offered"]);
  });
});

describe("a case that takes too long", () => {
  test("is flagged, said once, and found by who looks for it", async () => {
    const { path, creator, caseId } = await opened();
    await ctx.db.updateTable("remediation").set({ due_at: 1 }).where("case_id", "=", caseId).execute();
    expect((await creator.caller.get(path)).body.overdue).toBe(true);
    await sweepRemediations(ctx);
    await sweepRemediations(ctx);
    expect((await eventTypes(caseId)).filter((type) => type === "remediation.overdue")).toHaveLength(1);
    const { remediations } = (await platform.operator.get(`${CASES}?overdue=true`)).body;
    expect(remediations.map(({ case_id }: { case_id: string }) => case_id)).toEqual([caseId]);
  });
});

describe("the marketplace", () => {
  test("deals with its cases through the SDK", async () => {
    const { caseId, marketplace, creator } = await opened();
    const { clientId, clientSecret, scope } = marketplace;
    const client = createClient({ origin: platform.origin, clientId, clientSecret, scope });
    expect(await client.listRemediations({ state: "open" })).toMatchObject({
      ok: true,
      value: { entries: [{ case_id: caseId, state: "open", overdue: false }], next: null },
    });
    expect(await client.sendRemediationMessage(caseId, "Hello.")).toMatchObject({ ok: true });
    expectStatus(await creator.caller.post(`${CASES}/${caseId}/messages`, { text: "Well?" }), 201);
    expect(await client.listRemediationMessages(caseId)).toMatchObject({
      value: { entries: [{ side: "marketplace" }, { side: "creator", author: "creator", text: "Well?" }] },
    });
    expect(await client.offerRemediation(caseId, OFFER)).toMatchObject({ ok: true, value: { state: "standing" } });
    expect(await client.offerRemediation(caseId, { ...OFFER, currency: "EUR" })).toMatchObject({
      ok: false,
      refusal: { code: "currency_wrong" },
    });
  });

  test("hears of every step in its case, and of no text", async () => {
    const url = sink.url("/remediations");
    const learned = await learnedFrom(platform, { url });
    const caseId = (await revoke(learned)).cannot_be_undone.remediation_ids[0];
    const mkt = await learned.marketplace.call();
    await offer(mkt, `${CASES}/${caseId}`);
    const notices = () =>
      sink
        .received("/remediations")
        .map(({ body }) => JSON.parse(body))
        .filter((body) => body.case_id === caseId)
        .sort((a, b) => a.sequence - b.sequence);
    await expect.poll(() => notices().length, { timeout: 20_000 }).toBe(2);
    expect(notices()).toMatchObject([
      { change: "remediation_opened", step: "opened", state: "open", license_id: learned.trained.license_id },
      {
        change: "remediation_updated",
        step: "offered",
        state: "offered",
        model_fingerprint: learned.trained.fingerprint,
      },
    ]);
    expect(JSON.stringify(notices())).not.toContain("sorry");
  });
});
