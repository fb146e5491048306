import { LICENSE_CHANGES, NOTICES, REMEDIATION_CHANGES, verifyKeySet, webhookPublicKeys } from "@licet/protocol";
import { describe, expect, test } from "vitest";
import {
  type RegisteredMarketplace,
  enrolCreator,
  expectStatus,
  registerMarketplace,
  uniqueId,
} from "../../../test/fixtures/actors.ts";
import type { Answer, Caller } from "../../../test/fixtures/caller.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { MAX_ENDPOINTS } from "./add-endpoint.ts";

const platform = await startPlatform();
const { db } = platform.server.ctx;
const path = "/api/v1/webhook-endpoints";
const urlOf = (): string => `https://marketplace.example/${uniqueId("hook-")}`;
const patch = (caller: Caller, id: string, body: object): Promise<Answer> =>
  caller.send("PATCH", `${path}/${id}`, {
    body: JSON.stringify(body),
    headers: { "content-type": "application/json" },
  });
const add = async (caller: Caller, body: object = {}): Promise<Answer["body"]> =>
  expectStatus(await caller.post(path, { url: urlOf(), ...body }), 201).body;

async function marketplace(): Promise<{ readonly registered: RegisteredMarketplace; readonly caller: Caller }> {
  const registered = await registerMarketplace(platform);
  return { registered, caller: await registered.call() };
}

describe("a webhook endpoint", () => {
  test("is added by its marketplace or the operator, several to one marketplace, each with a secret shown once", async () => {
    const { registered, caller } = await marketplace();
    const added = expectStatus(await caller.post(path, { url: "https://marketplace.example/staging" }), 201);
    expect(added.headers.get("cache-control")).toBe("no-store");
    const { secret, ...shown } = added.body;
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(shown).toEqual({
      endpoint_id: expect.stringMatching(/^whe_/),
      marketplace_id: registered.marketplaceId,
      url: "https://marketplace.example/staging",
      description: "",
      changes: expect.arrayContaining(["granted", "revoked", "published", "test"]),
      key_signed: false,
      state: "enabled",
      created_at: expect.any(String),
    });
    const second = await add(platform.operator, { marketplace_id: registered.marketplaceId, description: "Another" });
    expect((await caller.get(`${path}/${shown.endpoint_id}`)).body).toEqual(shown);
    const listed = expectStatus(await caller.get(path), 200);
    expect(listed.body.endpoints.map((endpoint: { endpoint_id: string }) => endpoint.endpoint_id)).toEqual([
      registered.endpointId,
      shown.endpoint_id,
      second.endpoint_id,
    ]);
    const kept = JSON.stringify(await db.selectFrom("event_body").select("body").execute());
    for (const text of [listed.text, kept]) expect(text).not.toContain(secret);
  });

  test("needs its marketplace to be named by the operator, and a marketplace that exists", async () => {
    expect(await platform.operator.post(path, { url: urlOf() })).toMatchObject({
      status: 422,
      body: { code: "input_invalid" },
    });
    expect(await platform.operator.post(path, { url: urlOf(), marketplace_id: "mkt_nobody" })).toMatchObject({
      status: 404,
    });
  });

  test.each([
    ["plain http", "http://marketplace.example/hook"],
    ["a private address", "https://10.0.0.7/hook"],
    ["the metadata service", "https://169.254.169.254/latest"],
    ["this machine", "https://127.0.0.1/hook"],
    ["this machine in IPv6 clothes", "https://[::ffff:127.0.0.1]/hook"],
    ["a user name", "https://user:secret@marketplace.example/hook"],
    ["no URL", "marketplace.example"],
  ])("is refused with %s, when it is added and when it is changed", async (_what, url) => {
    const { registered, caller } = await marketplace();
    expect((await caller.post(path, { url })).status).toBe(422);
    expect((await patch(caller, registered.endpointId, { url })).status).toBe(422);
    expect((await caller.get(path)).body.endpoints).toHaveLength(1);
  });

  test("is filtered by change, but for what somebody must stop for", async () => {
    const { caller } = await marketplace();
    const refusing = ["revoked", "suspended", "expired", "withdrawn", "erased"];
    const notices = [...NOTICES, ...LICENSE_CHANGES, ...REMEDIATION_CHANGES];
    const endpoint = await add(caller, { changes: ["published", "revoked"] });
    expect(endpoint.changes).toEqual([...refusing, "published", ...notices]);
    expect((await patch(caller, endpoint.endpoint_id, { changes: [] })).body.changes).toEqual([
      ...refusing,
      ...notices,
    ]);
    expect((await patch(caller, endpoint.endpoint_id, { changes: null })).body.changes).toEqual([
      ...refusing,
      "granted",
      "resumed",
      "published",
      ...notices,
    ]);
    expect((await patch(caller, endpoint.endpoint_id, { changes: ["everything"] })).status).toBe(422);
  });

  test("keeps what a change leaves out", async () => {
    const { caller } = await marketplace();
    const { secret: _secret, ...endpoint } = await add(caller, { changes: ["granted"], description: "Staging" });
    const url = urlOf();
    expect((await patch(caller, endpoint.endpoint_id, { url })).body).toEqual({ ...endpoint, url });
    expect((await patch(caller, endpoint.endpoint_id, { colour: "blue" })).status).toBe(422);
  });

  test("names the key that signs to it, where it asked for that", async () => {
    const { caller } = await marketplace();
    const endpoint = await add(caller, { key_signed: true });
    const document = (await platform.anonymous.get("/.well-known/keys.json")).body;
    const keys = await verifyKeySet(document, platform.origin, Math.floor(platform.clock.nowMs() / 1_000));
    expect(endpoint.public_keys).toEqual(keys.ok ? webhookPublicKeys(keys.value) : []);
    expect(endpoint.public_keys).toEqual([expect.stringMatching(/^whpk_[A-Za-z0-9+/]{43}=$/)]);
    expect((await patch(caller, endpoint.endpoint_id, { key_signed: false })).body).not.toHaveProperty("public_keys");
  });

  test("is deleted softly, and then no longer there", async () => {
    const { caller } = await marketplace();
    const { endpoint_id } = await add(caller);
    expect((await caller.send("DELETE", `${path}/${endpoint_id}`)).status).toBe(204);
    for (const answer of [
      await caller.get(`${path}/${endpoint_id}`),
      await caller.send("DELETE", `${path}/${endpoint_id}`),
      await patch(caller, endpoint_id, { url: urlOf() }),
      await caller.post(`${path}/${endpoint_id}/test`),
    ])
      expect(answer).toMatchObject({ status: 404, body: { code: "not_found" } });
    expect((await caller.get(path)).body.endpoints).toHaveLength(1);
    const row = await db
      .selectFrom("webhook_endpoint")
      .select("deleted_at")
      .where("endpoint_id", "=", endpoint_id)
      .executeTakeFirstOrThrow();
    expect(row.deleted_at).not.toBeNull();
  });

  test("that the operator disabled is enabled by the operator, one of its own by the marketplace", async () => {
    const { caller } = await marketplace();
    const { endpoint_id } = await add(caller);
    const own = `${path}/${endpoint_id}`;
    expect((await caller.post(`${own}/disable`)).body).toMatchObject({
      state: "disabled",
      disabled_reason: "marketplace",
      disabled_at: expect.any(String),
    });
    expect((await caller.post(`${own}/enable`)).body).toMatchObject({ state: "enabled" });
    expect((await platform.operator.post(`${own}/disable`)).body).toMatchObject({ disabled_reason: "operator" });
    expect((await caller.post(`${own}/disable`)).body).toMatchObject({ disabled_reason: "operator" });
    expect(await caller.post(`${own}/enable`)).toMatchObject({ status: 403, body: { code: "not_yours" } });
    expect((await platform.operator.post(`${own}/enable`)).body).not.toHaveProperty("disabled_reason");
    const types = await db.selectFrom("event").select("type").where("aggregate", "=", endpoint_id).execute();
    expect(types.map((row) => row.type).toSorted()).toEqual(
      ["added", "disabled", "enabled", "disabled", "enabled"].map((what) => `webhook-endpoint.${what}`).toSorted(),
    );
  });

  test("of somebody else is not there, for any verb", async () => {
    const [mine, theirs] = [await marketplace(), await marketplace()];
    const own = `${path}/${mine.registered.endpointId}`;
    for (const answer of [
      await theirs.caller.get(own),
      await patch(theirs.caller, mine.registered.endpointId, { description: "Taken" }),
      await theirs.caller.send("DELETE", own),
      await theirs.caller.post(`${own}/disable`),
      await theirs.caller.post(`${own}/enable`),
      await theirs.caller.post(`${own}/test`),
      await theirs.caller.post(`${own}/secret-rotations`, {}),
      await theirs.caller.post(`${own}/replays`, {}),
    ])
      expect(answer).toMatchObject({ status: 404, body: { code: "not_found" } });
    const asked = `marketplace_id=${mine.registered.marketplaceId}`;
    expect(await theirs.caller.get(`${path}?${asked}`)).toMatchObject({ status: 403, body: { code: "not_yours" } });
    expect(
      await theirs.caller.post(path, { url: urlOf(), marketplace_id: mine.registered.marketplaceId }),
    ).toMatchObject({ status: 403, body: { code: "not_yours" } });
    expect((await platform.operator.get(`${path}?${asked}`)).body.endpoints).toHaveLength(1);
    expect((await (await enrolCreator(platform)).caller.get(path)).status).toBe(403);
  });

  test("is one of at most as many as a marketplace may have, also when they come at once", async () => {
    const { caller } = await marketplace();
    const answers = await Promise.all(
      Array.from({ length: MAX_ENDPOINTS + 3 }, () => caller.post(path, { url: urlOf() })),
    );
    expect(answers.filter((answer) => answer.status === 201)).toHaveLength(MAX_ENDPOINTS - 1);
    expect(answers.find((answer) => answer.status !== 201)).toMatchObject({ status: 409, body: { code: "conflict" } });
  });

  test("is listed page by page", async () => {
    const { caller } = await marketplace();
    for (let count = 0; count < 4; count += 1) await add(caller);
    const ids: string[] = [];
    for (let after = ""; ;) {
      const { body } = await caller.get(`${path}?limit=2${after}`);
      ids.push(...body.endpoints.map((endpoint: { endpoint_id: string }) => endpoint.endpoint_id));
      if (body.next === null) break;
      after = `&after=${body.next}`;
    }
    expect(new Set(ids).size).toBe(5);
    expect(ids).toEqual(ids.toSorted());
  });
});

describe("a secret", () => {
  test("is replaced with an overlap, at most three times at once, and ended at once after a leak", async () => {
    const { registered, caller } = await marketplace();
    const rotations = `${path}/${registered.endpointId}/secret-rotations`;
    const before = platform.clock.nowMs();
    const rotated = expectStatus(await caller.post(rotations, {}), 201);
    expect(rotated.headers.get("cache-control")).toBe("no-store");
    expect(rotated.body).toEqual({
      endpoint_id: registered.endpointId,
      secret: expect.stringMatching(/^whsec_/),
      overlap_until: expect.any(String),
    });
    expect(rotated.body.secret).not.toBe(registered.webhookSecret);
    expect(Date.parse(rotated.body.overlap_until) - before).toBeGreaterThan(86_390_000);
    const endpoint = async () => (await caller.get(`${path}/${registered.endpointId}`)).body;
    expect(await endpoint()).toMatchObject({ older_secrets_until: rotated.body.overlap_until });
    for (const seconds of [60, 60]) expectStatus(await caller.post(rotations, { overlap_seconds: seconds }), 201);
    expect(await caller.post(rotations, { overlap_seconds: 60 })).toMatchObject({
      status: 409,
      body: { code: "conflict" },
    });
    expectStatus(await caller.post(rotations, { overlap_seconds: 0 }), 201);
    expect(await endpoint()).not.toHaveProperty("older_secrets_until");
    expect((await caller.post(rotations, { overlap_seconds: 86_401 })).status).toBe(422);
  });
});
