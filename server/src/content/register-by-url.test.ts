import { type JsonObject, sha256Hex } from "@licet/protocol";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { once } from "node:events";
import { createHash } from "node:crypto";
import { afterAll, describe, expect, test } from "vitest";
import { enrolCreator, expectStatus, uniqueId } from "../../../test/fixtures/actors.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";

const CATALOGUE = new URL("../../../examples/catalogue/", import.meta.url);
const MODIFIED = "Sat, 01 Nov 2025 12:00:00 GMT";

interface Page {
  readonly body: Buffer;
  readonly headers?: Readonly<Record<string, string>>;
  readonly status?: number;
}

const pages = new Map<string, Page>();
const asked: string[] = [];
const site = createServer((request, response) => {
  const path = request.url ?? "";
  asked.push(path);
  const {
    body,
    headers = { "last-modified": MODIFIED },
    status = 200,
  } = pages.get(path) ?? {
    body: Buffer.alloc(0),
    status: 404,
  };
  response.writeHead(status, headers).end(body);
}).listen(0, "127.0.0.1");
await once(site, "listening");
const address = site.address();
const host = `127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
afterAll(() => {
  site.closeAllConnections();
  site.close();
});

const MAX_SOURCE_BYTES = 2_000_000;
const platform = await startPlatform({ allowedHosts: [host], maxSourceBytes: MAX_SOURCE_BYTES });
const ana = await enrolCreator(platform);

/** Puts a page on the site and answers its URL. */
function put(name: string, page: Page): string {
  pages.set(`/${name}`, page);
  return `http://${host}/${name}`;
}

function text(words: string): Page {
  return { body: Buffer.from(words) };
}

async function register(url: string, members: JsonObject = {}) {
  return platform.operator.post("/api/v1/content", { creator_id: ana.creatorId, canonical_url: url, ...members });
}

describe("a work that is registered by its URL alone", () => {
  test.each([
    ["ana-field-recordings/dawn-at-the-weir.mp3", "audio/mpeg", true],
    ["ana-field-recordings/rain-on-a-tin-roof.ogg", "audio/ogg", true],
    ["chidi-frames/lanterns-on-the-lagoon.mp4", "video/mp4", true],
    ["chidi-frames/low-tide-heron.webp", "image/webp", false],
    ["bram-essays/a-map-is-a-promise.md", "text/markdown", false],
  ])("is read and described: %s", async (file, mimeType, isTimed) => {
    const body = readFileSync(new URL(file, CATALOGUE));
    const url = put(`${uniqueId("")}/${file}`, { body, headers: { "last-modified": MODIFIED } });
    const answer = expectStatus(await register(url), 201);
    expect(answer.body).toMatchObject({
      canonical_url: url,
      sha256: createHash("sha256").update(body).digest("hex"),
      size_bytes: body.length,
      mime_type: mimeType,
      created_at: "2025-11-01T12:00:00Z",
      revision: 1,
    });
    expect(answer.body.length_ms > 1_000).toBe(isTimed);
  });

  test("takes the type of text from the answer where the URL names none", async () => {
    const headers = { "content-type": "text/html; charset=utf-8", "last-modified": MODIFIED };
    const url = put(uniqueId("watch-"), { body: Buffer.from("<p>BM</p>"), headers });
    expect((await register(url)).body.mime_type).toBe("text/html");
  });

  test("is found behind a redirect, and is still at its own URL", async () => {
    const target = put(`${uniqueId("cdn-")}.txt`, text("behind"));
    const url = put(`${uniqueId("work-")}.txt`, { body: Buffer.alloc(0), status: 302, headers: { location: target } });
    expect((await register(url)).body).toMatchObject({ canonical_url: url, sha256: sha256Hex("behind") });
  });

  test("may be described further, and what is given must agree", async () => {
    const url = put(`${uniqueId("work-")}.txt`, text("agreed"));
    const given = { sha256: sha256Hex("agreed"), mime_type: "text/x-verse", created_at: "2020-01-01T00:00:00Z" };
    expect(await register(url, { ...given, sha256: sha256Hex("other"), read_url: true })).toMatchObject({
      status: 422,
      body: { code: "source_mismatch" },
    });
    for (const wrong of [{ size_bytes: 7 }, { mime_type: "audio/mpeg" }])
      expect((await register(url, wrong)).body.code).toBe("source_mismatch");
    expect((await register(url, { ...given, read_url: true })).body).toMatchObject({ ...given, size_bytes: 6 });
  });

  test("is not read when its hash is given and nobody asks", async () => {
    const url = put(`${uniqueId("unread-")}.txt`, text("unread"));
    const given = { sha256: sha256Hex("trusted"), mime_type: "text/plain", created_at: "2020-01-01T00:00:00Z" };
    expectStatus(await register(url, given), 201);
    expect(asked).not.toContain(new URL(url).pathname);
    expect((await register(url, { sha256: given.sha256 })).body.code).toBe("input_invalid");
  });

  test.each<[string, () => string, string]>([
    ["is not there", () => `http://${host}/${uniqueId("missing-")}`, "source_unavailable"],
    ["says nothing about its age", () => put(`${uniqueId("a")}.txt`, { ...text("a"), headers: {} }), "input_invalid"],
    ["is of no known type", () => put(uniqueId("b"), text("just words")), "input_invalid"],
    [
      "calls itself text and is none",
      () => put(`${uniqueId("c")}.txt`, { body: Buffer.from([0xff]) }),
      "input_invalid",
    ],
    [
      "is larger than the limit",
      () => put(uniqueId("d"), { body: Buffer.alloc(MAX_SOURCE_BYTES + 1) }),
      "source_too_large",
    ],
    ["is inside", () => `http://127.0.0.1:1/${uniqueId("e")}`, "url_forbidden"],
    ["is metadata", () => "https://169.254.169.254/latest/meta-data/", "url_forbidden"],
    [
      "moves inside",
      () => put(uniqueId("f"), { body: Buffer.alloc(0), status: 302, headers: { location: "http://10.0.0.1/" } }),
      "url_forbidden",
    ],
  ])("is refused when its URL %s", async (_what, url, code) => {
    const before = await platform.server.ctx.db.selectFrom("content_item").select("content_id").execute();
    expect((await register(url())).body.code).toBe(code);
    expect(await platform.server.ctx.db.selectFrom("content_item").select("content_id").execute()).toEqual(before);
  });
});

test("a bulk registers by URL and by hash, a result for each line in their order", async () => {
  const [first, second] = [put(`${uniqueId("1-")}.txt`, text("one")), put(`${uniqueId("2-")}.txt`, text("two"))];
  const missing = `http://${host}/${uniqueId("missing-")}`;
  const described = { sha256: sha256Hex("x"), mime_type: "image/png", created_at: "2020-01-01T00:00:00Z" };
  const lines: JsonObject[] = [
    { canonical_url: first },
    { canonical_url: missing },
    { canonical_url: second },
    { canonical_url: `https://works.example/${uniqueId("")}`, ...described },
    { canonical_url: first },
    { canonical_url: first, sha256: sha256Hex("three"), read_url: true },
  ];
  const answer = await platform.operator.send("POST", "/api/v1/content/bulk", {
    body: lines.map((line) => JSON.stringify({ creator_id: ana.creatorId, ...line })).join("\n"),
    headers: { "content-type": "application/x-ndjson" },
  });
  const results = expectStatus(answer, 200)
    .text.trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(results.map(({ line, status, problem }) => [line, status, problem?.code])).toEqual([
    [1, "created", undefined],
    [2, "refused", "source_unavailable"],
    [3, "created", undefined],
    [4, "created", undefined],
    [5, "unchanged", undefined],
    [6, "refused", "source_mismatch"],
  ]);
});

describe("a refresh", () => {
  test("makes a new revision when the bytes changed, and none when they did not", async () => {
    const name = `${uniqueId("work-")}.txt`;
    const url = put(name, text("first"));
    const lineage = ["https://elsewhere.example/original"];
    const { content_id } = expectStatus(await register(url, { lineage }), 201).body;
    const refresh = () => platform.operator.post(`/api/v1/content/${content_id}/refresh`);
    expect((await refresh()).body).toMatchObject({ status: "unchanged", item: { content_id, revision: 1 } });
    put(name, text("second"));
    expect(await refresh()).toMatchObject({
      status: 200,
      body: { status: "revised", item: { revision: 2, sha256: sha256Hex("second"), size_bytes: 6, lineage } },
    });
    expect((await refresh()).body.status).toBe("unchanged");
    pages.delete(`/${name}`);
    expect((await refresh()).body.code).toBe("source_unavailable");
    expect((await platform.operator.get(`/api/v1/content/${content_id}`)).body.revision).toBe(2);
  });

  test("is for works that are there, and not for creators", async () => {
    expect((await platform.operator.post("/api/v1/content/nothing/refresh")).body.code).toBe("not_found");
    const url = put(`${uniqueId("work-")}.txt`, text("mine"));
    const { content_id } = expectStatus(await register(url), 201).body;
    expect((await ana.caller.post(`/api/v1/content/${content_id}/refresh`)).body.code).toBe("forbidden");
    expectStatus(await ana.caller.post(`/api/v1/creators/${ana.creatorId}/revocations`, { content_id }), 200);
    expect((await platform.operator.post(`/api/v1/content/${content_id}/refresh`)).body.code).toBe("item_withdrawn");
  });
});
