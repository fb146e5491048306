import { type JsonObject, sha256Hex, signAgreementAcceptance, verifyDocument } from "@licet/protocol";
import { describe, expect, test } from "vitest";
import { expectStatus, registerMarketplace } from "../../../test/fixtures/actors.ts";
import { parseObject, readDocument, readKeys } from "../../../test/fixtures/datasets.ts";
import { AGREEMENT, acceptAgreement, acceptanceContent } from "../../../test/fixtures/licenses.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { publishBuiltInAgreement } from "./publish-agreement.ts";

const platform = await startPlatform();
const { db } = platform.server.ctx;
const now = (): number => Math.floor(platform.clock.nowMs() / 1_000);
const ACCEPTANCES = "/api/v1/agreements/marketplace/1.0/acceptances";

/** Signs an acceptance with changes and hands it in. */
async function handIn(members: JsonObject, path = ACCEPTANCES) {
  const marketplace = await registerMarketplace(platform);
  const content = { ...(await acceptanceContent(platform, marketplace)), ...members };
  const document = await signAgreementAcceptance(content, marketplace.receiptSigner);
  return (await marketplace.call()).post(path, document);
}

describe("the agreement that comes with the server", () => {
  test("is a signed document that never changes", async () => {
    const answer = await platform.anonymous.get("/agreements/marketplace/1.0");
    expect(answer).toMatchObject({ status: 200, body: { type: "agreement", agreement: AGREEMENT } });
    expect(answer.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
    expect(answer.body.sha256).toBe(sha256Hex(answer.body.text));
    const document = await readDocument(platform, "/agreements/marketplace/1.0");
    expect(
      await verifyDocument(document, { type: "agreement", keys: await readKeys(platform), madeAt: now() }),
    ).toMatchObject({ ok: true });
  });

  test("is published once, however often the server starts", async () => {
    const before = (await platform.anonymous.get("/agreements/marketplace/1.0")).text;
    await publishBuiltInAgreement(platform.server.ctx);
    expect((await platform.anonymous.get("/agreements/marketplace/1.0")).text).toBe(before);
  });

  test("and its acceptances cannot be changed, not even in the database", async () => {
    expectStatus(await acceptAgreement(platform, await registerMarketplace(platform)), 201);
    await expect(db.updateTable("agreement").set({ body: "Everything is allowed." }).execute()).rejects.toThrow(
      "append-only",
    );
    await expect(db.deleteFrom("agreement_acceptance").execute()).rejects.toThrow("append-only");
  });
});

describe("an acceptance", () => {
  test("is kept as it was signed, once, for the marketplace and the operator to see", async () => {
    const [marketplace, other] = [await registerMarketplace(platform), await registerMarketplace(platform)];
    const first = expectStatus(await acceptAgreement(platform, marketplace), 201);
    expect(first.body).toMatchObject({
      marketplace_id: marketplace.marketplaceId,
      agreement: AGREEMENT,
      key_id: marketplace.receiptSigner.kid,
      accepted_by: "Rosa Ek, counsel",
    });
    platform.clock.advance(5);
    expect(await acceptAgreement(platform, marketplace)).toMatchObject({ status: 200, body: first.body });
    const own = await marketplace.call();
    expect((await own.get(ACCEPTANCES)).body.acceptances).toEqual([first.body]);
    expect((await (await other.call()).get(ACCEPTANCES)).body.acceptances).toEqual([]);
    const { acceptances } = parseListed((await platform.operator.get(`${ACCEPTANCES}?limit=1000`)).text);
    expect(acceptances).toContainEqual(first.body);
    const { agreements } = (await own.get("/api/v1/agreements")).body;
    expect(agreements.find((entry: JsonObject) => entry["agreement"] === AGREEMENT)).toMatchObject({
      accepted_at: first.body.accepted_at,
    });
  });

  test("five times at once is one", async () => {
    const marketplace = await registerMarketplace(platform);
    const answers = await Promise.all(Array.from({ length: 5 }, () => acceptAgreement(platform, marketplace)));
    expect(answers.map((answer) => answer.status).toSorted()).toEqual([200, 200, 200, 200, 201]);
  });

  test.each<[string, JsonObject]>([
    ["of another text", { agreement_sha256: "00".repeat(32) }],
    ["for another platform", { aud: "https://elsewhere.example" }],
    ["of another version than the path names", { agreement: "marketplace:2.0" }],
    ["from before there was a text", { accepted_at: "2001-01-01T00:00:00Z" }],
    ["from the future", { accepted_at: "2999-01-01T00:00:00Z" }],
    ["by nobody", { accepted_by: "" }],
  ])("%s is refused", async (_what, members) => {
    expect(await handIn(members)).toMatchObject({ status: 422, body: { code: "agreement_acceptance_invalid" } });
  });

  test("in the name of another marketplace, or of an agreement nobody published, is refused", async () => {
    const { marketplaceId } = await registerMarketplace(platform);
    expect(await handIn({ iss: marketplaceId })).toMatchObject({ status: 403, body: { code: "not_yours" } });
    expect(await handIn({}, "/api/v1/agreements/nothing/1.0/acceptances")).toMatchObject({ status: 404 });
    expect(await handIn({ test: true })).toMatchObject({ status: 422, body: { code: "test_document" } });
  });

  test("by another marketplace's key, or by one that was revoked, is refused", async () => {
    const [marketplace, other] = [await registerMarketplace(platform), await registerMarketplace(platform)];
    expect(await acceptAgreement(platform, { ...marketplace, receiptSigner: other.receiptSigner })).toMatchObject({
      status: 401,
      body: { code: "receipt_key_unknown" },
    });
    const { kid } = other.receiptSigner;
    expectStatus(
      await platform.operator.post(`/api/v1/marketplaces/${other.marketplaceId}/receipt-keys/${kid}/revoke`, {}),
      200,
    );
    expect(await acceptAgreement(platform, other)).toMatchObject({ status: 401, body: { code: "key_not_in_force" } });
  });

  test("with a member changed on the way is refused", async () => {
    const marketplace = await registerMarketplace(platform);
    const content = await acceptanceContent(platform, marketplace);
    const document = await signAgreementAcceptance(content, marketplace.receiptSigner);
    const caller = await marketplace.call();
    expect(await caller.post(ACCEPTANCES, { ...document, accepted_by: "Somebody else" })).toMatchObject({
      status: 401,
      body: { code: "signature_invalid" },
    });
  });
});

describe("a newer version", () => {
  test("is published by the operator after the one before, once, and is what is accepted from then on", async () => {
    const publish = (agreement: string, text = "1. The text of another agreement.") =>
      platform.operator.post("/api/v1/agreements", { agreement, title: "Data protection", text });
    expect(await publish("data_protection:1.0")).toMatchObject({
      status: 201,
      body: { agreement: "data_protection:1.0", is_newest: true },
    });
    const marketplace = await registerMarketplace(platform);
    expectStatus(await acceptAgreement(platform, marketplace, "data_protection:1.0"), 201);
    expect(await publish("data_protection:1.0")).toMatchObject({ status: 409, body: { code: "already_exists" } });
    expectStatus(await publish("data_protection:1.10"), 201);
    expect(await publish("data_protection:1.9")).toMatchObject({ status: 409, body: { code: "conflict" } });
    expectStatus(await acceptAgreement(platform, marketplace, "data_protection:1.0"), 200);
    expect(await acceptAgreement(platform, await registerMarketplace(platform), "data_protection:1.0")).toMatchObject({
      status: 409,
      body: { code: "conflict" },
    });
    const { agreements } = (await platform.operator.get("/api/v1/agreements")).body;
    expect(
      agreements
        .filter((entry: JsonObject) => String(entry["agreement"]).startsWith("data_protection"))
        .map((entry: JsonObject) => [entry["agreement"], entry["is_newest"]]),
    ).toEqual([
      ["data_protection:1.10", true],
      ["data_protection:1.0", false],
    ]);
  });

  test.each([
    { agreement: "marketplace", title: "T", text: "t" },
    { agreement: "Marketplace:1.1", title: "T", text: "t" },
    { agreement: "marketplace:1.1", title: " ", text: "t" },
    { agreement: "marketplace:1.1", title: "T", text: "" },
  ])("is not published as %o", async (input) => {
    expect(await platform.operator.post("/api/v1/agreements", input)).toMatchObject({
      status: 422,
      body: { code: "input_invalid" },
    });
  });
});

function parseListed(text: string): { readonly acceptances: readonly unknown[] } {
  const { acceptances } = parseObject(text);
  return { acceptances: Array.isArray(acceptances) ? acceptances : [] };
}
