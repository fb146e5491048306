import { once } from "node:events";
import { createHash } from "node:crypto";
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import type { IncomingMessage, Server } from "node:http";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { getRequestListener } from "@hono/node-server";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createSite, readCatalogue } from "./index.ts";

const CATALOGUE = fileURLToPath(new URL("../../catalogue", import.meta.url));
const MAIN = fileURLToPath(new URL("./main.ts", import.meta.url));
const BELL = "/works/ana-field-recordings/bell-across-the-water.flac";

let scratch: string;
let server: Server;
let origin: string;
let bell: Buffer;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "licet-platform-"));
  bell = await readFile(join(CATALOGUE, "ana-field-recordings/bell-across-the-water.flac"));
  [server, origin] = await listen(CATALOGUE);
});

afterAll(async () => {
  server.close();
  server.closeAllConnections();
  await rm(scratch, { recursive: true });
});

describe("the bytes of a work", () => {
  it("come whole, with their type, length and a strong ETag made of their SHA-256", async () => {
    const response = await fetch(origin + BELL);
    expect(response.status).toBe(200);
    expect(Buffer.from(await response.arrayBuffer()).equals(bell)).toBe(true);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-type": "audio/flac",
      "content-length": String(bell.length),
      "accept-ranges": "bytes",
      "cache-control": "public, max-age=60",
      "x-content-type-options": "nosniff",
      etag: etagOf(bell),
    });
  });

  it("are all there: every work the catalogue lists is served with its own length", async () => {
    const { creators } = await readCatalogue(CATALOGUE);
    for (const { folder, file, byteLength, contentType } of creators.flatMap(({ works }) => works)) {
      const response = await fetch(`${origin}/works/${folder}/${file}`);
      expect((await response.arrayBuffer()).byteLength).toBe(byteLength);
      expect(response.headers.get("content-type")).toBe(contentType);
    }
  });

  it("answer HEAD with the headers of GET and no body, whatever the Range", async () => {
    const response = await fetch(origin + BELL, {
      method: "HEAD",
      headers: { range: "bytes=0-1" },
    });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-length")).toBe(String(bell.length));
    expect(response.headers.get("etag")).toBe(etagOf(bell));
    expect(await response.text()).toBe("");
  });

  it.each([etagOf, (bytes: Buffer) => `W/${etagOf(bytes)}`, (bytes: Buffer) => `"other", ${etagOf(bytes)}`, () => "*"])(
    "are not sent again to who has them (%#)",
    async (ifNoneMatch) => {
      const headers = { "if-none-match": ifNoneMatch(bell), range: "bytes=0-1" };
      const response = await ask(BELL, headers);
      expect(response.status).toBe(304);
      expect(response.headers.etag).toBe(etagOf(bell));
      expect(response.body).toHaveLength(0);
    },
  );

  it("are sent to who has something else", async () => {
    const response = await ask(BELL, { "if-none-match": '"other"' });
    expect(response.status).toBe(200);
  });

  it("refuse to be written to", async () => {
    const response = await fetch(origin + BELL, { method: "PUT", body: "x" });
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe("GET, HEAD");
  });

  it("survive readers who leave, before the first byte or in the middle", async () => {
    const { hostname, port } = new URL(origin);
    for (let round = 0; round < 40; round += 1) {
      const socket = connect({ host: hostname, port: Number(port) });
      socket.write(`GET ${BELL} HTTP/1.1\r\nhost: ${hostname}\r\n\r\n`);
      if (round % 2 === 0) await once(socket, "data");
      socket.destroy();
      await once(socket, "close");
    }
    expect((await fetch(`${origin}/healthz`)).status).toBe(200);
  });
});

describe("a byte range", () => {
  const length = 156_813;
  it.each([
    ["bytes=0-0", 0, 0],
    ["bytes=100-199", 100, 199],
    ["bytes=65530-140000", 65_530, 140_000],
    ["bytes=156800-", 156_800, length - 1],
    ["bytes=0-999999999999999999999", 0, length - 1],
    ["bytes=-7", length - 7, length - 1],
    ["bytes=-999999999", 0, length - 1],
  ])("%s is answered 206 with exactly those bytes", async (range, first, last) => {
    const response = await ask(BELL, { range });
    expect(response.status).toBe(206);
    expect(response.headers["content-range"]).toBe(`bytes ${first}-${last}/${length}`);
    expect(response.headers["content-length"]).toBe(String(last - first + 1));
    expect(response.body.equals(bell.subarray(first, last + 1))).toBe(true);
  });

  it.each([`bytes=${length}-`, "bytes=999999999999999999999-", "bytes=-0"])(
    "%s lies outside and is answered 416 with the length",
    async (range) => {
      const response = await ask(BELL, { range });
      expect(response.status).toBe(416);
      expect(response.headers["content-range"]).toBe(`bytes */${length}`);
      expect(response.body).toHaveLength(0);
    },
  );

  it.each(["bytes=9-3", "bytes=-", "bytes=a-b", "items=0-1", "bytes=0-1,4-5", "bytes=0-1 4"])(
    "%s is none that is understood, so the whole comes",
    async (range) => {
      const response = await ask(BELL, { range });
      expect(response.status).toBe(200);
      expect(response.body).toHaveLength(length);
    },
  );

  it("holds under If-Range while the ETag is current, and is the whole after that", async () => {
    const current = await ask(BELL, { range: "bytes=0-1", "if-range": etagOf(bell) });
    const stale = await ask(BELL, { range: "bytes=0-1", "if-range": '"older"' });
    expect([current.status, stale.status]).toEqual([206, 200]);
  });
});

describe("an address the catalogue does not list", () => {
  it.each([
    "/works/../catalogue.json",
    "/works/ana-field-recordings/../catalogue.json",
    "/works/ana-field-recordings/..%2fcatalogue.json",
    "/works/ana-field-recordings/%2e%2e/catalogue.json",
    "/works/ana-field-recordings/%2e%2e%2f%2e%2e%2fREADME.md",
    "/works/ana-field-recordings/..%5c..%5cREADME.md",
    "/works/..%2f..%2f..%2fetc/passwd",
    "/works/%2fetc/passwd",
    "/works//etc/passwd",
    "/works/ana-field-recordings/",
    "/works/ana-field-recordings/bell-across-the-water.flac%00.txt",
    "/works/ana-field-recordings/%ff",
    "/works/__proto__/constructor",
    "/works/bram-essays/dawn-at-the-weir.mp3",
    "/watch/ana-field-recordings/nothing",
    "/catalogue.json",
  ])("%s is not found", async (path) => {
    const response = await ask(path);
    expect(response.status).toBe(404);
    expect(response.body.toString()).not.toMatch(/creator_id|root:/);
  });
});

describe("pages", () => {
  it("list every creator and work, and name the sample platform", async () => {
    const response = await fetch(origin);
    const page = await response.text();
    expect(response.headers.get("content-type")).toBe("text/html; charset=UTF-8");
    expect(page).toContain("Licet sample platform");
    const { creators } = await readCatalogue(CATALOGUE);
    for (const creator of creators) {
      expect(page).toContain(creator.display);
      for (const work of creator.works) {
        expect(page).toContain(`href="/watch/${work.folder}/${work.slug}"`);
        if (work.modality !== "text") expect(page).toContain(`src="/works/${work.folder}/${work.file}"`);
      }
    }
  });

  it("show a text in full and link to its file", async () => {
    const page = await (await fetch(`${origin}/watch/bram-essays/the-arithmetic-of-bread`)).text();
    expect(page).toContain("we have never agreed on what is the flour.");
    expect(page).toContain('href="/works/bram-essays/the-arithmetic-of-bread.md"');
    expect(page.match(/The arithmetic of bread/g)).toHaveLength(2);
  });

  it("allow their own style by its hash, and no script", async () => {
    const response = await fetch(origin);
    const style = /<style>(.*)<\/style>/s.exec(await response.text())?.[1] ?? "";
    const hash = createHash("sha256").update(style).digest("base64");
    expect(response.headers.get("content-security-policy")).toContain(`style-src 'sha256-${hash}'`);
    expect(response.headers.get("content-security-policy")).toContain("default-src 'none'");
  });

  it("escape what a creator wrote", async () => {
    const hostile = `<script>alert("1")</script>' & "`;
    const root = await writeCatalogue({ title: hostile, display: hostile }, `# Head\n\n${hostile}\n\n## ${hostile}`);
    const site = createSite(await readCatalogue(root));
    for (const path of ["/", "/watch/someone/note"]) {
      const page = await (await site.request(path)).text();
      expect(page).not.toContain("<script");
      expect(page).toContain("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39; &amp; &quot;");
    }
  });
});

describe("a work whose file changes", () => {
  it("gets a new ETag and its new bytes", async () => {
    const root = await writeCatalogue({}, "first");
    const site = createSite(await readCatalogue(root));
    const before = await site.request("/works/someone/note.md");
    expect(await before.text()).toBe("first");
    await writeFile(join(root, "someone/note.md"), "second edition");
    const after = await site.request("/works/someone/note.md");
    expect(await after.text()).toBe("second edition");
    expect(after.headers.get("etag")).toBe(etagOf(Buffer.from("second edition")));
  });

  it("cuts off who is reading it, rather than mixing old and new", async () => {
    const root = await writeCatalogue({}, "first");
    const site = createSite(await readCatalogue(root));
    const reading = await site.request("/works/someone/note.md");
    await writeFile(join(root, "someone/note.md"), "second edition");
    await expect(reading.text()).rejects.toThrow("it changed while being read");
  });

  it("answers 500 without a path in it once the file is gone", async () => {
    const root = await writeCatalogue({}, "first");
    const site = createSite(await readCatalogue(root));
    await rm(join(root, "someone/note.md"));
    const response = await site.request("/works/someone/note.md");
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain(root);
  });
});

describe("a catalogue", () => {
  it.each([
    [{ file: "../secret.md" }, /works\[0\]\.file: expected a lower-case file name .*, got "\.\.\/secret\.md"/],
    [{ file: "missing.md" }, /works\[0\]\.file: expected a regular file in someone, got "missing\.md"/],
    [{ file: "link.md" }, /works\[0\]\.file: expected a regular file in someone/],
    [{ file: "empty.md" }, /works\[0\]\.file: expected a file with at least one byte/],
    [{ file: "page.html" }, /works\[0\]\.file: expected an extension out of \.md \.txt .*, got "\.html"/],
    [{ folder: ".." }, /creators\[0\]\.folder: expected a lower-case name/],
    [{ folder: "nobody" }, /creators\[0\]\.folder: expected a folder beside catalogue\.json, got "nobody"/],
    [{ creator_id: "Ana Example <ana@example.org>" }, /creators\[0\]\.creator_id: expected a pseudonym/],
    [{ created_at: "2025-02-30T00:00:00Z" }, /works\[0\]\.created_at: expected a time that exists/],
    [{ title: "" }, /works\[0\]\.title: expected 1 to 200 characters, got ""/],
  ])("with %j is refused, saying where and why", async (change, message) => {
    const root = await writeCatalogue(change, "text");
    await expect(readCatalogue(root)).rejects.toThrow(message);
  });

  it("that is not JSON, or not there, is refused with its path", async () => {
    const root = await writeCatalogue({}, "text");
    await writeFile(join(root, "catalogue.json"), "{");
    await expect(readCatalogue(root)).rejects.toThrow(`${root}/catalogue.json: expected JSON`);
    await expect(readCatalogue(join(root, "none"))).rejects.toThrow("expected a file at");
  });
});

describe("the process", () => {
  it("prints one ready line, serves, and stops on SIGTERM", async () => {
    const child = spawn(process.execPath, [MAIN], { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = await once(child.stdout, "data");
    const ready = JSON.parse(String(line)) as { ready: boolean; origin: string };
    expect(ready).toEqual({
      ready: true,
      origin: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
    });
    expect((await fetch(`${ready.origin}/healthz`)).status).toBe(200);
    child.kill("SIGTERM");
    expect(await once(child, "exit")).toEqual([0, null]);
  });

  it("stops when its parent's end of standard input closes, if asked to", async () => {
    const env = { ...process.env, PLATFORM_EXIT_WITH_PARENT: "1" };
    const child = spawn(process.execPath, [MAIN], { env, stdio: ["pipe", "pipe", "inherit"] });
    await once(child.stdout, "data");
    child.stdin.end();
    expect(await once(child, "exit")).toEqual([0, null]);
  });

  it("says what is wrong with its settings and exits with 1", async () => {
    const env = { ...process.env, PLATFORM_PORT: "eighty" };
    const child = spawn(process.execPath, [MAIN], { env, stdio: ["ignore", "ignore", "pipe"] });
    const [text] = await once(child.stderr, "data");
    expect(String(text)).toBe('PLATFORM_PORT: expected a port from 0 to 65535, got "eighty"\n');
    expect(await once(child, "exit")).toEqual([1, null]);
  });
});

function etagOf(bytes: Buffer): string {
  return `"${createHash("sha256").update(bytes).digest("hex")}"`;
}

async function listen(root: string): Promise<[Server, string]> {
  const site = createSite(await readCatalogue(root));
  const listening = createServer(getRequestListener(site.fetch)).listen(0, "127.0.0.1");
  await once(listening, "listening");
  return [listening, `http://127.0.0.1:${(listening.address() as AddressInfo).port}`];
}

/** Sends the path as it is; `fetch` would resolve its dots before anybody sees them. */
async function ask(path: string, headers: Record<string, string> = {}) {
  const { hostname, port } = new URL(origin);
  const outgoing = request({ hostname, port, path, headers, agent: false }).end();
  const [response] = (await once(outgoing, "response")) as [IncomingMessage];
  const body = Buffer.concat(await response.toArray());
  return { status: response.statusCode, headers: response.headers, body };
}

async function writeCatalogue(change: Record<string, string>, text: string): Promise<string> {
  const root = await mkdtemp(join(scratch, "catalogue-"));
  await mkdir(join(root, "someone"));
  await writeFile(join(root, "someone/note.md"), text);
  await writeFile(join(root, "someone/empty.md"), "");
  await writeFile(join(root, "someone/page.html"), text);
  await symlink(join(root, "someone/note.md"), join(root, "someone/link.md"));
  const { folder = "someone", creator_id = "user:1", display = "Notes", ...work } = change;
  const works = [{ file: "note.md", title: "Note", created_at: "2025-01-01T00:00:00Z", ...work }];
  await writeFile(join(root, "catalogue.json"), JSON.stringify({ creators: [{ creator_id, folder, display, works }] }));
  return root;
}
