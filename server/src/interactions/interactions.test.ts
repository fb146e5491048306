import { sql } from "kysely";
import { describe, expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  fetchAccessToken,
  giveConsent,
  publishDataset,
  registerMarketplace,
  registerWork,
  uniqueId,
} from "../../../test/fixtures/actors.ts";
import { startFurtherServer, startPlatform } from "../../../test/fixtures/platform.ts";
import { engine } from "../../../test/fixtures/settings.ts";
import { createInteractionLog } from "./interaction-log.ts";
import type { InteractionRow } from "./store.ts";

const platform = await startPlatform({ interactionRetentionDays: 40 });
const { ctx } = platform.server;
const [ada, eve] = [await enrolCreator(platform), await enrolCreator(platform)];
const marketplace = await registerMarketplace(platform);
const market = await marketplace.call();
const [adasWork, evesWork] = [await registerWork(platform, ada.creatorId), await registerWork(platform, eve.creatorId)];
await giveConsent(ada);
const evesConsent = await giveConsent(eve);
const { dataset_id } = await publishDataset(platform, [adasWork, evesWork]);
const evesOwn = await publishDataset(platform, [evesWork]);
expectStatus(
  await platform.operator.post(`/api/v1/datasets/${dataset_id}/offers`, { marketplace_id: marketplace.marketplaceId }),
  201,
);

interface Interaction {
  readonly caller: { readonly kind: string };
  readonly route: string;
  readonly dataset_version?: number;
  readonly request_id: string;
}

const listed = async (query: string): Promise<readonly Interaction[]> =>
  expectStatus(await platform.operator.get(`/api/v1/interactions?${query}`), 200).body.interactions;

describe("a call", () => {
  test("for a dataset's items, consents or provenance is written down with the version", async () => {
    for (const path of [
      `/datasets/${dataset_id}/versions/1/items`,
      `/datasets/${dataset_id}/versions/1/consents`,
      `/api/v1/datasets/${dataset_id}/provenance`,
    ]) {
      const answer = expectStatus(await market.get(path), 200);
      const [newest] = await listed(`client_id=${marketplace.clientId}`);
      expect(newest).toEqual({
        request_id: answer.headers.get("x-request-id"),
        at: expect.stringMatching(/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
        caller: { kind: "marketplace", client_id: marketplace.clientId, marketplace_id: marketplace.marketplaceId },
        method: "GET",
        route: path.replace(dataset_id, "{id}").replace("versions/1", "versions/{version}"),
        dataset_id,
        dataset_version: 1,
        status: 200,
        duration_ms: expect.any(Number),
      });
    }
  });

  test("that was refused is written down with the reason", async () => {
    expectStatus(await market.get(`/datasets/${evesOwn.dataset_id}/versions/1/items`), 403);
    const [newest] = await listed(`marketplace_id=${marketplace.marketplaceId}&dataset_id=${evesOwn.dataset_id}`);
    expect(newest).toMatchObject({
      status: 403,
      code: "not_yours",
      dataset_id: evesOwn.dataset_id,
      dataset_version: 1,
    });
    expectStatus(await market.post("/api/v1/usage-receipts", { dataset_id, dataset_version: 1 }), 422);
    const [receipt] = await listed(`client_id=${marketplace.clientId}`);
    expect(receipt).toMatchObject({ route: "/api/v1/usage-receipts", code: "receipt_invalid", dataset_id });
  });

  test("whose path names nothing is written down without it", async () => {
    expectStatus(await market.get("/nowhere/secret-in-a-path"), 404);
    const [newest] = await listed(`client_id=${marketplace.clientId}`);
    expect(newest).toMatchObject({ route: "none", method: "GET", status: 404, code: "not_found" });
  });

  test("for an access token is written down", async () => {
    const before = (await listed(`client_id=${marketplace.clientId}&limit=1000`)).length;
    const caller = await marketplace.call();
    const read = async () => (await listed(`client_id=${marketplace.clientId}&limit=1000`)).slice(0, -before);
    await expect
      .poll(read, { timeout: 20_000 })
      .toEqual([expect.objectContaining({ method: "POST", route: "/oauth/token", status: 200 })]);
    expectStatus(await caller.get("/api/v1/datasets"), 200);
  });

  test("of a stranger is not written down, and no address of anybody", async () => {
    const { headers } = await platform.anonymous.get("/api/v1/content");
    const rows = await ctx.db.selectFrom("interaction").selectAll().execute();
    expect(rows.map((row) => row.request_id)).not.toContain(headers.get("x-request-id"));
    expect(JSON.stringify(rows)).not.toContain("127.0.0.1");
  });
});

describe("the log", () => {
  test("is read page by page, newest first, each call once", async () => {
    for (let calls = 0; calls < 5; calls += 1) expectStatus(await market.get("/api/v1/datasets"), 200);
    const filter = `client_id=${marketplace.clientId}`;
    const all = await listed(`${filter}&limit=1000`);
    const paged: Interaction[] = [];
    let after = "";
    for (let pages = 0; pages < 50; pages += 1) {
      const { body } = expectStatus(await platform.operator.get(`/api/v1/interactions?${filter}&limit=3${after}`), 200);
      paged.push(...body.interactions);
      if (body.next === null) break;
      after = `&after=${body.next}`;
    }
    expect(paged).toEqual(all);
    expect(new Set(paged.map((entry) => entry.request_id)).size).toBe(paged.length);
  });

  test("is cut by time", async () => {
    const at = (seconds: number) => `${new Date(ctx.clock.nowMs() + seconds * 1_000).toISOString().slice(0, 19)}Z`;
    expect(await listed(`from=${at(60)}`)).toEqual([]);
    expect(await listed(`until=${at(-3_600)}`)).toEqual([]);
    expect((await listed(`from=${at(-3_600)}&until=${at(60)}`)).length).toBeGreaterThan(0);
  });

  test.each(["after=1", "from=yesterday", "until=2026-01-01", "limit=0"])("is not asked for with %s", async (query) => {
    expect(await platform.operator.get(`/api/v1/interactions?${query}`)).toMatchObject({
      status: 422,
      body: { code: "input_invalid" },
    });
  });

  test("opens to the platform's client with the scope", async () => {
    const { body } = expectStatus(
      await platform.operator.post("/api/v1/clients", { name: "Audit", scopes: ["interactions:read"] }),
      201,
    );
    const token = await fetchAccessToken(platform, {
      clientId: body.client_id,
      clientSecret: body.client_secret,
      scope: "interactions:read",
    });
    const { interactions } = expectStatus(await platform.as(token).get("/api/v1/interactions?limit=5"), 200).body;
    expect(interactions.length).toBe(5);
    expect((await listed(`client_id=${body.client_id}`))[0]).toMatchObject({
      caller: { kind: "platform", client_id: body.client_id },
      route: "/api/v1/interactions",
    });
  });
});

describe("a creator", () => {
  test("sees who asked for datasets with their works, and no other creator", async () => {
    expectStatus(await market.get(`/datasets/${dataset_id}/versions/1/items`), 200);
    expectStatus(
      await eve.caller.post(`/api/v1/datasets/${dataset_id}/consent/revoke`, { consent_jwt_id: evesConsent.jti }),
      200,
    );
    const read = async (creator: typeof ada, query = "") =>
      expectStatus(await creator.caller.get(`/api/v1/creators/${creator.creatorId}/interactions${query}`), 200);
    const answer = await read(ada);
    const seen: readonly Interaction[] = answer.body.interactions;
    expect(seen.map((entry) => entry.route)).toContain("/datasets/{id}/versions/{version}/items");
    expect(answer.text).not.toContain(eve.creatorId);
    expect(answer.text).not.toContain(evesOwn.dataset_id);
    expect(seen.every((entry) => entry.caller.kind !== "creator")).toBe(true);
    const eves: readonly Interaction[] = (await read(eve)).body.interactions;
    expect(eves.filter((entry) => entry.caller.kind === "creator").map((entry) => entry.route)).toEqual([
      "/api/v1/datasets/{id}/consent/revoke",
    ]);
    expect((await read(ada, `?marketplace_id=${uniqueId("mkt_")}`)).body.interactions).toEqual([]);
  });

  test("sees no call about a version that none of their works is in", async () => {
    const late = await enrolCreator(platform);
    const added = await registerWork(platform, late.creatorId);
    await giveConsent(late);
    const first = await publishDataset(platform, [adasWork]);
    await publishDataset(platform, [adasWork, added], { dataset_id: first.dataset_id });
    for (const version of [1, 2])
      expectStatus(await platform.operator.get(`/datasets/${first.dataset_id}/versions/${version}/items`), 200);
    const versionsSeenBy = async (creator: typeof ada): Promise<readonly (number | undefined)[]> => {
      const path = `/api/v1/creators/${creator.creatorId}/interactions?dataset_id=${first.dataset_id}`;
      const { interactions } = expectStatus(await creator.caller.get(path), 200).body;
      return interactions
        .filter((entry: Interaction) => entry.route === "/datasets/{id}/versions/{version}/items")
        .map((entry: Interaction) => entry.dataset_version)
        .toSorted();
    };
    expect(await versionsSeenBy(ada)).toEqual([1, 2]);
    expect(await versionsSeenBy(late)).toEqual([2]);
  });

  test("reaches only for what is theirs", async () => {
    const path = `/api/v1/creators/${ada.creatorId}/interactions`;
    expect((await eve.caller.get(path)).body.code).toBe("not_yours");
    expect((await ada.caller.get(`${path}?dataset_id=${evesOwn.dataset_id}`)).body.code).toBe("not_yours");
    expect((await ada.caller.get("/api/v1/interactions")).body.code).toBe("forbidden");
    expectStatus(await platform.operator.get(path), 200);
  });

  test("without works in datasets sees an empty page", async () => {
    const newcomer = await enrolCreator(platform);
    const { body } = await newcomer.caller.get(`/api/v1/creators/${newcomer.creatorId}/interactions`);
    expect(body).toEqual({ interactions: [], next: null });
  });
});

test.runIf(engine === "postgres")(
  "the calls at another server are in the log too, also those just before it stopped",
  async () => {
    const further = await startFurtherServer(platform);
    const { headers } = await further.operator.get("/api/v1/datasets");
    await further.server.stop();
    expect((await listed("limit=1000")).map((entry) => entry.request_id)).toContain(headers.get("x-request-id"));
  },
);

describe("months", () => {
  const partitions = async (): Promise<readonly string[]> => {
    const { rows } = await sql<{ name: string }>`select child.relname as name from pg_inherits
      join pg_class child on child.oid = pg_inherits.inhrelid
      where pg_inherits.inhparent = 'interaction'::regclass order by 1`.execute(ctx.db);
    return rows.map((row) => row.name);
  };
  const row = (atMs: number): InteractionRow => ({
    at_ms: atMs,
    request_id: uniqueId("req_"),
    caller_kind: "operator",
    client_id: null,
    marketplace_id: null,
    creator_id: null,
    upstream_id: null,
    method: "GET",
    route: "/test",
    dataset_id: null,
    dataset_version: null,
    status: 200,
    code: null,
    duration_ms: 1,
  });

  test("are made ahead, made when a call needs one, and dropped whole when their time is over", async () => {
    const at = (text: string) => Date.parse(text);
    const log = createInteractionLog({ ...ctx, clock: { nowMs: () => at("2031-12-20T00:00:00Z") } });
    log.record(row(at("2031-10-31T23:59:59Z")));
    log.record(row(at("2031-11-01T00:00:00Z")));
    await log.flush();
    expect(await partitions()).toEqual(expect.arrayContaining(["interaction_2031_10", "interaction_2031_11"]));
    const before = (await partitions()).filter((name) => name < "interaction_2031");
    await log.turnMonths();
    const after = await partitions();
    expect(before.length).toBe(3);
    expect(after).toEqual(["interaction_2031_11", "interaction_2031_12", "interaction_2032_01", "interaction_2032_02"]);
  });
});

test("calls that the database does not take wait, the oldest are given up, and the rest is written later", async () => {
  const log = createInteractionLog(ctx);
  const nowMs = ctx.clock.nowMs();
  const waiting = 11_000;
  await sql`alter table interaction rename to interaction_gone`.execute(ctx.db);
  for (let index = 0; index < waiting; index += 1)
    log.record({ ...emptyRow, at_ms: nowMs, request_id: `req_${index}` });
  await expect(log.flush()).rejects.toThrow("interaction");
  await sql`alter table interaction_gone rename to interaction`.execute(ctx.db);
  await log.flush();
  const { count } = await ctx.db
    .selectFrom("interaction")
    .select(({ fn }) => fn.countAll<number>().as("count"))
    .where("route", "=", "/burst")
    .executeTakeFirstOrThrow();
  expect(Number(count)).toBeGreaterThan(9_000);
  expect(Number(count)).toBeLessThan(waiting);
});

const emptyRow: Omit<InteractionRow, "at_ms" | "request_id"> = {
  caller_kind: "operator",
  client_id: null,
  marketplace_id: null,
  creator_id: null,
  upstream_id: null,
  method: "GET",
  route: "/burst",
  dataset_id: null,
  dataset_version: null,
  status: 200,
  code: null,
  duration_ms: 1,
};
