import { revoke, ANA, BRAM } from "@licet/sdk/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readConfig } from "./config.ts";
import {
  ORIGIN,
  PLATFORM_TOKEN,
  type Stage,
  connectionOf,
  registrationOf,
  setStage,
} from "./testing/started-marketplace.ts";

let stage: Stage;

beforeEach(async () => {
  stage = await setStage();
});
afterEach(() => stage.end());

describe("a registration", () => {
  it("verifies everything and stores the dataset", async () => {
    await stage.connect();
    const registered = await stage.register();
    expect(registered).toMatchObject({
      status: 201,
      body: {
        dataset_id: "ds_sample",
        version: 1,
        training: "allowed",
        reason: null,
        items_count: 3,
        status: "active",
        verified_at: "2026-01-18T12:05:00Z",
      },
    });
    expect(await stage.call("GET", "/api/v1/datasets/ds_sample")).toMatchObject({ status: 200, body: registered.body });
    expect(await stage.call("GET", "/api/v1/datasets")).toMatchObject({
      status: 200,
      body: { datasets: [registered.body], next: null },
    });
  });

  it("answers 200 when it has the dataset already, and survives a restart", async () => {
    await stage.connect();
    await stage.register();
    await stage.restart();
    expect(await stage.register()).toMatchObject({ status: 200, body: { training: "allowed" } });
  });

  it("names every check that failed, and stores nothing", async () => {
    await stage.connect();
    stage.platform.edits.set("/datasets/ds_sample/versions/1/manifest.json", (content) => ({
      ...content,
      items_root: "0".repeat(64),
    }));
    const refused = await stage.register();
    expect(refused).toMatchObject({
      status: 422,
      body: {
        code: "input_invalid",
        errors: [
          { at: "manifest_hash", code: "document_invalid" },
          { at: "items_root", code: "root_mismatch" },
        ],
      },
    });
    expect(refused.headers.get("content-type")).toBe("application/problem+json");
    expect(await stage.call("GET", "/api/v1/datasets/ds_sample")).toMatchObject({
      status: 404,
      body: { code: "not_found" },
    });
  });

  it("asks to come again when the platform cannot be asked", async () => {
    await stage.connect();
    stage.platform.answers.set("/.well-known/keys.json", () => new Response(null, { status: 502 }));
    const refused = await stage.register();
    expect(refused).toMatchObject({ status: 503, body: { code: "unavailable" } });
    expect(refused.headers.get("retry-after")).toBe("2");
  });

  it.each([
    ["another marketplace", { marketplace_id: "mkt_2" }],
    ["another platform", { origin: "https://elsewhere.example" }],
    ["a manifest elsewhere", { manifest_url: "https://elsewhere.example/datasets/ds_sample/manifest.json" }],
    ["another dataset's manifest", { manifest_url: `${ORIGIN}/datasets/ds_other/manifest.json` }],
    ["nonsense", { version: "one" }],
  ])("is refused when it speaks of %s", async (_, members) => {
    await stage.connect();
    const body = { ...registrationOf(stage.platform), ...members };
    expect(await stage.call("POST", "/api/v1/datasets", { token: PLATFORM_TOKEN, body })).toMatchObject({
      status: 422,
      body: { code: "input_invalid" },
    });
  });

  it("is refused for consents that name another marketplace", async () => {
    const other = await setStage({ aud: ["mkt_2"] });
    await other.connect();
    expect(await other.register()).toMatchObject({
      status: 422,
      body: { errors: [{ at: "item_coverage", code: "audience_excluded" }] },
    });
    await other.end();
  });

  it("is refused for a dataset that was taken back", async () => {
    await stage.connect();
    revoke(stage.platform.facts, ANA.jti, stage.clock.now);
    revoke(stage.platform.facts, BRAM.jti, stage.clock.now);
    expect(await stage.register()).toMatchObject({
      status: 422,
      body: { errors: [{ at: "dataset_state", code: "consent_revoked" }, { at: "dataset_bit" }] },
    });
  });

  it("does not go through when a refusal arrives while it is under way", async () => {
    await stage.connect();
    const { platform } = stage;
    platform.answers.set("/.well-known/consent-revocations.json", async (request) => {
      platform.answers.delete("/.well-known/consent-revocations.json");
      expect(await stage.deliver({ change: "revoked", sequence: 1, jti: BRAM.jti })).toMatchObject({
        status: 200,
        body: { effect: "ignored" },
      });
      return platform.handle(request);
    });
    expect(await stage.register()).toMatchObject({ status: 409, body: { code: "conflict" } });
    expect(await stage.register()).toMatchObject({ status: 201 });
  });
});

describe("the front door", () => {
  it.each([
    ["GET", "/api/v1/datasets", undefined, 401],
    ["GET", "/api/v1/datasets", "wrong", 401],
    ["GET", "/api/v1/datasets", PLATFORM_TOKEN, 403],
    ["POST", "/api/v1/datasets", undefined, 401],
    ["PUT", "/api/v1/connection", PLATFORM_TOKEN, 403],
    ["GET", "/api/v1/usage-receipts", PLATFORM_TOKEN, 200],
    ["GET", "/healthz", undefined, 200],
    ["GET", "/nowhere", undefined, 404],
    ["DELETE", "/api/v1/datasets/ds_sample", undefined, 405],
  ])("answers %s %s with the token %s by %i", async (method, path, token, status) => {
    expect((await stage.call(method, path, { token })).status).toBe(status);
  });

  it("says which methods a path takes", async () => {
    const refused = await stage.call("DELETE", "/api/v1/connection");
    expect(refused.headers.get("allow")).toBe("PUT, GET");
  });

  it("refuses bodies that are too long, of another type or no JSON", async () => {
    const put = (body: string, headers = {}): Promise<{ status: number }> =>
      stage.call("PUT", "/api/v1/connection", { body, headers });
    expect((await put(" ".repeat(70_000))).status).toBe(413);
    expect((await put("{}", { "content-type": "text/plain" })).status).toBe(415);
    expect((await put('{"a":1,"a":2}')).status).toBe(400);
  });

  it("takes a connection over a confidential channel only, and shows it without its secrets", async () => {
    const connection = connectionOf(stage.platform);
    const refused = await stage.call("PUT", "/api/v1/connection", {
      body: { ...connection, origin: "http://platform.example", webhook_secret: "whsec_short" },
    });
    expect(refused).toMatchObject({ status: 422, body: { errors: [{ at: "origin" }, { at: "webhook_secret" }] } });
    const shown = await stage.connect();
    expect(shown).toMatchObject({
      status: 200,
      body: { origin: ORIGIN, marketplace_id: "mkt_1", receipt_key: { jwk: { kty: "OKP" } } },
    });
    expect(JSON.stringify(shown.body)).not.toMatch(/secret|whsec/);
  });
});

describe("the environment", () => {
  const complete = { MARKETPLACE_TOKEN: "a", MARKETPLACE_PLATFORM_TOKEN: "b" };

  it("is read once, with defaults", () => {
    expect(readConfig({ ...complete, MARKETPLACE_PORT: "0" })).toEqual({
      host: "127.0.0.1",
      port: 0,
      dataDir: "data/marketplace",
      token: "a",
      platformToken: "b",
      allowedHosts: [],
      exitWithParent: false,
      test: false,
    });
    expect(
      readConfig({ ...complete, MARKETPLACE_CONNECTION: JSON.stringify(connectionOf(stage.platform)) }).connection,
    ).toMatchObject({ marketplace_id: "mkt_1" });
  });

  it.each([
    ["MARKETPLACE_TOKEN", { MARKETPLACE_PLATFORM_TOKEN: "b" }],
    ["two different tokens", { ...complete, MARKETPLACE_TOKEN: "b" }],
    ["MARKETPLACE_PORT", { ...complete, MARKETPLACE_PORT: "70000" }],
    ["MARKETPLACE_ALLOW_HOSTS", { ...complete, MARKETPLACE_ALLOW_HOSTS: "localhost" }],
    ["MARKETPLACE_CONNECTION", { ...complete, MARKETPLACE_CONNECTION: "{}" }],
  ])("is refused in words about %s", (words, env) => {
    expect(() => readConfig(env)).toThrow(words);
  });
});
