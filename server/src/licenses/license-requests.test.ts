import { type WebhookNotice, sha256Hex } from "@licet/protocol";
import { describe, expect, test } from "vitest";
import {
  type RegisteredMarketplace,
  enrolCreator,
  expectStatus,
  fetchAccessToken,
  giveConsent,
  offerDataset,
  publishDataset,
  registerMarketplace,
  uniqueId,
} from "../../../test/fixtures/actors.ts";
import type { Caller } from "../../../test/fixtures/caller.ts";
import { registerWorks } from "../../../test/fixtures/datasets.ts";
import { acceptAgreement, licenseBody, setPolicy } from "../../../test/fixtures/licenses.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { type Charge, type LicenseRow, readLicensesOf, saveCharges, scopeOf } from "./lookup.ts";

const platform = await startPlatform();
const { ctx } = platform.server;
const marketplace = await registerMarketplace(platform);
expectStatus(await acceptAgreement(platform, marketplace), 201);
const own = await marketplace.call();

async function offered(to: RegisteredMarketplace = marketplace): Promise<string> {
  const creator = await enrolCreator(platform);
  const works = await registerWorks(platform, creator.creatorId, 2);
  await giveConsent(creator);
  const { dataset_id } = await publishDataset(platform, works);
  await offerDataset(platform, dataset_id, to);
  return dataset_id;
}

function ask(datasetId: string, members: Record<string, unknown> = {}, caller: Caller = own) {
  const model_id = uniqueId("model-");
  const body = licenseBody({ model: { model_id, fingerprint: sha256Hex(model_id) }, ...members });
  return caller.post(`/api/v1/datasets/${datasetId}/licenses`, body);
}

async function backend(...scopes: readonly string[]): Promise<Caller> {
  const { body } = expectStatus(await platform.operator.post("/api/v1/clients", { name: "Backend", scopes }), 201);
  return platform.as(
    await fetchAccessToken(platform, {
      clientId: body.client_id,
      clientSecret: body.client_secret,
      scope: scopes.join(" "),
    }),
  );
}

/** What the marketplace was told about a license or a request, in order. */
async function noticesAbout(id: string): Promise<readonly string[]> {
  const { body } = await platform.operator.get(
    `/api/v1/webhook-deliveries?endpoint_id=${marketplace.endpointId}&limit=1000`,
  );
  const deliveries: readonly { event_id: string }[] = body.deliveries;
  const changes: { change: string; sequence: number }[] = [];
  for (const { event_id } of deliveries) {
    const { payload } = (await platform.operator.get(`/api/v1/webhook-deliveries/${event_id}`)).body;
    const told: WebhookNotice & { license_id?: string; request_id?: string } =
      typeof payload === "string" ? JSON.parse(payload) : payload;
    if (told.license_id === id || told.request_id === id) changes.push(told);
  }
  return changes.toSorted((left, right) => left.sequence - right.sequence).map(({ change }) => change);
}

describe("the policy of a dataset", () => {
  test("is, until somebody sets another, that a person decides", async () => {
    const datasetId = await offered();
    expect(await platform.operator.get(`/api/v1/datasets/${datasetId}/license-policy`)).toMatchObject({
      status: 200,
      body: { dataset_id: datasetId, mode: "manual", agreement: "marketplace", max_term_days: 365, renewable: true },
    });
    expect(await ask(datasetId)).toMatchObject({ status: 202, body: { state: "pending" } });
    expect((await platform.operator.get("/api/v1/datasets/ds-nothing/license-policy")).status).toBe(404);
  });

  test("may be a rule: what it covers is issued at once, what not waits", async () => {
    const datasetId = await offered();
    const policy = {
      mode: "rule",
      rule: {
        scope: ["training_text"],
        marketplaces: [marketplace.marketplaceId],
        max_term_days: 30,
        spend_cap_micros: "5000000",
      },
      max_term_days: 90,
      spend_cap_micros: "9000000",
      renewable: false,
    };
    expect(await setPolicy(platform, datasetId, policy)).toMatchObject({ status: 200, body: policy });
    const asked = { scope: ["training_text"], term_days: 30 };
    expect(await ask(datasetId, asked)).toMatchObject({
      status: 201,
      body: { spend_cap_micros: "5000000", renewable: false },
    });
    expect(await ask(datasetId, { ...asked, spend_cap_micros: "1" })).toMatchObject({
      status: 201,
      body: { spend_cap_micros: "1" },
    });
    expect((await ask(datasetId, { ...asked, spend_cap_micros: "6000000" })).body.spend_cap_micros).toBe("5000000");
    expect((await ask(datasetId, { ...asked, term_days: 31 })).status).toBe(202);
    expect((await ask(datasetId, { ...asked, scope: ["training"] })).status).toBe(202);
    expect(await ask(datasetId, { ...asked, term_days: 91 })).toMatchObject({
      status: 422,
      body: { code: "license_term_too_long" },
    });
    expectStatus(await setPolicy(platform, datasetId, { ...policy, rule: { marketplaces: ["mkt_other"] } }), 200);
    expect((await ask(datasetId, asked)).status).toBe(202);
  });

  test.each([
    { mode: "whim" },
    { mode: "rule" },
    { mode: "manual", rule: {} },
    { mode: "automatic", max_term_days: 0 },
    { mode: "automatic", spend_cap_micros: "-1" },
    { mode: "automatic", spend_cap_micros: "1.5" },
    { mode: "automatic", spend_cap_micros: "1".repeat(39) },
    { mode: "automatic", agreement: "nothing" },
    { mode: "automatic", unknown: true },
  ])("is not %o", async (policy) => {
    expect(await setPolicy(platform, await offered(), policy)).toMatchObject({
      status: 422,
      body: { code: "input_invalid" },
    });
  });
});

describe("a request that waits", () => {
  test("is the same one when it is asked again, and seen by its marketplace and the platform alone", async () => {
    const datasetId = await offered();
    const model = { model: { model_id: "m", fingerprint: sha256Hex(uniqueId("m")) }, note: "For our reader." };
    const answers = await Promise.all([1, 2, 3].map(() => ask(datasetId, model)));
    expect(answers.map(({ status }) => status)).toEqual([202, 202, 202]);
    const ids = new Set<string>(answers.map(({ body }) => body.request_id));
    expect(ids.size).toBe(1);
    const [id = ""] = ids;
    expect(await own.get(`/api/v1/license-requests/${id}`)).toMatchObject({
      status: 200,
      body: { state: "pending", note: "For our reader.", jkt: marketplace.receiptSigner.kid },
    });
    const listed = await platform.operator.get(`/api/v1/license-requests?dataset_id=${datasetId}&state=pending`);
    expect(listed.body.license_requests).toMatchObject([{ request_id: id }]);
    const other = await (await registerMarketplace(platform)).call();
    expect(await other.get(`/api/v1/license-requests/${id}`)).toMatchObject({ status: 403 });
    expect((await other.get(`/api/v1/license-requests?dataset_id=${datasetId}`)).body.license_requests).toEqual([]);
  });

  test("is approved by whoever may approve, and its marketplace hears of it and gets a token", async () => {
    const datasetId = await offered();
    const { request_id } = expectStatus(await ask(datasetId, { spend_cap_micros: "700" }), 202).body;
    const path = `/api/v1/license-requests/${request_id}`;
    const reader = await backend("licenses:read", "ledger:read", "datasets:write");
    for (const caller of [reader, own])
      for (const [decision, body] of [
        ["approve", {}],
        ["deny", { reason: "no" }],
      ] as const)
        expect(await caller.post(`${path}/${decision}`, body)).toMatchObject({
          status: 403,
          body: { code: "forbidden" },
        });
    const approver = await backend("licenses:approve");
    const approved = await approver.post(`${path}/approve`, {
      term_days: 10,
      spend_cap_micros: "900",
      renewable: false,
    });
    expect(approved).toMatchObject({
      status: 200,
      body: { state: "active", request_id, spend_cap_micros: "700", renewable: false },
    });
    expect(approved.body).not.toHaveProperty("token");
    const { license_id } = approved.body;
    expect(await own.get(path)).toMatchObject({ body: { state: "approved", license_id } });
    expectStatus(await own.post(`/api/v1/licenses/${license_id}/tokens`), 201);
    expect(await own.post(`/api/v1/licenses/${license_id}/renew`)).toMatchObject({
      status: 409,
      body: { code: "license_not_renewable" },
    });
    expectStatus(await approver.post(`/api/v1/licenses/${license_id}/revoke`, { reason: "over" }), 200);
    await expect
      .poll(() => noticesAbout(license_id), { timeout: 20_000 })
      .toEqual(["license_issued", "license_revoked"]);
  });

  test("is denied with a reason, never without one, and the marketplace hears of it", async () => {
    const datasetId = await offered();
    const { request_id } = expectStatus(await ask(datasetId), 202).body;
    const path = `/api/v1/license-requests/${request_id}`;
    for (const body of [{}, { reason: "" }, { reason: "  " }])
      expect(await platform.operator.post(`${path}/deny`, body)).toMatchObject({
        status: 422,
        body: { code: "input_invalid" },
      });
    expect(await platform.operator.post(`${path}/deny`, { reason: "Not for weapons." })).toMatchObject({
      status: 200,
      body: { state: "denied", reason: "Not for weapons.", decided_by: "operator" },
    });
    const settled = { status: 409, body: { code: "license_request_settled" } };
    expect(await platform.operator.post(`${path}/deny`, { reason: "Again." })).toMatchObject(settled);
    expect(await platform.operator.post(`${path}/approve`, {})).toMatchObject(settled);
    await expect.poll(() => noticesAbout(request_id), { timeout: 20_000 }).toEqual(["license_denied"]);
    expect((await platform.operator.post("/api/v1/license-requests/lrq_nothing/deny", { reason: "x" })).status).toBe(
      404,
    );
  });

  test("is decided once, however many decide at the same time", async () => {
    const datasetId = await offered();
    const { request_id } = expectStatus(await ask(datasetId), 202).body;
    const path = `/api/v1/license-requests/${request_id}`;
    const answers = await Promise.all([
      platform.operator.post(`${path}/approve`, {}),
      platform.operator.post(`${path}/approve`, {}),
      platform.operator.post(`${path}/deny`, { reason: "no" }),
    ]);
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 409, 409]);
    const { licenses } = (await platform.operator.get(`/api/v1/licenses?dataset_id=${datasetId}`)).body;
    const { state } = (await own.get(path)).body;
    expect(licenses).toHaveLength(state === "approved" ? 1 : 0);
  });

  test("cannot be approved once the dataset was withdrawn, or a newer agreement waits for its acceptance", async () => {
    const [first, second] = [await offered(), await offered()];
    const requests = [await ask(first), await ask(second)].map(({ body }) => body.request_id);
    expectStatus(await platform.operator.post(`/api/v1/datasets/${first}/withdraw`, {}), 200);
    expect(await platform.operator.post(`/api/v1/license-requests/${requests[0]}/approve`, {})).toMatchObject({
      status: 409,
      body: { code: "conflict" },
    });
    expectStatus(
      await platform.operator.post("/api/v1/agreements", { agreement: "strict:1.0", title: "S", text: "1. S." }),
      201,
    );
    expectStatus(await setPolicy(platform, second, { mode: "manual", agreement: "strict" }), 200);
    expect(await platform.operator.post(`/api/v1/license-requests/${requests[1]}/approve`, {})).toMatchObject({
      status: 403,
      body: { code: "agreement_not_accepted" },
    });
    expect(await own.get(`/api/v1/license-requests/${requests[1]}`)).toMatchObject({ body: { state: "pending" } });
  });

  test("is one of at most a hundred of its marketplace for a dataset", { timeout: 120_000 }, async () => {
    const datasetId = await offered();
    await ctx.db
      .insertInto("license_request")
      .values(
        Array.from({ length: 100 }, (_, at) => ({
          request_id: uniqueId(`lrq_${at}`),
          dataset_id: datasetId,
          marketplace_id: marketplace.marketplaceId,
          model_id: "m",
          model_fingerprint: sha256Hex(uniqueId("m")),
          scope: "training",
          state: "pending" as const,
          requested_at: 1,
        })),
      )
      .execute();
    expect(await ask(datasetId)).toMatchObject({ status: 409, body: { code: "license_requests_full" } });
  });
});

describe("a renewal", () => {
  test("goes on for a term from now, is told, and ends where the cap was passed or the terms changed", async () => {
    const datasetId = await offered();
    expectStatus(await setPolicy(platform, datasetId), 200);
    const license = expectStatus(await ask(datasetId, { term_days: 10 }), 201).body;
    const path = `/api/v1/licenses/${license.license_id}/renew`;
    const renewed = expectStatus(await own.post(path, { term_days: 20 }), 200).body;
    expect(Date.parse(renewed.expires_at)).toBeGreaterThan(Date.parse(license.expires_at));
    expect(renewed).toMatchObject({ license_id: license.license_id, token: expect.any(String) });
    expect((await own.post(path, { term_days: 1 })).body.expires_at).toBe(renewed.expires_at);
    expect(await own.post(path, { term_days: 366 })).toMatchObject({
      status: 422,
      body: { code: "license_term_too_long" },
    });
    await expect
      .poll(() => noticesAbout(license.license_id), { timeout: 20_000 })
      .toEqual(["license_issued", "license_renewed"]);

    const dataset = (await platform.operator.get(`/api/v1/datasets/${datasetId}`)).body;
    const items = await platform.operator.get(`/datasets/${datasetId}/versions/${dataset.version}/items`);
    const works = items.text
      .trim()
      .split("\n")
      .map((line) => String(JSON.parse(line).item.content_id));
    await publishDataset(platform, works, { dataset_id: datasetId, pricing: { model_use: "per-token:0.0002" } });
    expect(await own.post(path, { term_days: 30 })).toMatchObject({
      status: 409,
      body: { code: "license_terms_changed" },
    });

    const over = expectStatus(await ask(datasetId, { spend_cap_micros: "1000" }), 201).body;
    const charge: Charge = {
      license_id: over.license_id,
      units_reported: 10n ** 30n,
      charged_micros: 10n ** 37n + 1n,
      over_cap_at: 1_800_000_000,
    };
    await ctx.db.transaction().execute((trx) => saveCharges(trx, [charge]));
    const rows: readonly LicenseRow[] = await readLicensesOf(ctx.db, { datasetId, state: "active" });
    expect(rows.map((row) => [row.license_id, BigInt(row.charged_micros), scopeOf(row)])).toEqual([
      [license.license_id, 0n, ["training"]],
      [over.license_id, charge.charged_micros, ["training"]],
    ]);
    expect(await own.post(`/api/v1/licenses/${over.license_id}/renew`)).toMatchObject({
      status: 409,
      body: { code: "license_over_cap" },
    });
    expect((await own.get(`/api/v1/licenses/${over.license_id}`)).body).toMatchObject({
      units_reported: String(10n ** 30n),
      charged_micros: String(10n ** 37n + 1n),
      over_cap_at: "2027-01-15T08:00:00Z",
    });
  });
});
