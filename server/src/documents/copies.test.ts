import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  publishDataset,
  registerWork,
} from "../../../test/fixtures/actors.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { startCopies } from "./copy-folder.ts";
import { copyFileOf, pathOfCopy } from "./copy-path.ts";
import { signDueDocuments } from "./sign-due.ts";

const folder = await mkdtemp(join(tmpdir(), "licet-copies-"));
afterAll(() => rm(folder, { recursive: true, force: true }));
const platform = await startPlatform({ copiesFolder: folder });
const { ctx } = platform.server;

const VIEW = "/.well-known/consent-revocations.json";
const PATIENCE = { timeout: 20_000, interval: 10 };
const ana = await enrolCreator(platform);
const work = await registerWork(platform, ana.creatorId);
const consent = await giveConsent(ana, { subject: `content:${work}` });
const { dataset_id } = await publishDataset(platform, [work]);

const CONTENT_STATUS = "/.well-known/content-status/";

// The content status is rendered after the publication.
beforeAll(async () => {
  while (![...(await readStored()).keys()].some((path) => path.startsWith(CONTENT_STATUS))) await pause(10);
});

function fileOf(path: string, within = folder): string {
  return join(within, copyFileOf(path) ?? "unsafe");
}

async function copyOf(path: string, within = folder): Promise<string> {
  return existsSync(fileOf(path, within)) ? readFile(fileOf(path, within), "utf8") : "";
}

/** Every document there is, by its path. */
async function readStored(): Promise<ReadonlyMap<string, string>> {
  const rows = await ctx.db.selectFrom("document").select(["path", "bytes"]).execute();
  return new Map(rows.map(({ path, bytes }) => [path, Buffer.from(bytes ?? []).toString("utf8")]));
}

async function expectAllCopied(within: string): Promise<void> {
  // Both are read each time: some documents change by themselves.
  const missing = async (): Promise<readonly string[]> => {
    const stored = [...(await readStored())];
    const copies = await Promise.all(stored.map(([path]) => copyOf(path, within)));
    return stored.filter(([, bytes], index) => copies[index] !== bytes).map(([path]) => path);
  };
  await expect.poll(missing, PATIENCE).toEqual([]);
}

/** Starts one more keeper of copies on a folder of its own. */
async function startKeeper(within: string): Promise<void> {
  const keeper = startCopies({ ...ctx, folder: within, log: pino({ level: "silent" }) });
  onTestFinished(() => keeper.stop());
}

async function ownFolder(): Promise<string> {
  const own = await mkdtemp(join(tmpdir(), "licet-copies-"));
  onTestFinished(() => rm(own, { recursive: true, force: true }));
  return own;
}

describe("a copy", () => {
  test("of every document is in the folder, byte for byte, and nothing else is", async () => {
    await expectAllCopied(folder);
    // Both are read each time: more documents are rendered in the background.
    const unknown = async (): Promise<readonly string[]> => {
      const entries = await readdir(folder, { recursive: true, withFileTypes: true });
      const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
      const known = new Set([...(await readStored()).keys()].map((path) => fileOf(path)));
      return files.filter((file) => !known.has(file));
    };
    await expect.poll(unknown, PATIENCE).toEqual([]);
  });

  test("follows every change", async () => {
    expectStatus(await ana.caller.post(`/api/v1/consents/${consent.jti}/revoke`, {}), 200);
    await expect.poll(() => copyOf(VIEW), PATIENCE).toContain(consent.jti);
    await expect.poll(() => copyOf(`/.well-known/dataset-status/${dataset_id}`), PATIENCE).toContain('"revoked"');
    await expectAllCopied(folder);
  });

  test("is brought up to date at start, and goes when its document is gone", async () => {
    const own = await ownFolder();
    const stale = fileOf(VIEW, own);
    await mkdir(dirname(stale), { recursive: true });
    await writeFile(stale, '{"seq":0}');
    const gone = fileOf("/status-lists/77", own);
    await mkdir(dirname(gone), { recursive: true });
    await writeFile(gone, "a.b.c");
    await writeFile(join(own, "index.html"), "the operator's own");
    await startKeeper(own);
    await expectAllCopied(own);
    await expect.poll(() => existsSync(gone), PATIENCE).toBe(false);
    expect(existsSync(join(own, "index.html"))).toBe(true);
  });

  test("is never replaced by an older one", async () => {
    const own = await ownFolder();
    const newer = JSON.stringify({ seq: Number.MAX_SAFE_INTEGER });
    await mkdir(dirname(fileOf(VIEW, own)), { recursive: true });
    await writeFile(fileOf(VIEW, own), newer);
    await startKeeper(own);
    await expect.poll(() => copyOf("/terms/paid_training/1.0", own), PATIENCE).not.toBe("");
    expect(await copyOf(VIEW, own)).toBe(newer);
  });

  test("that cannot be written stops nobody, and is written once it can", async () => {
    const own = await ownFolder();
    const blocked = join(own, "copies");
    await writeFile(blocked, "a file where the folder should be");
    await startKeeper(blocked);
    expectStatus(await platform.operator.post("/api/v1/creators", { creator_id: "user:meanwhile" }), 201);
    await rm(blocked);
    await expectAllCopied(blocked);
  });
});

describe("documents that nobody reads", () => {
  test("are signed again by the sweep once half of their life is over, all of them and none twice", async () => {
    const read = async () =>
      ctx.db.selectFrom("document").select(["path", "seq", "checked_at"]).orderBy("path").execute();
    platform.clock.advance(151);
    const before = await read();
    const { signal } = new AbortController();
    await Promise.all([signDueDocuments(ctx, signal), signDueDocuments(ctx, signal)]);
    const after = await read();
    expect(after.map(({ path, seq, checked_at }) => [path, seq, checked_at === null])).toEqual(
      // A content status lives for a day.
      before.map(({ path, seq, checked_at }) => [
        path,
        checked_at === null || path.startsWith(CONTENT_STATUS) ? seq : seq + 1,
        checked_at === null,
      ]),
    );
    await expectAllCopied(folder);
  });

  test("say what they said, and verify", async () => {
    platform.clock.advance(151);
    const path = `/.well-known/dataset-status/${dataset_id}`;
    const { body: before } = JSON.parse(`{"body":${await copyOf(path)}}`);
    await signDueDocuments(ctx, new AbortController().signal);
    const { body: after } = await platform.anonymous.get(path);
    const changed = Object.keys(after).filter((name) => JSON.stringify(after[name]) !== JSON.stringify(before[name]));
    expect(changed.sort()).toEqual(["checked_at", "expires_at", "seq", "signatures"]);
    await expect.poll(() => copyOf(path), PATIENCE).toBe((await platform.anonymous.get(path)).text);
  });
});

describe("the file of a copy", () => {
  test.each([
    ["/.well-known/keys.json", ".well-known/keys.json.signed"],
    ["/status-lists/1", "status-lists/1.signed"],
    ["/terms/paid_training/1.0", "terms/paid_training/1.0.signed"],
    ["/terms/paid_training/1.0/en", "terms/paid_training/1.0/en.signed"],
    ["/datasets/songs~2.x/manifest.json", "datasets/songs~2.x/manifest.json.signed"],
  ])("%s is %s", (path, file) => {
    expect(copyFileOf(path)).toBe(file);
    expect(pathOfCopy(file)).toBe(path);
  });

  test.each([
    "/datasets/../keys/manifest.json",
    "/datasets/con/manifest.json",
    "/datasets/NUL.x/manifest.json",
    "/datasets/lpt1/manifest.json",
    "/datasets/a:b/manifest.json",
    "/datasets/a\\b/manifest.json",
    "/datasets//manifest.json",
    `/datasets/${"x".repeat(201)}/manifest.json`,
    "/datasets/x./manifest.json",
    "relative",
  ])("%j is none, since some file system takes it for something else", (path) => {
    expect(copyFileOf(path)).toBeUndefined();
  });

  test.each(["index.html", "../x.signed", ".writing.signed/", "status-lists/1"])("%s is no copy", (file) => {
    expect(pathOfCopy(file)).toBeUndefined();
  });
});
