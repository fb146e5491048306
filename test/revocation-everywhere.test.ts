import { cacheTags } from "@licet/protocol";
import { readEdgeConfig } from "@licet/edge";
import { startNodeEdge } from "@licet/edge/node";
import { once } from "node:events";
import { type RequestListener, createServer } from "node:http";
import { describe, expect, test } from "vitest";
import { expectStatus, uniqueId } from "./fixtures/actors.ts";
import { PATIENCE, PERSON, SITE, licensedWork } from "./fixtures/licensed-works.ts";
import { type Platform, freePort, startPlatform } from "./fixtures/platform.ts";
import { hasVarnish, startVarnish } from "./fixtures/varnish.ts";
import { whenDone } from "./fixtures/when-done.ts";

async function serve(listener: RequestListener): Promise<number> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  whenDone(() => void server.close());
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function startEdge(
  { origin, clock }: Platform,
  { port, upstream, ...settings }: { readonly port: number; readonly upstream: string } & Record<string, unknown>,
): Promise<(path: string, headers: Record<string, string>) => Promise<Response>> {
  const edge = await startNodeEdge({
    config: readEdgeConfig({ LICET_ORIGIN: origin, ...(settings as Record<string, string>) }),
    upstream,
    site: SITE,
    host: "127.0.0.1",
    port,
    nowMs: clock.nowMs,
    log: (entry) => void process.stderr.write(`${JSON.stringify(entry)}\n`),
  });
  whenDone(() => edge.close());
  return (path, headers) => fetch(`${edge.origin}${path}`, { headers });
}

async function outcomeOf(answer: Response): Promise<unknown> {
  const text = await answer.text();
  return answer.status === 200 ? [200, text] : [answer.status, JSON.parse(text).code];
}

describe.skipIf(!hasVarnish)("an opt-out, everywhere (apt-get install varnish, where this is skipped)", async () => {
  if (!hasVarnish) return;
  const tags = new Map<string, string>();
  const site = await serve((request, response) => {
    const tag = tags.get(request.url ?? "");
    const headers = { "cache-control": "public, max-age=3600", ...(tag === undefined ? {} : { "cache-tag": tag }) };
    response.writeHead(200, headers).end(`the page at ${request.url}`);
  });
  const varnish = await startVarnish({ host: "127.0.0.1", port: site });
  const platform = await startPlatform({ purges: { targets: [{ kind: "varnish", url: varnish.url }], edges: [] } });
  const port = await freePort();
  const ask = await startEdge(platform, { port, upstream: varnish.url.origin, LICET_EDGE_TTL_SECONDS: "0" });

  test("refuses the next training request, empties the cache of the copy, and leaves people their pages", async () => {
    const [path, page] = [uniqueId("/artefact-"), uniqueId("/about-")];
    const { work, training, revoke } = await licensedWork(platform, path);
    tags.set(path, `site, ${cacheTags.content(work)}`);
    const isCached = async (asked: string): Promise<boolean> => (await varnish.get(`${SITE}${asked}`)).isHit;
    for (const asked of [path, page]) {
      expect((await ask(asked, PERSON)).status).toBe(200);
      expect(await isCached(asked)).toBe(true);
    }
    expect(await outcomeOf(await ask(path, training))).toEqual([200, `the page at ${path}`]);
    const id = await revoke();
    expect(await outcomeOf(await ask(path, training))).toEqual([403, "consent_revoked"]);
    const timeline = async () => expectStatus(await platform.operator.get(`/api/v1/revocations/${id}`), 200).body.legs;
    await expect
      .poll(timeline, PATIENCE)
      .toContainEqual(expect.objectContaining({ leg: "purge", targets: 1, done: 1 }));
    expect(await isCached(path)).toBe(false);
    expect(await isCached(page)).toBe(true);
    for (const asked of [page, path])
      expect(await outcomeOf(await ask(asked, PERSON))).toEqual([200, `the page at ${asked}`]);
    expect(await outcomeOf(await ask(path, training))).toEqual([403, "consent_revoked"]);
  });
});

test("an edge behind a cache that still has the old list is not called refreshed until it has the new one", async () => {
  const site = await serve((request, response) => void response.end(`the page at ${request.url}`));
  const kept = new Map<string, string>();
  const state = { isOld: false };
  const between = await serve((request, response) => {
    const path = request.url ?? "";
    void (async () => {
      const isKept = state.isOld && path.startsWith("/status-lists/") && kept.has(path);
      const answer = isKept ? undefined : await fetch(`${platform.origin}${path}`);
      const text = (await answer?.text()) ?? kept.get(path) ?? "";
      if (answer?.status === 200) kept.set(path, text);
      response.writeHead(answer?.status ?? 200).end(text);
    })();
  });
  const port = await freePort();
  const platform = await startPlatform({ purges: { targets: [], edges: [new URL(`http://127.0.0.1:${port}`)] } });
  const ask = await startEdge(platform, {
    port,
    upstream: `http://127.0.0.1:${site}`,
    LICET_EDGE_ORIGIN_ADDRESS: `http://127.0.0.1:${between}`,
  });
  const path = uniqueId("/artefact-");
  const { training, revoke } = await licensedWork(platform, path);
  expect(await outcomeOf(await ask(path, training))).toEqual([200, `the page at ${path}`]);
  state.isOld = true;
  const id = await revoke();
  const edgeLeg = async () => {
    const { body } = expectStatus(await platform.operator.get(`/api/v1/revocations/${id}`), 200);
    return body.entries.find((entry: { readonly leg: string }) => entry.leg === "edge");
  };
  await expect.poll(async () => (await edgeLeg())?.attempts ?? 0, PATIENCE).toBeGreaterThan(1);
  expect(await edgeLeg()).toMatchObject({ state: "waiting", last_error: expect.stringContaining("503") });
  expect(await outcomeOf(await ask(path, training))).toEqual([503, "facts_unavailable"]);
  state.isOld = false;
  await expect
    .poll(async () => {
      platform.clock.advance(1);
      return (await edgeLeg())?.state;
    }, PATIENCE)
    .toBe("done");
  expect(await outcomeOf(await ask(path, training))).toEqual([403, "consent_revoked"]);
});
