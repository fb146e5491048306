import { EDGE_REFRESH_PATH } from "@licet/protocol";
import { expect, test } from "vitest";
import { expectStatus } from "../../../test/fixtures/actors.ts";
import { freePort, startPlatform } from "../../../test/fixtures/platform.ts";
import { eventOf, publishCollection, withdraw } from "../../../test/fixtures/purges.ts";
import { startSink } from "../../../test/fixtures/webhook-sink.ts";

const edge = await startSink();
const dead = `http://127.0.0.1:${await freePort()}`;
const platform = await startPlatform({ purges: { targets: [], edges: [new URL(edge.url("")), new URL(dead)] } });
edge.reply(EDGE_REFRESH_PATH, ({ body }) => {
  const { seq, documents } = JSON.parse(body);
  return { status: 200, body: JSON.stringify({ seq, refreshed: documents.length, known: false }) };
});

test("the timeline says when each edge was refreshed, and which is not there", async () => {
  const collection = await publishCollection(platform, 1);
  const id = await withdraw(platform, collection, collection.contentIds[0] ?? "");
  const entriesOf = async (): Promise<readonly Record<string, unknown>[]> => {
    const { body } = expectStatus(await platform.operator.get(`/api/v1/revocations/${id}`), 200);
    return body.entries.filter((entry: { readonly leg: string }) => entry.leg === "edge");
  };
  await expect
    .poll(async () => (await entriesOf()).map(({ state, last_error }) => [state, typeof last_error].join()).sort(), {
      timeout: 20_000,
      interval: 50,
    })
    .toEqual(["done,undefined", "waiting,string"]);
  const [refreshed, away] = (await entriesOf()).toSorted((left) => (left["state"] === "done" ? -1 : 1));
  expect(refreshed).toMatchObject({ target: `edge:http://${edge.host}`, took_ms: expect.any(Number) });
  expect(away).toMatchObject({ target: `edge:${dead}` });
  expect(away).not.toHaveProperty("took_ms");
});

test("a creator reads of them as of edge 1 and edge 2, and of no address", async () => {
  const collection = await publishCollection(platform, 1);
  const id = await withdraw(platform, collection, collection.contentIds[0] ?? "");
  const read = () => collection.creator.caller.get(`/api/v1/revocations/${id}`);
  const targets = async (): Promise<readonly string[]> =>
    expectStatus(await read(), 200).body.entries.map((entry: { readonly target: string }) => entry.target);
  await expect.poll(targets, { timeout: 20_000, interval: 50 }).toEqual(["database", "edge 1", "edge 2"]);
  expect(JSON.stringify((await read()).body.entries)).not.toContain("127.0.0.1");
});

test("the end of a key is followed like every other refusal, for the platform alone", async () => {
  const { creator } = await publishCollection(platform, 1);
  const { body } = expectStatus(await platform.operator.get("/api/v1/keys"), 200);
  const { kid } = body.keys.find((key: { purpose: string; status: string }) => key.purpose === "document");
  expectStatus(await platform.operator.post(`/api/v1/keys/${kid}/revoke`), 200);
  const id = await eventOf(platform, kid, "key.revoked");
  const read = async () => expectStatus(await platform.operator.get(`/api/v1/revocations/${id}`), 200).body;
  await expect
    .poll(async () => (await read()).legs, { timeout: 20_000, interval: 50 })
    .toMatchObject([
      { leg: "committed", done: 1 },
      { leg: "edge", targets: 2, done: 1 },
    ]);
  expect(await read()).toMatchObject({ type: "key.revoked", aggregate: kid });
  expectStatus(await creator.caller.get(`/api/v1/revocations/${id}`), 404);
});
