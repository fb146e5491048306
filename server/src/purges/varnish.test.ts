import { cacheTags } from "@licet/protocol";
import { once } from "node:events";
import { createServer } from "node:http";
import { describe, expect, test } from "vitest";
import { expectStatus, uniqueId } from "../../../test/fixtures/actors.ts";
import { registerWorks } from "../../../test/fixtures/datasets.ts";
import { freePort, startPlatform } from "../../../test/fixtures/platform.ts";
import { publishCollection, purgesOf, untilConfirmed, withdraw } from "../../../test/fixtures/purges.ts";
import { hasVarnish, startVarnish } from "../../../test/fixtures/varnish.ts";
import { whenDone } from "../../../test/fixtures/when-done.ts";
import { createOutbound } from "../http/outbound.ts";
import { varnishAdapterOf } from "./varnish-adapter.ts";

/** A site behind the cache: what it answers, for how long, and under which tags. */
async function startSite() {
  const answers = new Map<string, readonly string[]>();
  const lines = new Map<string, string[]>();
  let count = 0;
  const server = createServer((incoming, response) => {
    const tags = answers.get(incoming.url ?? "") ?? [];
    count += 1;
    const cacheTag = tags.length === 0 ? {} : { "cache-tag": lines.get(incoming.url ?? "") ?? tags.join(",") };
    response.writeHead(200, { "cache-control": "public, max-age=3600", ...cacheTag }).end(`answer ${count}`);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  whenDone(() => void server.close());
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    host: "127.0.0.1",
    port,
    tag: (path: string, tags: readonly string[]) => answers.set(path, tags),
    /** The same as header lines that a site writes by itself. */
    tagIn: (path: string, headers: readonly string[]) => {
      answers.set(path, headers);
      lines.set(path, [...headers]);
    },
    requests: () => count,
  };
}

describe.skipIf(!hasVarnish)("a real Varnish (apt-get install varnish, where these are skipped)", async () => {
  if (!hasVarnish) return;
  const site = await startSite();
  const varnish = await startVarnish(site);
  const platform = await startPlatform({ purges: { targets: [{ kind: "varnish", url: varnish.url }], edges: [] } });

  /** Has it cached; fails when it is not kept. */
  async function cache(url: string): Promise<void> {
    await varnish.get(url);
    expect(await varnish.get(url)).toMatchObject({ isHit: true });
  }

  /** A cached work and a page beside it, whose copies are tagged. */
  async function cachedCollection() {
    const collection = await publishCollection(platform, 2);
    const [gone = "", stays = ""] = collection.contentIds;
    const [goneUrl, staysUrl, pageUrl] = [uniqueId("/gone-"), uniqueId("/stays-"), uniqueId("/page-")];
    site.tag(goneUrl, [cacheTags.contents, cacheTags.content(gone)]);
    site.tag(staysUrl, [cacheTags.contents, cacheTags.content(stays)]);
    const urls = [goneUrl, staysUrl, pageUrl].map((path) => `http://site.example${path}`);
    for (const url of urls) await cache(url);
    return { collection, gone, urls };
  }

  test("forgets the copy of a work that was withdrawn, by its tag, and keeps what is beside it", async () => {
    const { collection, gone, urls } = await cachedCollection();
    const [goneUrl = "", staysUrl = "", pageUrl = ""] = urls;
    const eventId = await withdraw(platform, collection, gone);
    const [confirmed] = await untilConfirmed(platform, eventId);
    expect(confirmed).toMatchObject({ target: `varnish:${varnish.url.origin}`, attempts: 1, last_error: null });
    expect(confirmed?.confirmed_at_ms).toBeGreaterThanOrEqual(confirmed?.at_ms ?? Number.NaN);
    expect(await varnish.get(goneUrl)).toMatchObject({ isHit: false });
    expect(await varnish.get(staysUrl)).toMatchObject({ isHit: true });
    expect(await varnish.get(pageUrl)).toMatchObject({ isHit: true });
  });

  test("finds a tag after a comma and a space, with a tab beside it, and on a second line of the header", async () => {
    const spelled = (tag: string): readonly (readonly string[])[] => [
      [`one, ${tag}`],
      [`one, ${tag}, two`],
      [`${tag} , one`],
      [`one,\t${tag}\t,two`],
      ["one, two", `three, ${tag}`],
      [tag, "one"],
    ];
    const paths = spelled("licet-spelled").map((headers) => {
      const path = uniqueId("/spelled-");
      site.tagIn(path, headers);
      return `http://site.example${path}`;
    });
    const [longer, beside] = [uniqueId("/longer-"), uniqueId("/beside-")];
    site.tagIn(longer, ["one, licet-spelled-longer, not-licet-spelled"]);
    site.tagIn(beside, ["one, two", "licet spelled"]);
    const others = [longer, beside].map((path) => `http://site.example${path}`);
    for (const url of [...paths, ...others]) await cache(url);
    expect(await varnish.send("BAN", "/", { "x-licet-tags": "nothing|licet-spelled" })).toMatchObject({ status: 200 });
    for (const url of paths) expect([url, (await varnish.get(url)).isHit]).toEqual([url, false]);
    for (const url of others) expect([url, (await varnish.get(url)).isHit]).toEqual([url, true]);
  });

  test("forgets the copy at a work's own address, also where the site sets no tags", async () => {
    const collection = await publishCollection(platform, 1);
    const path = uniqueId("/untagged-");
    const canonical_url = `https://works.example${path}`;
    const [contentId = ""] = await registerWorks(platform, collection.creator.creatorId, 1, { canonical_url });
    await cache(canonical_url);
    await cache(`https://other.example${path}`);
    await untilConfirmed(platform, await withdraw(platform, collection, contentId));
    expect(await varnish.get(canonical_url)).toMatchObject({ isHit: false });
    expect(await varnish.get(`https://other.example${path}`)).toMatchObject({ isHit: true });
  });

  test("is asked itself about an address whose path begins like another host, and nobody else is", async () => {
    const collection = await publishCollection(platform, 1);
    const elsewhere = await startSite();
    const canonical_url = `https://works.example//127.0.0.1:${elsewhere.port}/${uniqueId("led-away-")}?page=1`;
    const [contentId = ""] = await registerWorks(platform, collection.creator.creatorId, 1, { canonical_url });
    await cache(canonical_url);
    await untilConfirmed(platform, await withdraw(platform, collection, contentId));
    expect(await varnish.get(canonical_url)).toMatchObject({ isHit: false });
    expect(elsewhere.requests()).toBe(0);
  });

  test("purges again five seconds later what was filled from an old copy meanwhile", async () => {
    const { collection, gone, urls } = await cachedCollection();
    const [goneUrl = ""] = urls;
    const eventId = await withdraw(platform, collection, gone);
    await untilConfirmed(platform, eventId);
    await cache(goneUrl);
    platform.clock.advance(5);
    await expect
      .poll(async () => (await purgesOf(platform, eventId)).map(({ round, state }) => `${round} ${state}`), {
        timeout: 10_000,
      })
      .toEqual(["1 confirmed", "2 confirmed"]);
    expect(await varnish.get(goneUrl)).toMatchObject({ isHit: false });
  });

  test("forgets the documents that say it, so that whoever reads through it gets what is true", async () => {
    const port = await freePort();
    const before = await startVarnish({ host: "127.0.0.1", port });
    const purged = await startPlatform({
      port,
      purges: { targets: [{ kind: "varnish", url: before.url }], edges: [] },
    });
    const collection = await publishCollection(purged, 2);
    const path = `/.well-known/dataset-status/${collection.datasetId}`;
    const read = () => before.get(purged.origin + path);
    await read();
    const old = await read();
    expect(old).toMatchObject({ status: 200, isHit: true });
    await untilConfirmed(purged, await withdraw(purged, collection, collection.contentIds[0] ?? ""));
    const fresh = await read();
    expect(fresh.isHit).toBe(false);
    expect(JSON.parse(fresh.body).seq).toBeGreaterThan(JSON.parse(old.body).seq);
    expect(JSON.parse(fresh.body)).toMatchObject({ withdrawn_items_count: 1 });
  });

  test("takes no tag that is more than a tag", async () => {
    const path = uniqueId("/kept-");
    site.tag(path, ["licet-kept"]);
    await cache(`http://site.example${path}`);
    for (const tags of [".*", "a)(", "licet-kept) || obj.http.x ~ (", "LICET", "a||b", "", "a b"]) {
      expect(await varnish.send("BAN", "/", { "x-licet-tags": tags })).toMatchObject({ status: 400 });
    }
    expect(await varnish.send("BAN", "/")).toMatchObject({ status: 400 });
    expect(await varnish.get(`http://site.example${path}`)).toMatchObject({ isHit: true });
    const outbound = createOutbound({ allowedHosts: [varnish.url.host] });
    const adapter = varnishAdapterOf(outbound, { kind: "varnish", url: varnish.url });
    expect(await adapter.send({ kind: "tags", items: ["licet", ".*"] })).toMatchObject({
      isConfirmed: false,
      error: expect.stringContaining("expected tags"),
    });
    await outbound.close();
  });

  test("tells nobody of tags, and lets nobody purge who is not in its list", async () => {
    const path = uniqueId("/tagged-");
    site.tag(path, ["licet-tagged"]);
    expect((await varnish.get(`http://site.example${path}`)).headers["cache-tag"]).toBeUndefined();
    const closed = await startVarnish(site, { acl: '"192.0.2.1";' });
    for (const method of ["BAN", "PURGE"])
      expect(await closed.send(method, path, { "x-licet-tags": "licet" })).toMatchObject({ status: 403 });
    const outbound = createOutbound({ allowedHosts: [closed.url.host] });
    const adapter = varnishAdapterOf(outbound, { kind: "varnish", url: closed.url });
    expect(await adapter.send({ kind: "tags", items: ["licet"] })).toMatchObject({
      isConfirmed: false,
      error: expect.stringContaining("expected 200, got 403"),
    });
    await outbound.close();
  });

  test("is not believed to have forgotten when it is no such cache", async () => {
    const plain = new URL(`http://${site.host}:${site.port}`);
    const outbound = createOutbound({ allowedHosts: [plain.host] });
    const adapter = varnishAdapterOf(outbound, { kind: "varnish", url: plain });
    expect(await adapter.send({ kind: "urls", items: ["https://works.example/1"] })).toMatchObject({
      isConfirmed: false,
      error: expect.stringContaining("does it run that VCL?"),
    });
    expect(await adapter.send({ kind: "tags", items: ["licet"] })).toMatchObject({ isConfirmed: false });
    await outbound.close();
  });

  test("is listed as well, with what it confirmed", async () => {
    const { body } = expectStatus(await platform.operator.get("/api/v1/purges?limit=1"), 200);
    expect(body.targets).toMatchObject([
      { target: `varnish:${varnish.url.origin}`, leg: "purge", state: "ok", waiting: 0 },
    ]);
    expect(body.purges).toHaveLength(1);
  });
});
