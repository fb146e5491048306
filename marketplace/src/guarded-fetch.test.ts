import { once } from "node:events";
import { createServer } from "node:http";
import { afterAll, describe, expect, it } from "vitest";
import { guardedFetch } from "./guarded-fetch.ts";

const site = createServer((request, response) => {
  if (request.url === "/moved") return void response.writeHead(302, { location: "http://127.0.0.1:1/" }).end();
  if (request.url === "/nothing") return void response.writeHead(204).end();
  if (request.url === "/hang") return;
  response.writeHead(200, { "content-type": "text/plain", "set-cookie": ["a=1", "b=2"] }).end(`seen ${request.url}`);
}).listen(0, "127.0.0.1");
await once(site, "listening");
const address = site.address();
const host = `127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;

afterAll(() => {
  site.closeAllConnections();
  site.close();
});

describe("fetching a work from a URL that somebody else chose", () => {
  it("reaches a host the operator allows, and answers like any fetch", async () => {
    const response = await guardedFetch([host])(`http://${host}/work`, { method: "GET" });
    expect([response.status, response.headers.get("content-type"), await response.text()]).toEqual([
      200,
      "text/plain",
      "seen /work",
    ]);
    expect((await guardedFetch([host])(`http://${host}/nothing`, {})).status).toBe(204);
  });

  it("follows no redirect", async () => {
    expect((await guardedFetch([host])(`http://${host}/moved`, {})).status).toBe(302);
  });

  it("can be called off", async () => {
    await expect(guardedFetch([host])(`http://${host}/hang`, { signal: AbortSignal.timeout(50) })).rejects.toThrow(
      /abort|timeout/i,
    );
  });

  it.each([
    ["a host nobody allowed", `http://${host}/work`, /expected https/],
    ["loopback", "https://127.0.0.1/", /open Internet/],
    ["metadata", "https://169.254.169.254/latest/", /open Internet/],
    ["loopback in decimal", "https://2130706433/", /written 127\.0\.0\.1/],
    ["a local name", "https://localhost:8443/", /open Internet/],
    ["a file", "file:///etc/passwd", /absolute URL/],
  ])("refuses %s, and says why", async (_what, url, words) => {
    await expect(guardedFetch(["127.0.0.1:1"])(url, {})).rejects.toThrow(words);
  });
});
