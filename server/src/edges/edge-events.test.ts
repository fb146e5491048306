import { sha256Hex } from "@licet/protocol";
import { describe, expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  fetchAccessToken,
  giveConsent,
  offerDataset,
  publishDataset,
  registerMarketplace,
  registerWork,
  uniqueId,
} from "../../../test/fixtures/actors.ts";
import type { Answer, Caller } from "../../../test/fixtures/caller.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { licenseFor, postReceipt } from "../../../test/fixtures/receipts.ts";
import { turnEdgeMonths } from "./turn-months.ts";

const UNREPORTED_SECONDS = 20;
const money = {
  platformFeeBps: 0,
  closeAfterSeconds: undefined,
  modelListSeconds: undefined,
  remediationSeconds: 2_592_000,
  receiptPullSeconds: undefined,
  reconcileSeconds: undefined,
  unreportedSeconds: UNREPORTED_SECONDS,
  unsplitSeconds: 10 * 86_400,
};
const platform = await startPlatform({ money, interactionRetentionDays: 30 });
const { db } = platform.server.ctx;

/** An edge, as the operator registers one. */
async function registerEdge(): Promise<Caller> {
  const { body } = expectStatus(
    await platform.operator.post("/api/v1/clients", { name: "Edge", scopes: ["edge:report"] }),
    201,
  );
  const client = { clientId: body.client_id, clientSecret: body.client_secret, scope: "edge:report" };
  return platform.as(await fetchAccessToken(platform, client));
}

const edge = await registerEdge();
const instant = (aheadSeconds = 0): string =>
  new Date(platform.clock.nowMs() + aheadSeconds * 1_000).toISOString().replace(/\.\d{3}Z$/, "Z");

function event(members: object = {}): object {
  return {
    at: instant(),
    url_sha256: sha256Hex("https://works.example/1"),
    agent: { kind: "token", name: "GPTBot" },
    decision: "refuse",
    code: "license_required",
    mode: "enforce",
    ...members,
  };
}

function send(lines: readonly (object | string)[], batch: string | undefined, caller = edge): Promise<Answer> {
  return caller.send("POST", "/api/v1/edge-events", {
    body: lines.map((line) => (typeof line === "string" ? line : JSON.stringify(line))).join("\n"),
    headers: {
      "content-type": "application/x-ndjson",
      ...(batch === undefined ? {} : { "idempotency-key": batch }),
    },
  });
}

async function keptOf(batch: string) {
  return db.selectFrom("edge_event").selectAll().where("batch_key", "=", batch).orderBy("line").execute();
}

describe("what an edge tells", () => {
  test("is kept line by line, and what is not as agreed is named", async () => {
    const batch = uniqueId("b-");
    const answer = await send(
      [
        event(),
        "no JSON",
        event({ decision: "pass", code: undefined, license_id: "lic_1", dataset_id: "ds_1", marketplace: "mkt_1" }),
        event({ at: instant(3_600) }),
        event({ url_sha256: "https://works.example/1" }),
        event({ a_later_member: true }),
      ],
      batch,
    );
    expect(expectStatus(answer, 202).body).toEqual({
      accepted: 3,
      refused: [
        { line: 2, detail: expect.any(String) },
        { line: 4, detail: expect.stringContaining("at: expected an instant of the last seven days") },
        { line: 5, detail: expect.stringContaining("url_sha256") },
      ],
    });
    const kept = await keptOf(batch);
    expect(kept.map(({ line, decision, license_id }) => [line, decision, license_id])).toEqual([
      [1, "refuse", null],
      [3, "pass", "lic_1"],
      [6, "refuse", null],
    ]);
    expect(kept[0]).toMatchObject({ agent_kind: "token", agent_name: "GPTBot", code: "license_required" });
  });

  test("counts once under its name, however often it is sent, and another batch under it is refused", async () => {
    const batch = uniqueId("b-");
    const lines = [event(), event(), "nonsense"];
    const answers = await Promise.all([send(lines, batch), send(lines, batch), send(lines, batch)]);
    const [first] = answers;
    for (const answer of answers) expect(expectStatus(answer, 202).body).toEqual(first?.body);
    platform.clock.advance(60);
    expect(expectStatus(await send(lines, batch), 202).body).toEqual(first?.body);
    expect(await keptOf(batch)).toHaveLength(2);
    expect(expectStatus(await send([event()], batch), 422).body.code).toBe("idempotency_key_reused");
    expectStatus(await send([event()], batch, await registerEdge()), 202);
    expect(await keptOf(batch)).toHaveLength(3);
  });

  test("has a name, a type and a size", async () => {
    expect(expectStatus(await send([event()], undefined), 422).body.code).toBe("input_invalid");
    const asJson = await edge.post("/api/v1/edge-events", event(), { "idempotency-key": uniqueId("b-") });
    expect(expectStatus(asJson, 415).body.code).toBe("media_type_wrong");
    const many = Array.from({ length: 1_001 }, () => "{}");
    expect(expectStatus(await send(many, uniqueId("b-")), 413).body.code).toBe("body_too_large");
    expectStatus(await send(["x".repeat(1_048_577)], uniqueId("b-")), 413);
  });

  test("is for edges alone", async () => {
    expectStatus(await send([event()], uniqueId("b-"), platform.operator), 403);
    expectStatus(await send([event()], uniqueId("b-"), platform.anonymous), 401);
    const creator = await enrolCreator(platform);
    expectStatus(await send([event()], uniqueId("b-"), creator.caller), 403);
    expectStatus(await edge.get("/api/v1/events"), 403);
  });
});

describe("reconciliation", () => {
  async function reconcile(): Promise<void> {
    const { body } = await platform.operator.post("/api/v1/reconciliations");
    await expect
      .poll(async () => (await platform.operator.get(`/api/v1/reconciliations/${body.reconciliation_id}`)).body.state, {
        timeout: 30_000,
        interval: 50,
      })
      .toBe("done");
  }

  async function findingOf(licenseId: string): Promise<Answer["body"]> {
    const path = "/api/v1/findings?kind=edge_fetches_without_receipt&limit=1000";
    const { body } = expectStatus(await platform.operator.get(path), 200);
    return body.findings.find((finding: { subject: string }) => finding.subject === licenseId);
  }

  test("finds works that were fetched under a license without a receipt, until one comes", async () => {
    const creator = await enrolCreator(platform);
    const work = await registerWork(platform, creator.creatorId);
    await giveConsent(creator);
    const dataset = await publishDataset(platform, [work]);
    const marketplace = await registerMarketplace(platform);
    await offerDataset(platform, dataset.dataset_id, marketplace);
    const { license_id } = await licenseFor(platform, marketplace, dataset);
    const fetched = { decision: "pass", code: undefined, license_id, dataset_id: dataset.dataset_id };
    const refused = event({ license_id, dataset_id: dataset.dataset_id });
    expectStatus(await send([event(fetched), event(fetched), refused], uniqueId("b-")), 202);
    await reconcile();
    expect(await findingOf(license_id)).toBeUndefined();
    platform.clock.advance(UNREPORTED_SECONDS + 1);
    await reconcile();
    expect(await findingOf(license_id)).toMatchObject({
      state: "open",
      detail: { license_id, marketplace_id: marketplace.marketplaceId, dataset_id: dataset.dataset_id, fetches: 2 },
    });
    expectStatus(await postReceipt(platform, marketplace, dataset), 201);
    await reconcile();
    expect(await findingOf(license_id)).toMatchObject({ state: "closed" });
  });
});

test("events are kept by months, which are dropped whole, and the names of batches for days", async () => {
  const batch = uniqueId("b-");
  expectStatus(await send([event()], batch), 202);
  platform.clock.advance(70 * 86_400);
  await turnEdgeMonths(platform.server.ctx);
  expect(await keptOf(batch)).toEqual([]);
  expect(await db.selectFrom("edge_batch").selectAll().where("batch_key", "=", batch).execute()).toEqual([]);
});
