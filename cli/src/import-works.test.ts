import { createClient } from "@licet/sdk";
import { mkdir, mkdtemp, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type ImportedFile, importWorks } from "./import-works.ts";
import { type ContentSink, SINK_TOKEN, openContentSink } from "./testing/content-sink.ts";

let folder: string;
let sink: ContentSink;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "licet-import-"));
  sink = await openContentSink();
});

afterEach(async () => {
  await sink.close();
  await rm(folder, { recursive: true });
});

function runImport(
  over: { readonly creatorId?: string; readonly license?: string; readonly dryRun?: true } = {},
): Promise<readonly ImportedFile[]> {
  const { creatorId = "user:1", license, dryRun } = over;
  const client = dryRun === true ? undefined : createClient({ origin: sink.origin, token: SINK_TOKEN });
  return importWorks({ folder, creatorId, baseUrl: "https://platform.example/works/", license }, { client });
}

async function write(relativePath: string, content: string | Uint8Array): Promise<string> {
  const path = join(folder, relativePath);
  await mkdir(join(path, ".."), { recursive: true });
  await writeFile(path, content);
  return path;
}

function outcomes(files: readonly ImportedFile[]): Record<string, string> {
  return Object.fromEntries(
    files.map(({ relativePath, status, reason }) => [
      relativePath,
      reason === undefined ? status : `${status}: ${reason}`,
    ]),
  );
}

describe("importing a folder", () => {
  it("registers every work below it, at the base URL and its own path", async () => {
    await write("one.md", "# One");
    await write("deep/er/a b#1?.txt", "two");
    const files = await runImport({ license: "paid_training:1.0" });
    expect(outcomes(files)).toEqual({ "deep/er/a b#1?.txt": "created", "one.md": "created" });
    const [deep, one] = files.map(({ record }) => sink.works.get(record?.content_id ?? ""));
    expect(deep).toMatchObject({
      canonical_url: "https://platform.example/works/deep/er/a%20b%231%3F.txt",
      mime_type: "text/plain",
      size_bytes: 3,
    });
    expect(one).toMatchObject({
      creator_id: "user:1",
      license: "paid_training:1.0",
      mime_type: "text/markdown",
      sha256: "9ec1d2e3a102edbfa7ce4512308cf15d8fa812b46ea8541a4905a275b6d271f8",
    });
  });

  it("says why it skips what is no work", async () => {
    await write("empty.txt", "");
    await write(".hidden", "x");
    await write(".git/config", "x");
    await write("noise.bin", new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]));
    await write("archive.zip", new Uint8Array([0x50, 0x4b, 0x05, 0x06, ...new Uint8Array(18)]));
    await write("latin.md", new Uint8Array([0x63, 0x61, 0x66, 0xe9]));
    await symlink("/", join(folder, "link"));
    expect(outcomes(await runImport())).toEqual({
      ".git": "skipped: it is hidden",
      ".hidden": "skipped: it is hidden",
      "archive.zip": "skipped: application/zip is neither text, audio, image nor video",
      "empty.txt": "skipped: it is empty",
      "latin.md": "skipped: a .md file is text, and this one is not UTF-8",
      link: "skipped: it is a symbolic link",
      "noise.bin": "skipped: its type is unknown",
    });
    expect(sink.works.size).toBe(0);
  });

  it("changes nothing the second time, and revises what changed", async () => {
    await write("one.md", "one");
    await write("two.md", "two");
    await runImport();
    expect(outcomes(await runImport())).toEqual({ "one.md": "unchanged", "two.md": "unchanged" });
    await write("two.md", "two, and more");
    expect(outcomes(await runImport())).toEqual({ "one.md": "unchanged", "two.md": "revised" });
  });

  it("keeps the date of a work whose file was only touched", async () => {
    const path = await write("one.md", "one");
    await utimes(path, 1_700_000_000, 1_700_000_000);
    const [first] = await runImport();
    await utimes(path, 1_800_000_000, 1_800_000_000);
    expect(outcomes(await runImport())).toEqual({ "one.md": "unchanged" });
    expect(sink.works.get(first?.record?.content_id ?? "")).toMatchObject({ created_at: "2023-11-14T22:13:20Z" });
  });

  it("names what the server refuses and registers the rest", async () => {
    await write("one.md", "one");
    await write("two.md", "two");
    const [one] = await runImport({ dryRun: true });
    sink.refusals.set(one?.record?.content_id ?? "", "it belongs to user:2");
    const files = await runImport();
    expect(outcomes(files)).toEqual({ "one.md": "refused: it belongs to user:2", "two.md": "created" });
    expect(files[0]).toMatchObject({ code: "conflict" });
  });

  it("sends many works in batches", async () => {
    for (let index = 0; index < 450; index += 1) await write(`work-${index}.txt`, `work ${index}`);
    const files = await runImport();
    expect(sink.batches).toEqual([200, 200, 50]);
    expect(files.every(({ status }) => status === "created")).toBe(true);
    expect(sink.works.size).toBe(450);
    expect((await runImport()).every(({ status }) => status === "unchanged")).toBe(true);
  });

  it("stops at once when the server does not know the creator", async () => {
    await write("one.md", "one");
    await expect(runImport({ creatorId: "user:2" })).rejects.toThrow(
      `expected a registered creator, got user:2, whom ${sink.origin} does not know`,
    );
  });

  it("gives the same path of another creator another identity", async () => {
    await write("one.md", "one");
    sink.creators.add("user:2");
    const [mine] = await runImport();
    const [theirs] = await runImport({ creatorId: "user:2", dryRun: true });
    expect(mine?.record?.content_id).toMatch(/^content_[0-9a-f]{32}$/);
    expect(theirs?.record?.content_id).not.toBe(mine?.record?.content_id);
  });

  it("registers nothing in a dry run", async () => {
    await write("one.md", "one");
    expect(outcomes(await runImport({ dryRun: true }))).toEqual({ "one.md": "described" });
    expect(sink.batches).toEqual([]);
  });
});
