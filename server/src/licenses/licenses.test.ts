import { type LicenseClaims, sha256Hex, verifyLicenseToken } from "@licet/protocol";
import { describe, expect, test } from "vitest";
import {
  type RegisteredMarketplace,
  enrolCreator,
  expectStatus,
  giveConsent,
  offerDataset,
  publishDataset,
  registerMarketplace,
  registerWork,
  uniqueId,
} from "../../../test/fixtures/actors.ts";
import { checkPlatform } from "../../../test/fixtures/check-platform.ts";
import { readKeys, registerWorks } from "../../../test/fixtures/datasets.ts";
import { acceptAgreement, licenseBody, licenseDataset, setPolicy } from "../../../test/fixtures/licenses.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { readStatusBit } from "../../../test/fixtures/status-bit.ts";
import { expireLicenses } from "./end-license.ts";

const platform = await startPlatform();
const { ctx } = platform.server;
const now = (): number => Math.floor(platform.clock.nowMs() / 1_000);
const DAY = 86_400;

/** A dataset of two texts that is offered to marketplaces. */
async function offered(
  marketplaces: readonly RegisteredMarketplace[],
  { scope = ["training", "commercial"], members = {} }: { scope?: string[]; members?: object } = {},
) {
  const creator = await enrolCreator(platform);
  const works = await registerWorks(platform, creator.creatorId, 2);
  const consent = await giveConsent(creator, { scope });
  const dataset = await publishDataset(platform, works, { scope: ["training"], ...members });
  for (const marketplace of marketplaces) await offerDataset(platform, dataset.dataset_id, marketplace);
  return { creator, works, consent, datasetId: String(dataset.dataset_id), version: dataset.version };
}

/** A marketplace that has accepted the agreement. */
async function party(): Promise<RegisteredMarketplace> {
  const marketplace = await registerMarketplace(platform);
  expectStatus(await acceptAgreement(platform, marketplace), 201);
  return marketplace;
}

async function ask(marketplace: RegisteredMarketplace, datasetId: string, members: Record<string, unknown> = {}) {
  return (await marketplace.call()).post(`/api/v1/datasets/${datasetId}/licenses`, licenseBody(members));
}

function ownModel(): Record<string, unknown> {
  const model_id = uniqueId("model-");
  return { model: { model_id, fingerprint: sha256Hex(model_id) } };
}

async function claimsOf(token: string, jkt?: string): Promise<LicenseClaims> {
  const keys = await readKeys(platform);
  const verified = await verifyLicenseToken(token, { keys, now: now(), ...(jkt === undefined ? {} : { jkt }) });
  if (!verified.ok) throw new Error(`${verified.refusal.code}: ${verified.refusal.detail}`);
  return verified.value.claims;
}

/** Has a license end in so many seconds: access tokens follow the world's clock, so a test cannot let a day pass. */
async function letEnd(licenseId: string, seconds: number): Promise<void> {
  await ctx.db
    .updateTable("license")
    .set({ expires_at: now() + seconds })
    .where("license_id", "=", licenseId)
    .execute();
}

describe("a license", () => {
  test("is issued at once where the policy is automatic, with a token that anybody can verify", async () => {
    const marketplace = await party();
    const { datasetId, version } = await offered([marketplace]);
    expectStatus(await setPolicy(platform, datasetId), 200);
    const answer = expectStatus(await ask(marketplace, datasetId, ownModel()), 201);
    expect(answer.headers.get("cache-control")).toBe("no-store");
    expect(answer.body).toMatchObject({
      license_id: expect.stringMatching(/^lic_/),
      dataset_id: datasetId,
      dataset_version: version,
      marketplace_id: marketplace.marketplaceId,
      scope: ["training"],
      price: "per-token:0.0001",
      currency: "USD",
      agreement: "marketplace:1.0",
      state: "active",
      renewable: true,
      jkt: marketplace.receiptSigner.kid,
      units_reported: "0",
      charged_micros: "0",
      audience_complete: true,
    });
    const claims = await claimsOf(answer.body.token, marketplace.receiptSigner.kid);
    expect(claims).toMatchObject({
      iss: platform.origin,
      sub: marketplace.marketplaceId,
      aud: ["https://works.example"],
      jti: answer.body.license_id,
      dataset_id: datasetId,
      model: answer.body.model,
      exp: claims.iat + 30 * DAY,
      status: answer.body.status,
    });
    const keys = await readKeys(platform);
    expect(await verifyLicenseToken(answer.body.token, { keys, now: now() })).toMatchObject({
      refusal: { code: "license_key_mismatch" },
    });
    expect(await readStatusBit(platform, answer.body)).toBe(0);
  });

  test("as a plain bearer token lives 15 minutes, and never longer than the license", async () => {
    const marketplace = await party();
    const { datasetId } = await offered([marketplace]);
    expectStatus(await setPolicy(platform, datasetId), 200);
    const model = ownModel();
    const { body } = expectStatus(await ask(marketplace, datasetId, { ...model, jkt: null, term_days: 1 }), 201);
    expect(body).not.toHaveProperty("jkt");
    const claims = await claimsOf(body.token);
    expect(claims.exp - claims.iat).toBe(900);
    await letEnd(body.license_id, 60);
    const path = `/api/v1/licenses/${body.license_id}/tokens`;
    const fresh = expectStatus(await (await marketplace.call()).post(path), 201).body;
    const short = await claimsOf(fresh.token);
    expect(short.exp - short.iat).toBeLessThanOrEqual(60);
    const bound = expectStatus(
      await (await marketplace.call()).post(path, { jkt: marketplace.receiptSigner.kid }),
      201,
    ).body;
    expect((await claimsOf(bound.token, marketplace.receiptSigner.kid)).cnf).toEqual({
      jkt: marketplace.receiptSigner.kid,
    });
  });

  test("asked for again is the same one with a fresh token, also five times at once, whatever the order of its scope", async () => {
    const marketplace = await party();
    const { datasetId } = await offered([marketplace], { members: { scope: ["training", "commercial"] } });
    expectStatus(await setPolicy(platform, datasetId), 200);
    const model = ownModel();
    const answers = await Promise.all(
      [0, 1, 2, 3, 4].map((at) =>
        ask(marketplace, datasetId, {
          ...model,
          scope: at % 2 === 0 ? ["training", "commercial"] : ["commercial", "training"],
        }),
      ),
    );
    expect(answers.map((answer) => answer.status).toSorted()).toEqual([200, 200, 200, 200, 201]);
    expect(new Set(answers.map((answer) => answer.body.license_id)).size).toBe(1);
    const other = expectStatus(await ask(marketplace, datasetId, { ...model, scope: ["training"] }), 201);
    expect(other.body.license_id).not.toBe(answers[0]?.body.license_id);
  });

  test("names the origins that are asked for, and no others", async () => {
    const marketplace = await party();
    const creator = await enrolCreator(platform);
    const works = [];
    for (let at = 0; at < 66; at += 1)
      works.push(
        await registerWork(platform, creator.creatorId, { canonical_url: `https://h${at}.example/${uniqueId("w")}` }),
      );
    await giveConsent(creator);
    const { dataset_id } = await publishDataset(platform, works);
    await offerDataset(platform, dataset_id, marketplace);
    const license = await licenseDataset(platform, dataset_id, marketplace, ownModel());
    expect(license).toMatchObject({ audience_complete: false });
    expect(license.audience).toHaveLength(64);
    const path = `/api/v1/licenses/${license.license_id}/tokens`;
    const caller = await marketplace.call();
    const chosen = { audience: ["https://h65.example", "https://h0.example"] };
    expect(await caller.post(path, chosen)).toMatchObject({
      status: 201,
      body: { ...chosen, audience_complete: false },
    });
    expect(await caller.post(path, { audience: ["https://elsewhere.example"] })).toMatchObject({
      status: 422,
      body: { code: "input_invalid" },
    });
  });

  test("is seen by its marketplace and the platform, and by no other marketplace", async () => {
    const [marketplace, other] = [await party(), await party()];
    const { datasetId } = await offered([marketplace, other]);
    const model = ownModel();
    const { license_id } = await licenseDataset(platform, datasetId, marketplace, model);
    const [own, theirs] = [await marketplace.call(), await other.call()];
    expect(await own.get(`/api/v1/licenses/${license_id}`)).toMatchObject({ status: 200, body: { license_id } });
    expect((await own.get(`/api/v1/licenses/${license_id}`)).body).not.toHaveProperty("token");
    for (const [method, path] of [
      ["GET", ""],
      ["POST", "/tokens"],
      ["POST", "/renew"],
    ] as const)
      expect(await theirs.send(method, `/api/v1/licenses/${license_id}${path}`, {})).toMatchObject({
        status: 403,
        body: { code: "not_yours" },
      });
    expect(await theirs.post(`/api/v1/licenses/${license_id}/revoke`, { reason: "mine now" })).toMatchObject({
      status: 403,
      body: { code: "not_yours" },
    });
    expect((await theirs.get(`/api/v1/licenses?dataset_id=${datasetId}`)).body.licenses).toEqual([]);
    expect((await theirs.get(`/api/v1/licenses?marketplace_id=${marketplace.marketplaceId}`)).status).toBe(403);
    const listed = await platform.operator.get(
      `/api/v1/licenses?dataset_id=${datasetId}&model_fingerprint=${sha256Hex(String(modelIdOf(model)))}&state=active`,
    );
    expect(listed.body.licenses).toMatchObject([{ license_id }]);
    expect((await own.get("/api/v1/licenses/lic_nothing")).status).toBe(404);
  });
});

describe("a license is refused", () => {
  test("before the agreement is accepted, and again when there is a newer one", async () => {
    const marketplace = await registerMarketplace(platform);
    const { datasetId } = await offered([marketplace]);
    expectStatus(
      await platform.operator.post("/api/v1/agreements", { agreement: "lab:1.0", title: "Lab", text: "1. Lab." }),
      201,
    );
    expectStatus(await setPolicy(platform, datasetId, { mode: "automatic", agreement: "lab" }), 200);
    const refused = { status: 403, body: { code: "agreement_not_accepted" } };
    expect(await ask(marketplace, datasetId, ownModel())).toMatchObject(refused);
    expectStatus(await acceptAgreement(platform, marketplace), 201);
    expect(await ask(marketplace, datasetId, ownModel())).toMatchObject(refused);
    expectStatus(await acceptAgreement(platform, marketplace, "lab:1.0"), 201);
    const month = { ...ownModel(), term_days: 30 };
    const { license_id } = expectStatus(await ask(marketplace, datasetId, month), 201).body;
    expectStatus(
      await platform.operator.post("/api/v1/agreements", { agreement: "lab:1.1", title: "Lab", text: "1. New." }),
      201,
    );
    expect(await ask(marketplace, datasetId, ownModel())).toMatchObject(refused);
    const own = await marketplace.call();
    expect(await own.post(`/api/v1/licenses/${license_id}/renew`)).toMatchObject(refused);
    expectStatus(await own.post(`/api/v1/licenses/${license_id}/tokens`), 201);
    expectStatus(await acceptAgreement(platform, marketplace, "lab:1.1"), 201);
    expect(await own.post(`/api/v1/licenses/${license_id}/renew`, { term_days: 365 })).toMatchObject({
      status: 200,
      body: { agreement: "lab:1.1" },
    });
  });

  test("for a use that a work's consent does not grant, naming the work", async () => {
    const marketplace = await party();
    const [ana, bram] = [await enrolCreator(platform), await enrolCreator(platform)];
    const [first] = await registerWorks(platform, ana.creatorId, 1);
    const [second] = await registerWorks(platform, bram.creatorId, 1);
    await giveConsent(ana, { scope: ["training", "inference", "commercial"] });
    const { jti } = await giveConsent(bram, { scope: ["training"] });
    const { dataset_id } = await publishDataset(platform, [first ?? "", second ?? ""], { scope: ["training"] });
    await offerDataset(platform, dataset_id, marketplace);
    expectStatus(await setPolicy(platform, dataset_id), 200);
    const answer = await ask(marketplace, dataset_id, { ...ownModel(), scope: ["training", "inference"] });
    expect(answer).toMatchObject({
      status: 422,
      body: { code: "license_scope_not_granted", errors: [{ at: second, code: "scope_not_granted" }] },
    });
    // What is withdrawn is no part of it; then only the dataset's own offer stands against it.
    expectStatus(await platform.operator.post(`/api/v1/consents/${jti}/revoke`, {}), 200);
    expect(await ask(marketplace, dataset_id, { ...ownModel(), scope: ["training", "inference"] })).toMatchObject({
      status: 422,
      body: { code: "license_scope_not_offered" },
    });
    expectStatus(await ask(marketplace, dataset_id, ownModel()), 201);
  });

  test("for commercial use, or a modality, that the dataset does not offer although its works would", async () => {
    const marketplace = await party();
    const { datasetId } = await offered([marketplace]);
    expectStatus(await setPolicy(platform, datasetId), 200);
    for (const scope of [["training", "commercial"], ["training_audio"]])
      expect(await ask(marketplace, datasetId, { ...ownModel(), scope })).toMatchObject({
        status: 422,
        body: { code: "license_scope_not_offered" },
      });
    for (const [scope, code] of [
      [["telepathy"], "scope_unknown"],
      [["commercial"], "scope_unknown"],
      [["training", "commercial", "non_commercial"], "scope_contradictory"],
    ] as const)
      expect(await ask(marketplace, datasetId, { ...ownModel(), scope })).toMatchObject({
        status: 400,
        body: { code },
      });
  });

  test("where a consent prohibits what derivatives could be", async () => {
    const marketplace = await party();
    const creator = await enrolCreator(platform);
    const [work] = await registerWorks(platform, creator.creatorId, 1);
    await giveConsent(creator, { scope: ["training", "derivative"], prohibitions: ["style_imitation"] });
    const { dataset_id } = await publishDataset(platform, [work ?? ""]);
    await offerDataset(platform, dataset_id, marketplace);
    expectStatus(await setPolicy(platform, dataset_id), 200);
    expect(await ask(marketplace, dataset_id, { ...ownModel(), scope: ["training", "derivative"] })).toMatchObject({
      status: 422,
      body: { code: "license_scope_not_granted", errors: [{ at: work, code: "use_prohibited" }] },
    });
  });

  test("for a model that another marketplace trains, unless it is only used", async () => {
    const [maker, other] = [await party(), await party()];
    const { datasetId } = await offered([maker, other], {
      scope: ["training", "inference", "commercial"],
      members: { scope: ["training", "inference"] },
    });
    const model = ownModel();
    await licenseDataset(platform, datasetId, maker, model);
    expect(await ask(other, datasetId, model)).toMatchObject({ status: 409, body: { code: "license_model_taken" } });
    expectStatus(await ask(other, datasetId, { ...model, scope: ["inference"] }), 201);
    const renamed = { model: { model_id: "another-name", fingerprint: sha256Hex(modelIdOf(model)) } };
    expect(await ask(maker, datasetId, { ...renamed, scope: ["training", "inference"] })).toMatchObject({
      status: 409,
      body: { code: "license_model_taken" },
    });
    const based = {
      model: {
        model_id: "made-from-it",
        fingerprint: sha256Hex(uniqueId("m")),
        base_fingerprint: sha256Hex(modelIdOf(model)),
      },
    };
    expectStatus(await ask(other, datasetId, based), 201);
    const itself = { model: { ...based.model, base_fingerprint: based.model.fingerprint } };
    expect((await ask(other, datasetId, itself)).status).toBe(422);
  });

  test("to the first of two marketplaces that claim a model at the same time, to the other not", async () => {
    const [one, two] = [await party(), await party()];
    const [first, second] = [await offered([one]), await offered([two])];
    for (const { datasetId } of [first, second]) expectStatus(await setPolicy(platform, datasetId), 200);
    const model = ownModel();
    const answers = await Promise.all([ask(one, first.datasetId, model), ask(two, second.datasetId, model)]);
    expect(answers.map((answer) => answer.status).toSorted()).toEqual([201, 409]);
  });

  test("of what was not offered, is a draft, or stands no more", async () => {
    const [marketplace, other] = [await party(), await party()];
    const { datasetId } = await offered([marketplace]);
    expect(await ask(other, datasetId)).toMatchObject({ status: 403, body: { code: "not_yours" } });
    expect((await ask(marketplace, "ds-nothing")).status).toBe(404);
    const license = await licenseDataset(platform, datasetId, marketplace, ownModel());
    expectStatus(await platform.operator.post(`/api/v1/datasets/${datasetId}/withdraw`, {}), 200);
    const conflict = { status: 409, body: { code: "conflict" } };
    expect(await ask(marketplace, datasetId, ownModel())).toMatchObject(conflict);
    const own = await marketplace.call();
    expect(await own.post(`/api/v1/licenses/${license.license_id}/tokens`)).toMatchObject(conflict);
    expect(await own.post(`/api/v1/licenses/${license.license_id}/renew`)).toMatchObject(conflict);
  });

  test("with a key that is not its own, or that has ended", async () => {
    const [marketplace, other] = [await party(), await party()];
    const { datasetId } = await offered([marketplace]);
    expectStatus(await setPolicy(platform, datasetId), 200);
    expect(await ask(marketplace, datasetId, { ...ownModel(), jkt: other.receiptSigner.kid })).toMatchObject({
      status: 401,
      body: { code: "receipt_key_unknown" },
    });
    const { license_id } = expectStatus(await ask(marketplace, datasetId, ownModel()), 201).body;
    const { kid } = marketplace.receiptSigner;
    expectStatus(
      await platform.operator.post(`/api/v1/marketplaces/${marketplace.marketplaceId}/receipt-keys/${kid}/revoke`, {}),
      200,
    );
    const own = await marketplace.call();
    expect(await own.post(`/api/v1/licenses/${license_id}/tokens`)).toMatchObject({
      status: 401,
      body: { code: "key_not_in_force" },
    });
    expectStatus(await own.post(`/api/v1/licenses/${license_id}/tokens`, { jkt: null }), 201);
    expect(expectStatus(await ask(marketplace, datasetId, ownModel()), 201).body).not.toHaveProperty("jkt");
  });

  test("bound to a key that has ended, asked for again or renewed, until it is bound to another", async () => {
    const marketplace = await party();
    const { datasetId } = await offered([marketplace]);
    expectStatus(await setPolicy(platform, datasetId), 200);
    const model = ownModel();
    const { license_id } = expectStatus(await ask(marketplace, datasetId, model), 201).body;
    const path = `/api/v1/marketplaces/${marketplace.marketplaceId}/receipt-keys/${marketplace.receiptSigner.kid}`;
    expectStatus(await platform.operator.post(`${path}/revoke`, {}), 200);
    const own = await marketplace.call();
    const ended = { status: 401, body: { code: "key_not_in_force", detail: expect.stringContaining(license_id) } };
    expect(await ask(marketplace, datasetId, { ...model, jkt: null })).toMatchObject(ended);
    expect(await own.post(`/api/v1/licenses/${license_id}/renew`)).toMatchObject(ended);
    expectStatus(await own.post(`/api/v1/licenses/${license_id}/tokens`, { jkt: null }), 201);
    expect(expectStatus(await ask(marketplace, datasetId, model), 200).body).not.toHaveProperty("jkt");
    expectStatus(await own.post(`/api/v1/licenses/${license_id}/renew`), 200);
  });

  test("for a fingerprint that one stands for under another name, or made from another base", async () => {
    const marketplace = await party();
    const { datasetId } = await offered([marketplace]);
    expectStatus(await setPolicy(platform, datasetId), 200);
    const model = { model_id: uniqueId("model-"), fingerprint: sha256Hex(uniqueId("m")) };
    const { license_id } = expectStatus(await ask(marketplace, datasetId, { model }), 201).body;
    const others = [
      { ...model, model_id: "another-name" },
      { ...model, base_fingerprint: sha256Hex("a base") },
    ];
    for (const other of others)
      expect(await ask(marketplace, datasetId, { model: other })).toMatchObject({
        status: 409,
        body: {
          code: "conflict",
          detail: expect.stringContaining(`${license_id} stands for model_id ${model.model_id}`),
        },
      });
    expect(expectStatus(await ask(marketplace, datasetId, { model }), 200).body.license_id).toBe(license_id);

    expectStatus(await setPolicy(platform, datasetId, { mode: "manual" }), 200);
    const waiting = { model_id: uniqueId("model-"), fingerprint: sha256Hex(uniqueId("m")) };
    const { request_id } = expectStatus(await ask(marketplace, datasetId, { model: waiting }), 202).body;
    expect(await ask(marketplace, datasetId, { model: { ...waiting, model_id: "another-name" } })).toMatchObject({
      status: 409,
      body: { code: "conflict", detail: expect.stringContaining(`${request_id} waits`) },
    });
  });
});

describe("a flat price", () => {
  test("is charged once, with the license, into the version's pool", async () => {
    const marketplace = await party();
    const { datasetId, version } = await offered([marketplace], { members: { pricing: { model_use: "flat:12.5" } } });
    const license = await licenseDataset(platform, datasetId, marketplace, ownModel());
    expect(license).toMatchObject({ price: "flat:12.5", charged_micros: "12500000" });
    const { accounts } = (await platform.operator.get("/api/v1/ledger/accounts?limit=1000")).body;
    expect(accounts).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ kind: "marketplace", owner: marketplace.marketplaceId, balance_micros: "12500000" }),
        expect.objectContaining({ kind: "pool", owner: `${datasetId}/${version}`, balance_micros: "-12500000" }),
      ]),
    );
  });

  test("is charged again for each term that a renewal adds, up to the cap", async () => {
    const marketplace = await party();
    const { datasetId, version } = await offered([marketplace], { members: { pricing: { model_use: "flat:12.5" } } });
    const { license_id } = await licenseDataset(platform, datasetId, marketplace, {
      ...ownModel(),
      term_days: 1,
      spend_cap_micros: "30000000",
    });
    const renew = async (term_days: number) =>
      (await marketplace.call()).post(`/api/v1/licenses/${license_id}/renew`, { term_days });
    expect(expectStatus(await renew(2), 200).body).toMatchObject({ charged_micros: "25000000" });
    // What would add less than an hour is taken for the same call again: nothing is added, and nothing charged.
    const endIn = (seconds: number) =>
      ctx.db
        .updateTable("license")
        .set({ expires_at: now() + seconds })
        .where("license_id", "=", license_id)
        .execute();
    await endIn(2 * DAY - 3_540);
    expect(expectStatus(await renew(2), 200).body).toMatchObject({ charged_micros: "25000000" });
    await endIn(2 * DAY - 3_660);
    expect(await renew(2)).toMatchObject({ status: 409, body: { code: "license_over_cap" } });
    expect(await renew(3)).toMatchObject({ status: 409, body: { code: "license_over_cap" } });
    const path = `/api/v1/ledger/accounts?kind=pool&owner=${encodeURIComponent(`${datasetId}/${version}`)}`;
    const { accounts } = expectStatus(await platform.operator.get(path), 200).body;
    expect(accounts).toMatchObject([{ balance_micros: "-25000000" }]);
  });

  test("over the cap that was asked for is no license, and costs nothing", async () => {
    const marketplace = await party();
    const { datasetId } = await offered([marketplace], { members: { pricing: { model_use: "flat:12.5" } } });
    expectStatus(await setPolicy(platform, datasetId), 200);
    expect(await ask(marketplace, datasetId, { ...ownModel(), spend_cap_micros: "12499999" })).toMatchObject({
      status: 409,
      body: { code: "license_over_cap" },
    });
    expect((await platform.operator.get(`/api/v1/licenses?dataset_id=${datasetId}`)).body.licenses).toEqual([]);
  });
});

describe("the end of a license", () => {
  test.each(["marketplace", "operator"] as const)("comes by its %s, at once, for good", async (side) => {
    const marketplace = await party();
    const { datasetId } = await offered([marketplace]);
    const model = ownModel();
    const license = await licenseDataset(platform, datasetId, marketplace, model);
    const { license_id } = license;
    const own = await marketplace.call();
    const caller = side === "operator" ? platform.operator : own;
    expect((await caller.post(`/api/v1/licenses/${license_id}/revoke`, {})).status).toBe(422);
    expect((await caller.post(`/api/v1/licenses/${license_id}/revoke`, { reason: " " })).status).toBe(422);
    const first = await caller.post(`/api/v1/licenses/${license_id}/revoke`, { reason: "no longer needed" });
    expect(first).toMatchObject({
      status: 200,
      body: {
        state: "revoked",
        reason: "no longer needed",
        ended_by: side === "operator" ? "operator" : `marketplace:${marketplace.marketplaceId}`,
      },
    });
    expect(await readStatusBit(platform, license)).toBe(1);
    expect(await own.post(`/api/v1/licenses/${license_id}/revoke`, { reason: "again" })).toMatchObject({
      status: 200,
      body: first.body,
    });
    const over = { status: 409, body: { code: "license_not_active" } };
    expect(await own.post(`/api/v1/licenses/${license_id}/tokens`)).toMatchObject(over);
    expect(await own.post(`/api/v1/licenses/${license_id}/renew`)).toMatchObject(over);
    const next = expectStatus(await ask(marketplace, datasetId, model), 201);
    expect(next.body.license_id).not.toBe(license_id);
  });

  test("comes by itself when its time is over, and is a fact of its own", async () => {
    const marketplace = await party();
    const { datasetId } = await offered([marketplace]);
    const model = ownModel();
    const license = await licenseDataset(platform, datasetId, marketplace, { ...model, term_days: 1 });
    const { license_id } = license;
    await letEnd(license_id, 0);
    const own = await marketplace.call();
    expect(await own.post(`/api/v1/licenses/${license_id}/tokens`)).toMatchObject({
      status: 409,
      body: { code: "license_not_active" },
    });
    await expireLicenses(ctx);
    expect(await own.get(`/api/v1/licenses/${license_id}`)).toMatchObject({
      body: { state: "expired", ended_by: "timer" },
    });
    expect(await readStatusBit(platform, license)).toBe(1);
    expect(await own.post(`/api/v1/licenses/${license_id}/revoke`, { reason: "late" })).toMatchObject({
      status: 409,
      body: { code: "license_not_active" },
    });
  });

  test("is no obstacle to the next one, although no sweep has seen it yet", async () => {
    const marketplace = await party();
    const { datasetId } = await offered([marketplace]);
    const model = ownModel();
    const first = await licenseDataset(platform, datasetId, marketplace, { ...model, term_days: 1 });
    await letEnd(first.license_id, 0);
    const second = expectStatus(await ask(marketplace, datasetId, model), 201);
    expect(second.body.license_id).not.toBe(first.license_id);
    expect(await readStatusBit(platform, first)).toBe(1);
  });
});

test("the platform keeps its promises after all of this", { timeout: 120_000 }, async () => {
  await checkPlatform({ ...platform, now });
});

function modelIdOf({ model }: Record<string, unknown>): string {
  return typeof model === "object" && model !== null && "model_id" in model ? String(model.model_id) : "";
}
