import { STATUS_LIST_ENTRIES, accept, verifyKeySet, verifyStatusList } from "@licet/protocol";
import { sql } from "kysely";
import { describe, expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  publishDataset,
  registerWork,
} from "../../../test/fixtures/actors.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { rawRequest } from "../../../test/fixtures/raw-request.ts";
import { readStatusBit } from "../../../test/fixtures/status-bit.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { type StatusPlace, allocateStatus } from "./allocate-status.ts";
import { setStatuses } from "./set-status.ts";

const platform = await startPlatform();
const { ctx } = platform.server;
const ana = await enrolCreator(platform);

async function inFact<T>(work: (fact: Fact) => Promise<T>): Promise<T> {
  const done = await writeFact<T>(ctx, async (fact) => accept(await work(fact)));
  if (!done.ok) throw new Error(done.refusal.detail);
  return done.value;
}

async function allocate(count: number): Promise<readonly StatusPlace[]> {
  return inFact(async (fact) => {
    const places: StatusPlace[] = [];
    while (places.length < count) places.push(await allocateStatus(fact));
    return places;
  });
}

describe("status indices", () => {
  test("are unique, also when many are given out at once", async () => {
    const batches = await Promise.all(Array.from({ length: 8 }, () => allocate(100)));
    const places = batches.flat().map((place) => `${place.status_list}/${place.status_idx}`);
    expect(new Set(places).size).toBe(800);
  });

  test("are spread over the whole list, so that neighbours tell nothing", async () => {
    const indices = (await allocate(1_000)).map((place) => place.status_idx);
    const perEighth = Array.from(
      { length: 8 },
      (_, eighth) => indices.filter((idx) => Math.floor((idx / STATUS_LIST_ENTRIES) * 8) === eighth).length,
    );
    expect(Math.min(...perEighth)).toBeGreaterThan(75);
    const ascents = indices.filter((idx, at) => at > 0 && idx > (indices[at - 1] ?? 0)).length;
    expect(ascents).toBeGreaterThan(400);
    expect(ascents).toBeLessThan(600);
  });

  test("are given to consents, works and datasets alike, and giving one out changes no list", async () => {
    await giveConsent(ana);
    const before = await platform.anonymous.get("/status-lists/1");
    const work = await registerWork(platform, ana.creatorId);
    const { claims } = await giveConsent(ana);
    const { dataset_id } = await publishDataset(platform, [work]);
    const item = (await platform.operator.get(`/api/v1/content/${work}`)).body;
    const { status_reference } = (await platform.anonymous.get(`/datasets/${dataset_id}/manifest.json`)).body;
    const places = [claims.status, item.status, status_reference].map(({ status_list }) => status_list);
    expect(new Set(places.map(({ idx }) => idx)).size).toBe(3);
    expect(places.every(({ uri }) => uri === `${platform.origin}/status-lists/1`)).toBe(true);
    expect((await platform.anonymous.get("/status-lists/1")).text).toBe(before.text);
  });
});

describe("a status list", () => {
  test("verifies with the protocol as well as with jose, and grows in seq with each change", async () => {
    const { claims, jti } = await giveConsent(ana);
    const { uri } = claims.status.status_list;
    const now = Math.floor(platform.clock.nowMs() / 1_000);
    const keys = await verifyKeySet(
      (await platform.anonymous.get("/.well-known/keys.json")).body,
      platform.origin,
      now,
    );
    if (!keys.ok) throw new Error(keys.refusal.detail);
    const read = async () =>
      verifyStatusList((await platform.anonymous.get(uri.slice(platform.origin.length))).text, {
        uri,
        keys: keys.value,
        now,
      });
    const before = await read();
    expectStatus(await ana.caller.post(`/api/v1/consents/${jti}/revoke`, {}), 200);
    const after = await read();
    if (!before.ok || !after.ok) throw new Error("expected both lists to verify");
    expect(after.value.seq).toBeGreaterThan(before.value.seq);
    expect(after.value.exp - after.value.iat).toBe(300);
    expect(await readStatusBit(platform, { status: claims.status })).toBe(1);
  });

  test("keeps every bit when many are set at once", async () => {
    const places = await allocate(60);
    const set = places.filter((_, at) => at % 2 === 0);
    await Promise.all(
      Array.from({ length: 6 }, (_, part) =>
        inFact(async (fact) =>
          setStatuses(fact, set.slice(part * 5, part * 5 + 5), part % 2 === 0 ? "revoked" : "suspended"),
        ),
      ),
    );
    const bits = await Promise.all(
      places.map(({ status_list, status_idx }) =>
        readStatusBit(platform, {
          status: { status_list: { idx: status_idx, uri: `${platform.origin}/status-lists/${status_list}` } },
        }),
      ),
    );
    expect(bits.filter((_, at) => at % 2 === 1)).toEqual(Array<number>(30).fill(0));
    expect(bits.filter((_, at) => at % 2 === 0)).toEqual(
      Array.from({ length: 30 }, (_, at) => (Math.floor(at / 5) % 2 === 0 ? 1 : 2)),
    );
  });
});

test("a status that has no place in its list is a fault, and nothing of its fact is committed", async () => {
  const [place] = await allocate(1);
  if (place === undefined) throw new Error("expected a place");
  const before = await platform.anonymous.get("/status-lists/1");
  const taken = await sql<{ idx: number }>`select idx from status_index where list = 1`.execute(ctx.db);
  const held = new Set(taken.rows.map((row) => row.idx));
  const missing = {
    status_list: 1,
    status_idx: Array.from({ length: 10_000 }, (_, idx) => idx).find((idx) => !held.has(idx)) ?? 0,
  };
  await expect(inFact(async (fact) => setStatuses(fact, [place, missing], "revoked"))).rejects.toThrow(
    "expected list 1 to hold 2 places, got 1",
  );
  expect((await platform.anonymous.get("/status-lists/1")).text).toBe(before.text);
});

test("a list that has filled up is followed by the next one, which is published by then", async () => {
  await sql`alter table status_index drop constraint status_index_list_fkey`.execute(ctx.db);
  await sql`insert into status_index (list, idx) select 1, idx from generate_series(0, ${STATUS_LIST_ENTRIES - 1}) idx where idx % 3 < 2 on conflict do nothing`.execute(
    ctx.db,
  );
  expect((await rawRequest(platform.origin, "/status-lists/2")).status).toBe(404);
  const lists = (await allocate(50)).map((place) => place.status_list);
  expect(lists.at(-1)).toBe(2);
  expect((await rawRequest(platform.origin, "/status-lists/2")).status).toBe(200);
  expect((await rawRequest(platform.origin, "/status-lists/3")).status).toBe(404);
});
