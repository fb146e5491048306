import {
  generatePrivateJwk,
  publicJwkOf,
  signerOf,
  verifyCountersignature,
  verifyKeySet,
  parseJsonObject,
  type JsonObject,
  type KeySet,
} from "@licet/protocol";
import { beforeEach, describe, expect, it } from "vitest";
import { accessTokenRequest, datasetsRequest, jsonRequest, receiptRequest } from "./api-requests.ts";
import { nextPageUrl, parseDatasets } from "./api-answers.ts";
import { type LicetClient, createClient } from "./client.ts";
import { parseProblem } from "./problem.ts";
import { send } from "./send.ts";
import { type ReceiptContent, signReceipt } from "./sign-receipt.ts";
import { type SamplePlatform, createSamplePlatform } from "./testing/sample-platform.ts";

const ORIGIN = "https://platform.example";
const NOW = 1_768_737_900;

let clock = NOW;
const now = (): number => clock;
let platform: SamplePlatform;
let client: LicetClient;

beforeEach(async () => {
  clock = NOW;
  platform = await createSamplePlatform({ origin: ORIGIN, now });
  client = createClient({ origin: ORIGIN, ...platform.credentials, fetch: platform.fetch, now });
});

function bytes(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

describe("access tokens", () => {
  it("are asked for with form-encoded credentials", () => {
    const request = accessTokenRequest({
      tokenEndpoint: `${ORIGIN}/oauth/token`,
      ...platform.credentials,
      scope: "datasets:read",
    });
    expect(atob(request.headers["authorization"]?.slice("Basic ".length) ?? "")).toBe("client%3Aone:s+cret%2B%25");
    expect(request.body).toBe("grant_type=client_credentials&scope=datasets%3Aread");
  });

  it("are held, shared by calls at the same time, and replaced before they expire", async () => {
    await Promise.all([client.getDataset("ds_sample"), client.getDataset("ds_sample")]);
    expect(platform.counts.tokens).toBe(1);
    clock = NOW + 269;
    await client.getDataset("ds_sample");
    expect(platform.counts.tokens).toBe(1);
    clock = NOW + 270;
    await client.getDataset("ds_sample");
    expect(platform.counts.tokens).toBe(2);
  });

  it("are replaced once when the server takes them no longer", async () => {
    await client.getDataset("ds_sample");
    platform.counts.tokens += 5;
    expect(await client.getDataset("ds_sample")).toMatchObject({ ok: true });
    platform.answers.set("/api/v1/datasets/ds_sample", () => new Response(null, { status: 401 }));
    const asked = platform.counts.tokens;
    expect(await client.getDataset("ds_sample")).toMatchObject({
      ok: false,
      refusal: { status: 401, code: "unauthenticated" },
    });
    expect(platform.counts.tokens).toBe(asked + 1);
  });

  it("are refused in words when the credentials are wrong", async () => {
    const stranger = createClient({
      origin: ORIGIN,
      clientId: "client:one",
      clientSecret: "wrong",
      fetch: platform.fetch,
      now,
    });
    expect(await stranger.getDataset("ds_sample")).toMatchObject({
      ok: false,
      refusal: { status: 401, detail: "client authentication failed" },
    });
  });

  it("may be a session token from elsewhere", async () => {
    platform.answers.set("/api/v1/marketplaces", async (request) =>
      Response.json({ got: request.headers.get("authorization"), sent: await request.text() }),
    );
    const operator = createClient({ origin: ORIGIN, token: "operator-token", fetch: platform.fetch });
    const answer = await operator.sendJson({ method: "POST", path: "/api/v1/marketplaces", body: { name: "M" } });
    expect(answer).toEqual({ ok: true, value: { got: "Bearer operator-token", sent: '{"name":"M"}' } });
  });
});

describe("calls", () => {
  it("read datasets, items and consents page by page", async () => {
    expect(await client.getDataset("ds_sample")).toMatchObject({ ok: true, value: { state: "active", version: 1 } });
    const first = await client.listItems({ datasetId: "ds_sample", version: 1 });
    if (!first.ok) throw new Error(first.refusal.detail);
    expect(first.value.lines.map(({ position }) => position)).toEqual([0, 1]);
    expect(first.value.next).toBe(`${ORIGIN}/datasets/ds_sample/versions/1/items?after=1`);
    expect(await client.listItems({ datasetId: "ds_sample", version: 1 }, { after: "1" })).toMatchObject({
      value: { lines: [{ position: 2 }], next: null },
    });
    expect(await client.listConsents({ datasetId: "ds_sample", version: 1 })).toMatchObject({
      value: { lines: [{ position: 0 }, { position: 1 }] },
    });
  });

  it.each([
    ["waiting", "revoked"],
    ["held", "published"],
    ["cancelled", "license_expired"],
    ["delivered", "test"],
    ["failed", "endpoint_failing"],
  ])("read a delivery that is %s, about %s", async (state, change) => {
    const delivery = {
      event_id: "evt_1",
      endpoint_id: "whe_1",
      dataset_id: "ds_sample",
      change,
      sequence: 3,
      state,
      attempts: [],
    };
    platform.answers.set("/api/v1/webhook-deliveries", () => Response.json({ deliveries: [delivery], next: null }));
    expect(await client.listDeliveries()).toMatchObject({ ok: true, value: { entries: [{ state, change }] } });
  });

  it("post receipts, and the platform countersigns them", async () => {
    const jwk = await generatePrivateJwk("EdDSA");
    const content: ReceiptContent = {
      iss: "mkt_1",
      aud: ORIGIN,
      model_id: "model-1",
      dataset_id: "ds_sample",
      dataset_version: 1,
      dataset_fingerprint: "a".repeat(64),
      model_fingerprint: "b".repeat(64),
      usage: { unit: "tokens", count: 12 },
    };
    const receipt = await signReceipt(content, await signerOf(jwk), now);
    expect(await client.postReceipt(receipt)).toMatchObject({
      ok: false,
      refusal: { code: "receipt_key_unknown", status: 401 },
    });
    expect(await client.registerReceiptKey("mkt_1", publicJwkOf(jwk))).toMatchObject({
      ok: true,
      value: { alg: "EdDSA" },
    });
    const posted = await client.postReceipt(receipt);
    if (!posted.ok) throw new Error(posted.refusal.detail);
    expect(posted.value.receipt).toMatchObject({
      tokens_used: 12,
      licensed_at: "2026-01-18T12:05:00Z",
      period: { from: "2026-01-18T12:05:00Z" },
    });
    expect(await verifyCountersignature(posted.value.document, await keySet())).toMatchObject({ ok: true });
    expect(await client.listReceipts({ datasetId: "ds_sample" })).toMatchObject({
      value: { entries: [{ receipt: { receipt_id: receipt.receipt_id } }], next: null },
    });
  });

  it("refuse a path that would carry the token elsewhere", () => {
    expect(() => jsonRequest(ORIGIN, { method: "GET", path: "//elsewhere.example/x" })).toThrow(TypeError);
    expect(() => createClient({ origin: `${ORIGIN}/`, token: "t" })).toThrow(TypeError);
  });
});

async function keySet(): Promise<KeySet> {
  const document = parseJsonObject(await (await platform.fetch(`${ORIGIN}/.well-known/keys.json`, {})).text());
  const keys = document.ok ? await verifyKeySet(document.value, ORIGIN, NOW) : document;
  if (!keys.ok) throw new Error(keys.refusal.detail);
  return keys.value;
}

describe("sending", () => {
  it("repeats what may be repeated when the server asks for a short pause", async () => {
    let calls = 0;
    const fetch = async (): Promise<Response> =>
      (calls += 1) < 3 ? new Response(null, { status: 503, headers: { "retry-after": "0" } }) : Response.json({});
    expect(await send(receiptRequest(ORIGIN, {}), { fetch })).toMatchObject({ value: { status: 200 } });
    expect(calls).toBe(3);
  });

  it.each([
    ["what has an effect", jsonRequest(ORIGIN, { method: "POST", path: "/x", body: {} }), "0"],
    ["what the server puts off for long", jsonRequest(ORIGIN, { method: "GET", path: "/x" }), "3600"],
  ])("does not repeat %s", async (_, request, retryAfter) => {
    let calls = 0;
    const fetch = async (): Promise<Response> => (
      (calls += 1),
      new Response(null, { status: 503, headers: { "retry-after": retryAfter } })
    );
    expect(await send(request, { fetch })).toMatchObject({ value: { status: 503 } });
    expect(calls).toBe(1);
  });

  it("answers a network failure as a refusal", async () => {
    const fetch = async (): Promise<Response> => {
      throw new TypeError("fetch failed", { cause: new Error("connect ECONNREFUSED") });
    };
    expect(await send(datasetsRequest(ORIGIN), { fetch })).toMatchObject({
      refusal: { code: "unavailable", detail: `GET ${ORIGIN}/api/v1/datasets: fetch failed: connect ECONNREFUSED` },
    });
  });
});

describe("parsing", () => {
  it("reads problems, with every offender", () => {
    const body = {
      code: "items_not_covered",
      title: "T",
      detail: "D",
      request_id: "req_1",
      errors: [
        { at: "content_1", code: "no_consent", detail: "none" },
        { at: "x", code: "made_up", detail: "" },
      ],
    };
    expect(
      parseProblem({ status: 422, headers: new Headers({ "retry-after": "7" }), body: bytes(JSON.stringify(body)) }),
    ).toEqual({
      code: "items_not_covered",
      status: 422,
      title: "T",
      detail: "D",
      offences: [{ at: "content_1", code: "no_consent", detail: "none" }],
      requestId: "req_1",
      retryAfterSeconds: 7,
    });
  });

  it("judges an answer that is no problem document by its status", () => {
    expect(parseProblem({ status: 502, headers: new Headers(), body: bytes("<html>") })).toMatchObject({
      code: "unavailable",
      detail: "expected a success, got status 502",
    });
  });

  it("refuses a success that is not what the route promises", () => {
    const answer = (body: JsonObject): Parameters<typeof parseDatasets>[0] => ({
      status: 200,
      headers: new Headers(),
      body: bytes(JSON.stringify(body)),
    });
    expect(
      parseDatasets(answer({ datasets: [{ dataset_id: "ds_1", status: "published", version: 1 }], next: "c" })),
    ).toMatchObject({ ok: true, value: { next: "c" } });
    expect(parseDatasets(answer({ datasets: [{}], next: null }))).toMatchObject({
      ok: false,
      refusal: { code: "document_invalid", status: 200 },
    });
    expect(parseDatasets(answer({}))).toMatchObject({ ok: false, refusal: { code: "document_invalid" } });
  });

  it("reads the next page out of Link", () => {
    const next = (link: string): string | null => nextPageUrl(new Headers({ link }), `${ORIGIN}/a?after=1`);
    expect(next('</a?after=2>; rel="next"')).toBe(`${ORIGIN}/a?after=2`);
    expect(next('</x>; rel="prev", </a?after=3>; rel=next')).toBe(`${ORIGIN}/a?after=3`);
    expect(next('</x>; rel="prev"')).toBe(null);
  });
});
