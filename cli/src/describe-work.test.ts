import { mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { canonicalUrlOf, contentIdOf, describeWork } from "./describe-work.ts";
import { fingerprintFile } from "./fingerprint-file.ts";
import { mediaTypeOfFile } from "./media-type-of-file.ts";

const CATALOGUE = fileURLToPath(new URL("../../examples/catalogue/", import.meta.url));
const MEBIBYTE = 1024 * 1024;

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "licet-describe-"));
});

afterEach(() => rm(folder, { recursive: true }));

async function write(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

async function typeOf(name: string, content: string | Uint8Array): Promise<string> {
  const path = await write(name, content);
  const type = await mediaTypeOfFile(path, (await fingerprintFile(path)).isText);
  return type.known ? type.mimeType : type.reason;
}

describe("fingerprinting a file", () => {
  it("hashes a large file in constant memory", async () => {
    const path = join(folder, "large.bin");
    const file = await open(path, "w");
    await file.truncate(256 * MEBIBYTE);
    await file.close();
    const before = process.memoryUsage().rss;
    let highest = before;
    let bytes = 0;
    const { sha256, sizeBytes, isText } = await fingerprintFile(path, (byteCount) => {
      bytes += byteCount;
      highest = Math.max(highest, process.memoryUsage().rss);
    });
    expect({ sha256, sizeBytes, isText, bytes }).toEqual({
      sha256: "a6d72ac7690f53be6ae46ba88506bd97302a093f7108472bd9efc3cefda06484",
      sizeBytes: 256 * MEBIBYTE,
      isText: false,
      bytes: 256 * MEBIBYTE,
    });
    expect(highest - before).toBeLessThan(64 * MEBIBYTE);
  });

  it("knows text from bytes, also where a character is cut by a chunk", async () => {
    const split = await write("split.txt", `${"a".repeat(MEBIBYTE - 1)}é and more`);
    expect(await fingerprintFile(split)).toMatchObject({ isText: true });
    expect(await fingerprintFile(await write("cut.txt", new Uint8Array([0x61, 0xc3])))).toMatchObject({
      isText: false,
    });
    expect(await fingerprintFile(await write("nul.txt", "a\0b"))).toMatchObject({ isText: false });
  });

  it("refuses a file that changes while it is read", async () => {
    const path = await write("growing.txt", "a".repeat(3 * MEBIBYTE));
    const file = await open(path, "a");
    let hasGrown = false;
    const reading = fingerprintFile(path, () => {
      if (!hasGrown) void file.appendFile("b");
      hasGrown = true;
    });
    await expect(reading).rejects.toThrow("it changed while it was being read");
    await file.close();
  });
});

describe("telling the type of a file", () => {
  it("believes the bytes of media, whatever the name says", async () => {
    expect(await typeOf("picture.mp3", await readFile(join(CATALOGUE, "chidi-frames/market-awnings.png")))).toBe(
      "image/png",
    );
    expect(await typeOf("no-extension", await readFile(join(CATALOGUE, "chidi-frames/harmattan-ridges.jpg")))).toBe(
      "image/jpeg",
    );
  });

  it("believes the name of text, when the bytes are UTF-8", async () => {
    expect(await typeOf("a.md", "# Title")).toBe("text/markdown");
    expect(await typeOf("a.TXT", "BM is how this one begins")).toBe("text/plain");
    expect(await typeOf("a.json", "{}")).toBe("application/json");
    expect(await typeOf("a.svg", "<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>")).toBe(
      "image/svg+xml",
    );
    expect(await typeOf("a.txt", new Uint8Array([0xff, 0xfe, 0x61, 0x00]))).toBe(
      "a .txt file is text, and this one is not UTF-8",
    );
    expect(await typeOf("a.unknown", "plain words")).toBe("its type is unknown");
  });
});

describe("describing a work", () => {
  const origin = { folder: CATALOGUE, creatorId: "user:1", baseUrl: "https://platform.example/" };

  it("reads the duration of sound and video", async () => {
    const lengths: Record<string, unknown> = {};
    for (const path of [
      "ana-field-recordings/dawn-at-the-weir.mp3",
      "ana-field-recordings/rain-on-a-tin-roof.ogg",
      "ana-field-recordings/bell-across-the-water.flac",
      "chidi-frames/lanterns-on-the-lagoon.mp4",
      "chidi-frames/a-day-in-eight-seconds.webm",
      "chidi-frames/market-awnings.png",
    ]) {
      const described = await describeWork(origin, path);
      lengths[path] = described.isWork
        ? [described.record.mime_type, Math.round((described.record.length_ms ?? 0) / 1_000)]
        : described.reason;
    }
    expect(Object.values(lengths)).toEqual([
      ["audio/mpeg", 24],
      ["audio/ogg", 20],
      ["audio/flac", 11],
      ["video/mp4", 10],
      ["video/webm", 8],
      ["image/png", 0],
    ]);
  });

  it("leaves the length out when damaged media does not say it", async () => {
    await write(
      "broken.mp4",
      new Uint8Array([0, 0, 0, 0x18, ...new TextEncoder().encode("ftypisom"), ...new Uint8Array(64).fill(0xff)]),
    );
    const described = await describeWork({ ...origin, folder }, "broken.mp4");
    expect(described).toMatchObject({ isWork: true, record: { mime_type: "video/mp4" } });
    expect(described.isWork && described.record.length_ms).toBeUndefined();
  });

  it("takes the work's own date when it is told one", async () => {
    await write("a.md", "a");
    const described = await describeWork({ ...origin, folder, createdAtOf: () => "2025-01-01T00:00:00Z" }, "a.md");
    expect(described).toMatchObject({ record: { created_at: "2025-01-01T00:00:00Z" } });
  });

  it("says why a file cannot be read", async () => {
    const described = await describeWork({ ...origin, folder }, "gone.md");
    expect(described).toMatchObject({ isWork: false, reason: expect.stringMatching(/^it cannot be read: ENOENT/) });
  });

  it("derives the same id and URL from the same path", () => {
    expect(contentIdOf("user:1", "a/b.md")).toBe(contentIdOf("user:1", "a/b.md"));
    expect(contentIdOf("user:1", "a/b.md")).not.toBe(contentIdOf("user:2", "a/b.md"));
    expect(canonicalUrlOf("https://platform.example/works/", "a/é%.md")).toBe(
      "https://platform.example/works/a/%C3%A9%25.md",
    );
  });
});
