import { afterEach, describe, expect, test } from "vitest";
import { openStand } from "./testing/stage.ts";
import { type Asking, type TestEdge, startTestEdge } from "./testing/test-edge.ts";
import { PLACES, STATUS, type TestPlatform, WORK, openPlatform } from "./testing/test-platform.ts";

const GPTBOT = ["user-agent", "Mozilla/5.0 (compatible; GPTBot/1.2; +https://openai.com/gptbot)"] as const;
const PERSON = ["user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"] as const;
const PAGE = "<h1>A song</h1>";

const open: TestEdge[] = [];
afterEach(async () => void (await Promise.all(open.splice(0).map((edge) => edge.close()))));

async function openWorld(settings: Readonly<Record<string, string>> = {}) {
  const platform = await openPlatform();
  const site = await openStand();
  await site.answer({ "*": { body: PAGE, headers: { "content-type": "text/html", "cache-control": "max-age=60" } } });
  const edge = await startTestEdge(
    { LICET_ORIGIN: platform.origin, LICET_EDGE_TTL_SECONDS: "0", ...settings },
    site.origin,
  );
  open.push(edge);
  const ask = (headers: Asking["headers"] = [], target = WORK) => edge.ask({ target, headers });
  return { platform, site, edge, ask };
}

async function bearing(platform: TestPlatform, ...claims: Parameters<TestPlatform["license"]>) {
  return ["authorization", `License ${await platform.license(...claims)}`] as const;
}

function problemOf({ status, text }: { readonly status: number; readonly text: string }): object {
  const { code, errors } = JSON.parse(text) as { readonly code: string; readonly errors?: readonly { code: string }[] };
  return errors === undefined ? { status, code } : { status, code, cause: errors[0]?.code };
}

describe("a crawler", () => {
  test("gets 402 without a license, the file with one, and 403 once the consent was taken back; a person gets the page all along", async () => {
    const { platform, ask } = await openWorld({ LICET_EDGE_CRAWLER_PRICE: "USD 0.01" });
    const license = await bearing(platform);
    const without = await ask([GPTBOT]);
    expect(problemOf(without)).toEqual({ status: 402, code: "license_required" });
    expect((await ask([GPTBOT, license])).text).toBe(PAGE);
    expect((await ask([PERSON])).text).toBe(PAGE);
    await platform.publishList({ [PLACES.consent]: STATUS.revoked }, { seq: 2 });
    expect(problemOf(await ask([GPTBOT, license]))).toEqual({ status: 403, code: "consent_revoked" });
    expect(problemOf(await ask([GPTBOT]))).toEqual({ status: 403, code: "consent_revoked" });
    expect((await ask([PERSON])).text).toBe(PAGE);
  });
});
