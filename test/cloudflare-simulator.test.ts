import { describe, expect, test } from "vitest";
import { CLOUDFLARE_LIMITS, startCloudflareSimulator } from "./fixtures/cloudflare-simulator.ts";

type Simulator = Awaited<ReturnType<typeof startCloudflareSimulator>>;

async function purge({ api, zone, token }: Simulator, body: object, sent = token) {
  const answer = await fetch(new URL(`/client/v4/zones/${zone}/purge_cache`, api), {
    method: "POST",
    headers: { authorization: `Bearer ${sent}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return { status: answer.status, headers: answer.headers, body: await answer.json() };
}

describe("the simulated Cloudflare", () => {
  test("forgets by tag, without regard to case, and by URL, and nothing else", async () => {
    const cloudflare = await startCloudflareSimulator();
    const urls = [1, 2, 3].map((n) => `https://works.example/${n}`);
    for (const [index, url] of urls.entries()) cloudflare.fill(url, [`Tag-${index}`]);
    expect(await purge(cloudflare, { tags: ["tag-0"] })).toMatchObject({
      status: 200,
      body: { success: true, errors: [] },
    });
    expect(urls.map(cloudflare.holds)).toEqual([false, true, true]);
    expect(await purge(cloudflare, { files: [urls[1]] })).toMatchObject({ status: 200 });
    expect(urls.map(cloudflare.holds)).toEqual([false, false, true]);
  });

  test.each([
    ["another token", { tags: ["a"] }, "another", 401],
    ["neither tags nor files", {}, undefined, 400],
    ["both at once", { tags: ["a"], files: ["https://works.example/1"] }, undefined, 400],
    ["more than 100 operations", { tags: Array.from({ length: 101 }, (_, n) => `t${n}`) }, undefined, 400],
    ["a URL of another zone", { files: ["https://other.example/1"] }, undefined, 400],
  ])("refuses %s as success: false with a code and a message", async (_what, body, token, status) => {
    const cloudflare = await startCloudflareSimulator();
    expect(await purge(cloudflare, body, token ?? cloudflare.token)).toMatchObject({
      status,
      body: { success: false, errors: [{ code: expect.any(Number), message: expect.any(String) }] },
    });
  });

  test.each(Object.entries(CLOUDFLARE_LIMITS))(
    "lets an account on %s send a bucket at once and then its rate, and says how long to wait",
    async (plan, { perSecond, burst }) => {
      let nowMs = 0;
      const cloudflare = await startCloudflareSimulator({
        plan: plan as keyof typeof CLOUDFLARE_LIMITS,
        nowMs: () => nowMs,
      });
      cloudflare.spend(burst);
      const refused = await purge(cloudflare, { tags: ["a"] });
      const wait = Math.ceil(1 / perSecond);
      expect(refused).toMatchObject({ status: 429, body: { success: false } });
      expect(refused.headers.get("retry-after")).toBe(String(wait));
      expect(await purge(cloudflare, { files: ["https://works.example/1"] })).toMatchObject({ status: 200 });
      nowMs = wait * 1_000;
      expect(await purge(cloudflare, { tags: ["a"] })).toMatchObject({ status: 200 });
    },
  );
});
