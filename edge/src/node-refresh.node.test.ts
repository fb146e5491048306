import {
  type RefreshedDocument,
  STATUS,
  canonicalize,
  contentStatusPath,
  formatInstant,
  signEdgeRefresh,
} from "@licet/protocol";
import { describe, expect, test } from "vitest";
import { PLACES, WORK_URL, now } from "./testing/test-platform.ts";
import { type World, openWorld, outcomeOf } from "./testing/world.ts";

const REFRESH = "/.well-known/licet-refresh";
const LIST = "/status-lists/1";
const JSON_TYPE = ["content-type", "application/json"] as const;

interface RefreshOptions {
  readonly seq?: number;
  readonly age?: number;
  readonly documents?: readonly RefreshedDocument[];
  readonly key?: "platform_document" | "platform_license" | "stranger";
  readonly iss?: string;
}

async function refreshOf({ platform }: World, options: RefreshOptions = {}): Promise<string> {
  const { seq = 1, age = 0, key = "platform_document", iss = platform.origin } = options;
  const { documents = [{ path: LIST, seq: 2 }] } = options;
  const content = { seq, issued_at: formatInstant(now() - age), documents };
  return canonicalize(await signEdgeRefresh(iss, content, await platform.signer(key)));
}

function push({ edge }: World, body: string, headers: readonly (readonly [string, string])[] = [JSON_TYPE]) {
  return edge.ask({ method: "POST", target: REFRESH, headers, body });
}

describe("a refresh by push", () => {
  test("makes the edge refuse at once what it would have let pass for fifteen seconds", async () => {
    const world = await openWorld({ LICET_EDGE_TTL_SECONDS: "15" });
    const { platform, ask, bearing } = world;
    const license = await bearing();
    expect(outcomeOf(await ask([license]))).toEqual({ status: 200 });
    await platform.publishList({ [PLACES.consent]: STATUS.revoked }, { seq: 2 });
    expect(outcomeOf(await ask([license]))).toEqual({ status: 200 });
    const pushed = await push(world, await refreshOf(world));
    expect([pushed.status, JSON.parse(pushed.text)]).toEqual([200, { seq: 1, refreshed: 1, known: false }]);
    expect(outcomeOf(await ask([license]))).toEqual({ status: 403, code: "consent_revoked" });
  });

  test("brings a content status and what else is new, and passes over what an edge does not read", async () => {
    const world = await openWorld({ LICET_EDGE_TTL_SECONDS: "15" });
    const license = await world.bearing();
    await world.ask([license]);
    await world.platform.publishContent({ grants: [] }, { seq: 2 });
    const documents = [
      { path: contentStatusPath(WORK_URL), seq: 2 },
      { path: "/datasets/ds_1/manifest.json", seq: 9 },
    ];
    const pushed = await push(world, await refreshOf(world, { documents }));
    expect(JSON.parse(pushed.text)).toEqual({ seq: 1, refreshed: 2, known: false });
    await world.platform.stand.shut();
    expect(outcomeOf(await world.ask([license]))).toEqual({ status: 403, code: "license_not_for_work" });
  });

  test("is known again when it comes twice, and fetches nothing then", async () => {
    const world = await openWorld();
    const refresh = await refreshOf(world, { documents: [{ path: LIST, seq: 1 }] });
    await push(world, refresh);
    const asked = (await world.platform.stand.requests()).length;
    expect(JSON.parse((await push(world, refresh)).text)).toEqual({ seq: 1, refreshed: 0, known: true });
    const lists = (await world.platform.stand.requests()).slice(asked).filter(({ url }) => url === LIST);
    expect(lists).toEqual([]);
  });

  test("in another order than it was sent is followed all the same", async () => {
    const world = await openWorld();
    await world.platform.publishList({}, { seq: 2 });
    expect((await push(world, await refreshOf(world, { seq: 9 }))).status).toBe(200);
    const documents = [{ path: LIST, seq: 1 }];
    expect(JSON.parse((await push(world, await refreshOf(world, { seq: 8, documents }))).text)).toMatchObject({
      known: false,
    });
  });

  test.each([
    ["signed by a stranger", { key: "stranger" }, 401, "signature_missing"],
    ["signed with a key for licenses", { key: "platform_license" }, 401, "key_purpose_wrong"],
    ["older than five minutes", { age: 301 }, 503, "document_expired"],
    ["from the future", { age: -120 }, 503, "document_expired"],
    ["of another platform", { iss: "https://platform.example" }, 502, "document_invalid"],
    ["of a path that leads elsewhere", { documents: [{ path: "//other.example/x", seq: 1 }] }, 502, "document_invalid"],
    ["of no document", { documents: [] }, 502, "document_invalid"],
  ] as const)("%s is refused, and changes nothing", async (_name, options, status, code) => {
    const world = await openWorld({ LICET_EDGE_TTL_SECONDS: "15" });
    const license = await world.bearing();
    await world.ask([license]);
    await world.platform.publishList({ [PLACES.consent]: STATUS.revoked }, { seq: 2 });
    expect(outcomeOf(await push(world, await refreshOf(world, options)))).toEqual({ status, code });
    expect(outcomeOf(await world.ask([license]))).toEqual({ status: 200 });
  });

  test("that was altered, is no JSON, too long, or comes by another method is refused", async () => {
    const world = await openWorld();
    const refresh = await refreshOf(world);
    expect(outcomeOf(await push(world, refresh.replace('"seq":1', '"seq":2')))).toEqual({
      status: 401,
      code: "signature_invalid",
    });
    expect(outcomeOf(await push(world, "refresh!"))).toEqual({ status: 400, code: "json_malformed" });
    expect(outcomeOf(await push(world, "x".repeat(300_000)))).toEqual({ status: 413, code: "body_too_large" });
    expect(outcomeOf(await push(world, refresh, []))).toEqual({ status: 415, code: "media_type_wrong" });
    const got = await world.edge.ask({ target: REFRESH });
    expect([got.status, got.headers.get("allow")]).toEqual([405, "POST"]);
  });

  test("of a document that cannot be fetched lets nobody through by the old copy, and may be sent again", async () => {
    const world = await openWorld({ LICET_EDGE_TTL_SECONDS: "15" });
    const license = await world.bearing();
    await world.ask([license]);
    await world.platform.publish({ [LIST]: { status: 500 } });
    const refresh = await refreshOf(world);
    expect(outcomeOf(await push(world, refresh))).toMatchObject({ status: 503, code: "unavailable" });
    expect(outcomeOf(await world.ask([license]))).toEqual({ status: 503, code: "facts_unavailable" });
    await world.platform.publishList({ [PLACES.consent]: STATUS.revoked }, { seq: 2 });
    expect((await push(world, refresh)).status).toBe(200);
    expect(outcomeOf(await world.ask([license]))).toEqual({ status: 403, code: "consent_revoked" });
  });
});

describe("a refresh that says which seq a document must have", () => {
  const demanded = (seq: number) => ({ documents: [{ path: LIST, seq }] });

  test("is followed once it is there, and lets nobody through by a lower one before or after", async () => {
    const world = await openWorld({ LICET_EDGE_TTL_SECONDS: "15" });
    const license = await world.bearing();
    await world.ask([license]);
    const refresh = await refreshOf(world, demanded(3));
    const refused = await push(world, refresh);
    expect(outcomeOf(refused)).toEqual({ status: 503, code: "unavailable", cause: "unavailable" });
    expect(JSON.parse(refused.text)).toMatchObject({ errors: [{ at: LIST }] });
    expect(outcomeOf(await world.ask([license]))).toEqual({ status: 503, code: "facts_unavailable" });
    await world.platform.publishList({}, { seq: 2 });
    expect((await push(world, refresh)).status).toBe(503);
    expect(outcomeOf(await world.ask([license]))).toEqual({ status: 503, code: "facts_unavailable" });
    await world.platform.publishList({ [PLACES.consent]: STATUS.revoked }, { seq: 3 });
    expect((await push(world, refresh)).status).toBe(200);
    expect(outcomeOf(await world.ask([license]))).toEqual({ status: 403, code: "consent_revoked" });
  });

  test("is not followed by the word that there is none, unless none is demanded", async () => {
    const world = await openWorld();
    await world.platform.publish({ [LIST]: { status: 404 } });
    expect((await push(world, await refreshOf(world, demanded(1)))).status).toBe(503);
    expect((await push(world, await refreshOf(world, { seq: 2, ...demanded(0) }))).status).toBe(200);
  });
});
