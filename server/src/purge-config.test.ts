import { readConfig } from "@licet/server";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";

const ZONE = "0123456789abcdef0123456789abcdef";
const cloudflare = { LICET_PURGES: `cloudflare:${ZONE}@example.org`, LICET_CLOUDFLARE_TOKEN: "sesame" };

test("caches and edges are read from lists, each with what it needs", () => {
  const { targets, edges } = readConfig({
    LICET_PURGES: `cloudflare:${ZONE}@example.org, varnish:http://10.0.0.5:6081,fastly:SU1Z0isxPaoz@example.org`,
    LICET_CLOUDFLARE_TOKEN: "one",
    LICET_CLOUDFLARE_PLAN: "business",
    LICET_FASTLY_TOKEN: "two",
    LICET_EDGES: "https://edge.example.org, http://127.0.0.1:8787",
  }).purges;
  expect(targets).toMatchObject([
    { kind: "cloudflare", zone: ZONE, domain: "example.org", token: "one", plan: "business" },
    { kind: "varnish", url: new URL("http://10.0.0.5:6081") },
    { kind: "fastly", service: "SU1Z0isxPaoz", domain: "example.org", token: "two" },
  ]);
  expect(edges.map((edge) => edge.origin)).toEqual(["https://edge.example.org", "http://127.0.0.1:8787"]);
  expect(readConfig(cloudflare).purges.targets).toMatchObject([
    { plan: "free", api: new URL("https://api.cloudflare.com") },
  ]);
  expect(readConfig({ LICET_PURGES: "none" }).purges.targets).toEqual([]);
});

test("a token may stand in a file instead", async () => {
  const folder = await mkdtemp(join(tmpdir(), "licet-purges-"));
  const path = join(folder, "token");
  await writeFile(path, "from-a-file\n", { mode: 0o600 });
  const { LICET_PURGES } = cloudflare;
  const { targets } = readConfig({ LICET_PURGES, LICET_CLOUDFLARE_TOKEN_FILE: path }).purges;
  expect(targets).toMatchObject([{ token: "from-a-file" }]);
  await rm(folder, { recursive: true });
});

test.each([
  [{ LICET_PURGES: "akamai:1" }],
  [{ LICET_PURGES: "cloudflare:short@example.org", LICET_CLOUDFLARE_TOKEN: "sesame" }],
  [{ LICET_PURGES: `cloudflare:${ZONE}`, LICET_CLOUDFLARE_TOKEN: "sesame" }],
  [{ LICET_PURGES: `cloudflare:${ZONE}@example.org` }],
  [{ ...cloudflare, LICET_PURGES: `${cloudflare.LICET_PURGES},${cloudflare.LICET_PURGES}` }],
  [{ ...cloudflare, LICET_CLOUDFLARE_TOKEN: "sesame\r\nx: y" }],
  [{ ...cloudflare, LICET_CLOUDFLARE_PLAN: "gold" }],
  [{ ...cloudflare, LICET_CLOUDFLARE_API: "http://api.example.org" }],
  [{ ...cloudflare, LICET_CLOUDFLARE_TOKEN_FILE: "/nowhere" }],
  [{ LICET_CLOUDFLARE_TOKEN: "sesame" }],
  [{ LICET_FASTLY_TOKEN: "sesame" }],
  [{ LICET_PURGES: "varnish:10.0.0.5" }],
  [{ LICET_PURGES: "varnish:http://user:password@10.0.0.5:6081" }],
  [{ LICET_PURGES: "varnish:http://10.0.0.5:6081/path" }],
  [{ LICET_EDGES: "http://edge.example.org" }],
  [{ LICET_EDGES: "https://edge.example.org/path" }],
  [{ LICET_EDGES: "edge.example.org" }],
])("%j contradicts itself, and is refused by its name", (env) => {
  expect(() => readConfig(env)).toThrow(/^LICET_(PURGES|EDGES|CLOUDFLARE_\w+|FASTLY_\w+): expected /);
});

test("no refusal repeats a token", () => {
  for (const env of [
    { ...cloudflare, LICET_CLOUDFLARE_TOKEN: "open sesame" },
    { ...cloudflare, LICET_CLOUDFLARE_PLAN: "gold" },
    { LICET_FASTLY_TOKEN: "sesame" },
    { LICET_PURGES: "varnish:http://user:sesame@10.0.0.5:6081" },
    { LICET_EDGES: "https://user:sesame@edge.example.org" },
  ])
    expect(() => readConfig(env)).toThrow(/^(?!.*sesame)/);
});
