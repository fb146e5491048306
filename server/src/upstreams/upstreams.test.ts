import { webhookSecret } from "@licet/protocol";
import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { enrolCreator, expectStatus, giveConsent, registerWork, uniqueId } from "../../../test/fixtures/actors.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { mapWorks, registerUpstream, theirJti } from "../../../test/fixtures/upstreams.ts";

const platform = await startPlatform();
const { operator } = platform;
const register = (members: object = {}) =>
  operator.post("/api/v1/upstreams", { name: "Upstream", origin: "https://upstream.example", ...members });
const namesOf = () => ({
  upstream_dataset_id: uniqueId("ds_"),
  upstream_content_id: uniqueId("content_"),
  upstream_jti: theirJti(),
});
const newWork = async () => registerWork(platform, (await enrolCreator(platform)).creatorId);

describe("registering an upstream", () => {
  test("answers what it has to be told, and a secret once", async () => {
    const answer = expectStatus(await register({ name: "Radio" }), 201);
    expect(answer.body).toMatchObject({
      upstream_id: expect.stringMatching(/^up_/),
      name: "Radio",
      endpoint_id: expect.stringMatching(/^whe_/),
      webhook_url: `${platform.origin}/webhooks/consent-updated`,
      secret: expect.stringMatching(/^whsec_/),
      state: "active",
      key_signed: false,
    });
    expect(answer.headers.get("cache-control")).toBe("no-store");
    const { secret: _shownOnce, ...shown } = answer.body;
    const path = `/api/v1/upstreams/${answer.body.upstream_id}`;
    expect((await operator.get(path)).body).toEqual({ ...shown, mapped_count: 0 });
    expect((await operator.get("/api/v1/upstreams?limit=1000")).body.upstreams).toContainEqual(shown);
  });

  test("takes the endpoint and the secret that the upstream made, and shows neither again", async () => {
    const secret = webhookSecret(randomBytes(32));
    const endpoint_id = uniqueId("whe_");
    const answer = await register({ endpoint_id, secret });
    expect(answer).toMatchObject({ status: 201, body: { endpoint_id } });
    expect(answer.body).not.toHaveProperty("secret");
    expect(await register({ endpoint_id: endpoint_id.toUpperCase() })).toMatchObject({
      status: 409,
      body: { code: "already_exists" },
    });
  });

  test.each([
    { origin: "upstream.example" },
    { origin: "https://upstream.example/path" },
    { secret: "whsec_AAAA" },
    { secret: "hunter2" },
    { name: " " },
    { endpoint_id: "a b" },
    { unknown: true },
  ])("refuses %j", async (members) => {
    expect(await register(members)).toMatchObject({ status: 422, body: { code: "input_invalid" } });
  });

  test("refuses a key set that the server would never read", async () => {
    const members = { origin: "http://169.254.169.254", key_signed: true };
    expect(await register(members)).toMatchObject({ body: { code: "url_forbidden" } });
  });

  test.each(["get /", "get /works", "get /events", "post /end", "post /secret-rotations"])(
    "that is not there is refused at %s",
    async (route) => {
      const [method = "", path = ""] = route.split(" ");
      const url = `/api/v1/upstreams/up_none${path === "/" ? "" : path}`;
      const answer = method === "post" ? await operator.post(url, {}) : await operator.get(url);
      expect(answer).toMatchObject({ status: 404, body: { code: "not_found" } });
    },
  );
});

describe("mapping works", () => {
  test("is all of them or none, with every offender named", async () => {
    const upstream = await registerUpstream(platform);
    const content_id = await newWork();
    const answer = await mapWorks(platform, upstream, [
      { content_id, ...namesOf() },
      { content_id: "content_none", ...namesOf() },
      { jti: theirJti(), upstream_jti: theirJti() },
    ]);
    expect(answer).toMatchObject({ status: 422, body: { code: "input_invalid" } });
    expect(answer.body.errors).toMatchObject([
      { at: "body.works.1", code: "not_found" },
      { at: "body.works.2", code: "not_found" },
    ]);
    expect((await operator.get(`/api/v1/upstreams/${upstream.upstreamId}`)).body.mapped_count).toBe(0);
  });

  test("changes nothing the second time, lists page by page, and can be taken away", async () => {
    const upstream = await registerUpstream(platform);
    const creator = await enrolCreator(platform);
    const content_id = await registerWork(platform, creator.creatorId);
    const { jti } = await giveConsent(creator);
    const works = [
      { content_id, ...namesOf() },
      { content_id, ...namesOf() },
      { jti, upstream_jti: theirJti() },
    ];
    expect((await mapWorks(platform, upstream, works)).body).toEqual({ mapped: 3, unchanged: 0 });
    expect((await mapWorks(platform, upstream, works)).body).toEqual({ mapped: 0, unchanged: 3 });
    const path = `/api/v1/upstreams/${upstream.upstreamId}/works`;
    const listed: object[] = [];
    for (let next: string | null = ""; next !== null;) {
      const { body } = expectStatus(await operator.get(`${path}?limit=2${next === "" ? "" : `&after=${next}`}`), 200);
      listed.push(...body.works);
      next = body.next;
    }
    expect(listed).toHaveLength(3);
    expect(listed).toEqual(expect.arrayContaining(works.map((work) => expect.objectContaining(work))));
    expect((await operator.post(`${path}/removals`, { works: works.slice(1) })).body).toEqual({ removed: 2 });
    expect((await operator.get(path)).body.works).toMatchObject([works[0]]);
  });

  test.each([
    [{ content_id: "content_1", upstream_jti: theirJti() }],
    [{ content_id: "content_1", ...namesOf(), jti: theirJti() }],
    [{ jti: theirJti(), ...namesOf() }],
    [{ jti: theirJti() }],
    [],
  ])("refuses a name too few or too many: %j", async (...works) => {
    const upstream = await registerUpstream(platform);
    const answer = await mapWorks(platform, upstream, works);
    expect(answer).toMatchObject({ status: 422, body: { code: "input_invalid" } });
  });

  test.each(["revoked", "withdrawn"])("does not bring back what the upstream said %s of before", async (change) => {
    const upstream = await registerUpstream(platform);
    const names = namesOf();
    const content_id = await newWork();
    const { upstream_dataset_id: dataset_id } = names;
    expectStatus(await upstream.send({ dataset_id, change, event_id: "evt_before" }), 200);
    const answer = await mapWorks(platform, upstream, [{ content_id, ...names }]);
    expect(answer.body.errors).toMatchObject([
      { code: "item_withdrawn", detail: expect.stringContaining("evt_before") },
    ]);
    const other = await registerUpstream(platform);
    expect((await mapWorks(platform, other, [{ content_id, ...names }])).status).toBe(200);
  });

  test("waits until the upstream lifts what it suspended", async () => {
    const upstream = await registerUpstream(platform);
    const names = namesOf();
    const content_id = await newWork();
    const say = (change: string, sequence: number) =>
      upstream.send({ dataset_id: names.upstream_dataset_id, jti: names.upstream_jti, change, sequence });
    expectStatus(await say("suspended", 5), 200);
    expectStatus(await say("resumed", 4), 200);
    const answer = await mapWorks(platform, upstream, [{ content_id, ...names }]);
    expect(answer.body.errors).toMatchObject([{ code: "item_suspended" }]);
    expectStatus(await say("resumed", 6), 200);
    expect((await mapWorks(platform, upstream, [{ content_id, ...names }])).status).toBe(200);
  });

  test("is refused once the upstream has ended", async () => {
    const upstream = await registerUpstream(platform);
    expectStatus(await operator.post(`/api/v1/upstreams/${upstream.upstreamId}/end`), 200);
    const answer = await mapWorks(platform, upstream, [{ content_id: await newWork(), ...namesOf() }]);
    expect(answer).toMatchObject({ status: 410, body: { code: "upstream_ended" } });
  });
});
