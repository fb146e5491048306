import {
  type JsonObject,
  REFUSALS,
  canonicalize,
  formatInstant,
  generatePrivateJwk,
  publicJwkOf,
  signerOf,
  verifyCountersignature,
} from "@licet/protocol";
import { signReceipt } from "../../../test/fixtures/sdk.ts";
import { describe, expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  offerDataset,
  publishDataset,
  type RegisteredMarketplace,
  registerMarketplace,
  uniqueId,
} from "../../../test/fixtures/actors.ts";
import { parseObject, readKeys, registerWorks } from "../../../test/fixtures/datasets.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import {
  type PublishedDataset,
  licenseFor,
  postReceipt,
  receiptContent,
  signAnyReceipt,
} from "../../../test/fixtures/receipts.ts";

const platform = await startPlatform();
const db = platform.server.ctx.db;
const now = (): number => Math.floor(platform.clock.nowMs() / 1_000);
const fromNow = (seconds: number): string => formatInstant(now() + seconds);

async function publishedDataset(): Promise<PublishedDataset> {
  const creator = await enrolCreator(platform);
  const works = await registerWorks(platform, creator.creatorId, 2);
  await giveConsent(creator);
  return publishDataset(platform, works);
}

const published = await publishedDataset();
const marketplace = await registerMarketplace(platform);
await offerDataset(platform, published.dataset_id, marketplace);
const dataset = await licenseFor(platform, marketplace, published);
const caller = await marketplace.call();

const post = (receipt: object) => caller.post("/api/v1/usage-receipts", receipt);
const storedCount = async (): Promise<number> =>
  (await db.selectFrom("usage_receipt").select("receipt_id").execute()).length;

describe("a later version", () => {
  test("is under the license as long as it asks the same for the same, and needs one of its own otherwise", async () => {
    const creator = await enrolCreator(platform);
    const works = await registerWorks(platform, creator.creatorId, 3);
    await giveConsent(creator);
    const first = await publishDataset(platform, works.slice(0, 1));
    const marketplaceOfIts = await registerMarketplace(platform);
    await offerDataset(platform, first.dataset_id, marketplaceOfIts);
    const licensed = await licenseFor(platform, marketplaceOfIts, first);
    const next = (ids: readonly string[], members: JsonObject = {}) =>
      publishDataset(platform, ids, { dataset_id: first.dataset_id, ...members });
    const report = async (version: PublishedDataset) =>
      (await marketplaceOfIts.call()).post(
        "/api/v1/usage-receipts",
        await signAnyReceipt(
          receiptContent(platform, marketplaceOfIts, { ...licensed, ...version }),
          marketplaceOfIts.receiptSigner,
        ),
      );
    expectStatus(await report(await next(works.slice(0, 2))), 201);
    platform.clock.advance(1);
    expect(await report(await next(works, { pricing: { model_use: "per-token:0.0002" } }))).toMatchObject({
      status: 422,
      body: { code: "receipt_version_wrong" },
    });
  });
});

describe("a usage receipt", () => {
  test("is accepted and countersigned, so that the marketplace can prove it", async () => {
    const receipt = await signAnyReceipt(receiptContent(platform, marketplace, dataset), marketplace.receiptSigner);
    const answer = expectStatus(await post(receipt), 201);
    const accepted = parseObject(answer.text);
    const { countersignature, ...rest } = accepted;
    expect(rest).toEqual(receipt);
    expect(countersignature).toMatchObject({ alg: "EdDSA", accepted_at: expect.any(String) });
    const keys = await readKeys(platform);
    expect(await verifyCountersignature(accepted, keys)).toEqual({ ok: true, value: true });
    expect(await verifyCountersignature({ ...accepted, model_id: "model-2" }, keys)).toMatchObject({
      ok: false,
      refusal: { code: "signature_invalid" },
    });
    const event = await db
      .selectFrom("event")
      .select("type")
      .where("aggregate", "=", String(receipt["receipt_id"]))
      .execute();
    expect(event).toEqual([{ type: "receipt.accepted" }]);
  });

  test("of the sdk is accepted, with members that nobody here knows, which are kept and covered", async () => {
    const { iss, aud, model_id, license_id, dataset_id, dataset_version, dataset_fingerprint, model_fingerprint } =
      receiptContent(platform, marketplace, dataset);
    const content = {
      iss: String(iss),
      aud: String(aud),
      model_id: String(model_id),
      license_id: String(license_id),
      dataset_id: String(dataset_id),
      dataset_version: Number(dataset_version),
      dataset_fingerprint: String(dataset_fingerprint),
      model_fingerprint: String(model_fingerprint),
      usage: { unit: "tokens" as const, count: 3_600 },
    };
    expect(await post(await signReceipt(content, marketplace.receiptSigner, now))).toMatchObject({
      status: 201,
      body: { usage: { unit: "tokens", count: 3_600 } },
    });

    const extra = await signAnyReceipt(
      receiptContent(platform, marketplace, dataset, {
        cluster: { name: "north", nodes: [1, 2, 3] },
        note: "ünïcode \u2028",
      }),
      marketplace.receiptSigner,
    );
    expect(await post(extra)).toMatchObject({ status: 201, body: { cluster: { name: "north", nodes: [1, 2, 3] } } });
    expect(
      await post({ ...extra, cluster: { name: "south", nodes: [1, 2, 3] }, receipt_id: uniqueId("r_") }),
    ).toMatchObject({ status: 401, body: { code: "signature_invalid" } });
  });

  test("may count as much as a number holds, and nothing at all", async () => {
    for (const count of [0, Number.MAX_SAFE_INTEGER]) {
      expect(
        await postReceipt(platform, marketplace, dataset, { usage: { unit: "tokens", count }, tokens_used: count }),
      ).toMatchObject({ status: 201, body: { tokens_used: count } });
    }
    const tooMuch = canonicalize(
      await signAnyReceipt(receiptContent(platform, marketplace, dataset), marketplace.receiptSigner),
    ).replaceAll("1200", "9007199254740992");
    expect(await caller.post("/api/v1/usage-receipts", tooMuch)).toMatchObject({
      status: 400,
      body: { code: "body_malformed" },
    });
  });

  test("brings no proof of ours with it", async () => {
    const receipt = await signAnyReceipt(receiptContent(platform, marketplace, dataset), marketplace.receiptSigner);
    const answer = await post({
      ...receipt,
      log_proof: { index: 7 },
      signatures: [{ key_id: "k", alg: "EdDSA", sig: "s" }],
      countersignature: { forged: true },
    });
    expect(answer.status).toBe(201);
    expect(answer.body).not.toHaveProperty("log_proof");
    expect(answer.body).not.toHaveProperty("signatures");
    expect(answer.body.countersignature).not.toHaveProperty("forged");
    expect(await post(receipt)).toMatchObject({ status: 200, body: answer.body });
  });
});

describe("the same bytes again", () => {
  test("get the first answer, also in another order of members, and with our countersignature", async () => {
    const receipt = await signAnyReceipt(receiptContent(platform, marketplace, dataset), marketplace.receiptSigner);
    const first = expectStatus(await post(receipt), 201);
    const before = await storedCount();
    platform.clock.advance(2);
    expect(await post(receipt)).toMatchObject({ status: 200, body: first.body });
    expect(await post(Object.fromEntries(Object.entries(receipt).toReversed()))).toMatchObject({
      status: 200,
      body: first.body,
    });
    expect(await post(first.body)).toMatchObject({ status: 200, body: first.body });
    expect(await storedCount()).toBe(before);
  });

  test("twenty times at once are accepted once", async () => {
    const receipt = await signAnyReceipt(receiptContent(platform, marketplace, dataset), marketplace.receiptSigner);
    const answers = await Promise.all(Array.from({ length: 20 }, () => post(receipt)));
    expect(answers.map((answer) => answer.status).toSorted()).toEqual([...Array.from({ length: 19 }, () => 200), 201]);
    expect(new Set(answers.map((answer) => answer.text)).size).toBe(1);
  });

  test("with anything else in them are a conflict", async () => {
    const [receipt_id, nonce] = [uniqueId("r_"), uniqueId("nonce-0123456789-")];
    expectStatus(await postReceipt(platform, marketplace, dataset, { receipt_id, nonce }), 201);
    expect(await postReceipt(platform, marketplace, dataset, { receipt_id })).toMatchObject({
      status: 409,
      body: { code: "receipt_id_reused" },
    });
    expect(await postReceipt(platform, marketplace, dataset, { receipt_id, nonce, model_id: "model-2" })).toMatchObject(
      { status: 409, body: { code: "receipt_id_reused" } },
    );
    expect(await postReceipt(platform, marketplace, dataset, { nonce })).toMatchObject({
      status: 409,
      body: { code: "receipt_nonce_reused" },
    });
  });

  test("of many that share a nonce, at once, leave one", async () => {
    const nonce = uniqueId("nonce-0123456789-");
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => postReceipt(platform, marketplace, dataset, { nonce })),
    );
    expect(answers.map((answer) => answer.body.code ?? answer.status).toSorted()).toEqual([
      201,
      ...Array.from({ length: 9 }, () => "receipt_nonce_reused"),
    ]);
  });

  test("from another marketplace are its own: ids and nonces are not shared", async () => {
    const other = await registerMarketplace(platform);
    await offerDataset(platform, dataset.dataset_id, other);
    const members = { receipt_id: uniqueId("r_"), nonce: uniqueId("nonce-0123456789-") };
    expectStatus(await postReceipt(platform, marketplace, dataset, members), 201);
    expectStatus(await postReceipt(platform, other, dataset, members), 201);
  });
});

describe("a receipt is refused, and nothing is kept,", () => {
  const attempts: readonly [
    string,
    number,
    string,
    Record<string, unknown> | (() => Promise<Record<string, unknown>>),
  ][] = [
    ["with another dataset's fingerprint", 422, "receipt_fingerprint_wrong", { dataset_fingerprint: "00".repeat(32) }],
    ["for a version that does not exist", 422, "receipt_fingerprint_wrong", { dataset_version: 99 }],
    ["for a version of before its license", 422, "receipt_version_wrong", { dataset_version: 0 }],
    ["for a dataset that nobody has", 422, "receipt_dataset_wrong", { dataset_id: "ds-nothing" }],
    ["for another model", 422, "receipt_model_wrong", { model_id: "model-2" }],
    ["for another model of the same name", 422, "receipt_model_wrong", { model_fingerprint: "0f".repeat(32) }],
    [
      "in the name of another marketplace",
      403,
      "not_yours",
      async () => ({ iss: (await registerMarketplace(platform)).marketplaceId }),
    ],
    ["for another platform", 422, "receipt_invalid", { aud: "https://elsewhere.example" }],
    [
      "when its use lies in the future",
      422,
      "receipt_period_invalid",
      { period: { from: fromNow(0), to: fromNow(3_600) } },
    ],
    ["when it was licensed in the future", 422, "receipt_period_invalid", { licensed_at: fromNow(86_400) }],
    [
      "when its use was before publication",
      422,
      "receipt_period_invalid",
      { period: { from: fromNow(-86_400), to: fromNow(0) } },
    ],
    ["when it was licensed before publication", 422, "receipt_period_invalid", { licensed_at: "2001-01-01T00:00:00Z" }],
    [
      "when its period ends before it begins",
      422,
      "receipt_period_invalid",
      { period: { from: fromNow(10), to: fromNow(0) } },
    ],
    ["on a day that is none", 422, "receipt_invalid", { licensed_at: "2026-02-30T00:00:00Z" }],
    ["with a negative count", 422, "receipt_invalid", { usage: { unit: "tokens", count: -1 }, tokens_used: -1 }],
    ["in a unit of its own", 422, "receipt_invalid", { usage: { unit: "smiles", count: 1 }, tokens_used: undefined }],
    ["when tokens_used says something else", 422, "receipt_invalid", { tokens_used: 1_201 }],
    ["when tokens_used counts seconds", 422, "receipt_invalid", { usage: { unit: "seconds", count: 1_200 } }],
    ["with a nonce that is too short", 422, "receipt_invalid", { nonce: "short" }],
    ["with an id that climbs out", 422, "receipt_invalid", { receipt_id: "../r_1" }],
    ["of another type", 422, "receipt_invalid", { type: "manifest" }],
    ["without a license", 422, "receipt_invalid", { license_id: undefined }],
    ["for a license that nobody issued", 422, "receipt_license_unknown", { license_id: "lic_1" }],
    [
      "in another unit than its license's",
      422,
      "receipt_unit_wrong",
      { usage: { unit: "items", count: 1 }, tokens_used: undefined },
    ],
    ["in another currency than its license's", 422, "receipt_currency_wrong", { currency: "EUR" }],
    ["in a currency that is none", 422, "receipt_invalid", { currency: "euro" }],
    ["with no count", 422, "receipt_invalid", { usage: { unit: "tokens" } }],
    ["with a count in words", 422, "receipt_invalid", { usage: { unit: "tokens", count: "many" } }],
    ["without a model", 422, "receipt_invalid", { model_id: undefined }],
    ["without a fingerprint of the model", 422, "receipt_invalid", { model_fingerprint: "gpt" }],
    ["when it is a test", REFUSALS.test_document.status, "test_document", { test: true }],
  ];

  test.each(attempts)("%s", async (_what, status, code, members) => {
    const before = await storedCount();
    const content = receiptContent(
      platform,
      marketplace,
      dataset,
      typeof members === "function" ? await members() : members,
    );
    expect(await post(await signAnyReceipt(content, marketplace.receiptSigner))).toMatchObject({
      status,
      body: { code },
    });
    expect(await storedCount()).toBe(before);
  });

  test("for a dataset that exists and was never licensed, as for one that does not exist", async () => {
    const hidden = await publishedDataset();
    const answer = await postReceipt(platform, marketplace, dataset, { dataset_id: hidden.dataset_id });
    expect(answer).toMatchObject({ status: 422, body: { code: "receipt_dataset_wrong" } });
    const nothing = await postReceipt(platform, marketplace, dataset, { dataset_id: "ds-nothing" });
    expect(nothing.body.detail.replace("ds-nothing", hidden.dataset_id)).toBe(answer.body.detail);
  });

  test("under another marketplace's license", async () => {
    const other = await registerMarketplace(platform);
    await offerDataset(platform, dataset.dataset_id, other);
    const { license_id } = await licenseFor(platform, other, published);
    expect(await postReceipt(platform, marketplace, dataset, { license_id })).toMatchObject({
      status: 403,
      body: { code: "receipt_license_not_yours" },
    });
  });

  test("by a key that is not registered, or another marketplace's", async () => {
    const strange = await signerOf(await generatePrivateJwk("ES256"));
    const content = receiptContent(platform, marketplace, dataset);
    expect(await post(await signAnyReceipt(content, strange))).toMatchObject({
      status: 401,
      body: { code: "receipt_key_unknown" },
    });
    const { receiptSigner } = await registerMarketplace(platform);
    expect(await post(await signAnyReceipt(content, receiptSigner))).toMatchObject({
      status: 401,
      body: { code: "receipt_key_unknown" },
    });
    expect(
      await post(await signAnyReceipt({ ...content, key_id: marketplace.receiptSigner.kid }, strange)),
    ).toMatchObject({ status: 401, body: { code: "signature_invalid" } });
  });

  test("with a signature that is none", async () => {
    const receipt = await signAnyReceipt(receiptContent(platform, marketplace, dataset), marketplace.receiptSigner);
    for (const signature of [
      "",
      "AAAA",
      `${String(receipt["signature"])} `,
      String(receipt["signature"]).replace(/=+$/, ""),
      "!".repeat(88),
    ]) {
      expect(await post({ ...receipt, signature })).toMatchObject({
        status: 401,
        body: { code: "signature_invalid" },
      });
    }
    expect(await post({ ...receipt, signature: undefined })).toMatchObject({
      status: 422,
      body: { code: "receipt_invalid" },
    });
  });

  test("from anybody but a marketplace with the scope for it", async () => {
    const receipt = await signAnyReceipt(receiptContent(platform, marketplace, dataset), marketplace.receiptSigner);
    expect((await platform.operator.post("/api/v1/usage-receipts", receipt)).status).toBe(403);
    const reader = await registerMarketplace(platform, { scopes: ["receipts:read"] });
    expect((await (await reader.call()).post("/api/v1/usage-receipts", receipt)).status).toBe(403);
  });

  test("with a fraction of a token", async () => {
    const receipt = canonicalize(
      await signAnyReceipt(receiptContent(platform, marketplace, dataset), marketplace.receiptSigner),
    );
    expect(await caller.post("/api/v1/usage-receipts", receipt.replaceAll("1200", "1200.5"))).toMatchObject({
      status: 400,
      body: { code: "body_malformed" },
    });
  });

  test("with a member twice", async () => {
    const receipt = canonicalize(
      await signAnyReceipt(receiptContent(platform, marketplace, dataset), marketplace.receiptSigner),
    );
    expect(await caller.post("/api/v1/usage-receipts", receipt.replace("{", '{"model_id":"model-9",'))).toMatchObject({
      status: 400,
      body: { code: "body_malformed" },
    });
  });
});

describe("a receipt key", () => {
  test("of either kind is registered by its marketplace, once, and signs from then on", async () => {
    const jwk = await generatePrivateJwk("ES256");
    const register = (who: RegisteredMarketplace) =>
      who
        .call()
        .then((own) => own.post(`/api/v1/marketplaces/${who.marketplaceId}/receipt-keys`, { jwk: publicJwkOf(jwk) }));
    expect(await register(marketplace)).toMatchObject({ status: 201, body: { alg: "ES256" } });
    expect(await register(marketplace)).toMatchObject({ status: 409, body: { code: "key_exists" } });
    expect(
      await post(await signAnyReceipt(receiptContent(platform, marketplace, dataset), await signerOf(jwk))),
    ).toMatchObject({ status: 201 });
  });

  test("that is no longer in force signs nothing", async () => {
    const late = await registerMarketplace(platform);
    await offerDataset(platform, dataset.dataset_id, late);
    const lateCaller = await late.call();
    const receipt = await signAnyReceipt(
      receiptContent(platform, late, await licenseFor(platform, late, published)),
      late.receiptSigner,
    );
    await db
      .updateTable("receipt_key")
      .set({ not_after: now() - 1 })
      .where("marketplace_id", "=", late.marketplaceId)
      .execute();
    expect(await lateCaller.post("/api/v1/usage-receipts", receipt)).toMatchObject({
      status: 401,
      body: { code: "key_not_in_force" },
    });
  });
});
