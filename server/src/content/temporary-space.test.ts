import { once } from "node:events";
import { createServer } from "node:http";
import { readdir, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { enrolCreator, expectStatus } from "../../../test/fixtures/actors.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";

/** Its own in each process: the suite runs on two engines at once, and all downloads are in one folder. */
const SIZE = 600_000 + (process.pid % 1_000);
const begun = Promise.withResolvers<void>();
const goOn = Promise.withResolvers<void>();
const site = createServer((request, response) => {
  response.writeHead(200, { "content-type": "text/plain", "last-modified": "Sat, 01 Nov 2025 12:00:00 GMT" });
  if (request.url !== "/slow.txt") return void response.end("b".repeat(SIZE));
  response.write("a".repeat(SIZE), () => begun.resolve());
  void goOn.promise.then(() => response.end());
}).listen(0, "127.0.0.1");
await once(site, "listening");
const address = site.address();
const host = `127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
afterAll(() => {
  site.closeAllConnections();
  site.close();
});

async function sizesOfDownloads(): Promise<readonly number[]> {
  const folders = (await readdir(tmpdir())).filter((name) => name.startsWith("licet-source-"));
  const files = folders.map((name) => stat(join(tmpdir(), name, "bytes")).catch(() => undefined));
  return (await Promise.all(files)).flatMap((file) => file?.size ?? []);
}

test("works that are read at once take no more of the temporary folder than they may together", async () => {
  const platform = await startPlatform({ allowedHosts: [host], maxSourceBytes: 1_000_000, temporaryBytes: 1_000_000 });
  const { creatorId } = await enrolCreator(platform);
  const register = (name: string) =>
    platform.operator.post("/api/v1/content", { creator_id: creatorId, canonical_url: `http://${host}/${name}.txt` });
  const slow = register("slow");
  await begun.promise;
  // What was sent has to arrive, or the two would take the room from each other.
  await expect.poll(sizesOfDownloads, { timeout: 30_000 }).toContain(SIZE);
  await expect.poll(async () => (await register("next")).status, { timeout: 30_000 }).toBe(503);
  const refused = expectStatus(await register("other"), 503);
  expect(refused.body).toMatchObject({ code: "unavailable", detail: expect.stringContaining("1000000 bytes") });
  expect(refused.headers.get("retry-after")).toMatch(/^\d+$/);
  goOn.resolve();
  expectStatus(await slow, 201);
  expectStatus(await register("other"), 201);
});
