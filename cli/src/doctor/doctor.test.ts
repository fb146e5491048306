import { type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from "vitest";
import { type TestDatabase, createTestDatabase } from "../../../test/fixtures/databases.ts";
import { settingLine, withConfigFile } from "../config-file.ts";
import { readSettings } from "../settings.ts";
import { createTerminal } from "../terminal.ts";
import { type CacheServer, startCacheServer } from "../testing/cache-server.ts";
import { collect, runLicet, startLicet } from "../testing/run-licet.ts";
import { type DoctorFlags, doctor } from "./doctor.ts";
import type { Finding } from "./finding.ts";

const START_MS = 90_000;
/** Some of it starts programs, on machines that do other things, too. */
const LOOK_MS = 120_000;
const KEYS = "/.well-known/keys.json";

let folder: string;
let database: TestDatabase;
let cache: CacheServer;
let server: ChildProcess;
let config: string;
let token: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "licet-doctor-"));
  database = await createTestDatabase(inject("templateFolder"));
  cache = await startCacheServer();
  const port = await freePort();
  cache.upstream = `http://127.0.0.1:${port}`;
  config = join(folder, "licet.env");
  const settings = {
    LICET_ORIGIN: cache.origin,
    LICET_PORT: String(port),
    LICET_DATA_DIR: database.dataFolder,
    LICET_COPIES_DIR: join(folder, "copies"),
    LICET_METRICS_PORT: String(await freePort()),
    LICET_LOG_LEVEL: "error",
  };
  const lines = Object.entries(settings).map(([name, value]) => settingLine(name, value));
  await writeFile(config, `${lines.join("\n")}\n`, { mode: 0o600 });
  server = startLicet(["serve", "--config", config]);
  const out = collect(server.stdout);
  await Promise.race([once(server.stdout ?? server, "data"), once(server, "close")]);
  token = /licet_op_\S+/.exec(out())?.[0] ?? "";
}, START_MS);

afterEach(() => void (cache.faults = {}));

afterAll(async () => {
  server.kill("SIGTERM");
  await once(server, "close");
  await cache.close();
  await database.drop();
  await rm(folder, { recursive: true, force: true });
});

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const address = probe.address();
  probe.close();
  return typeof address === "object" && address !== null ? address.port : 0;
}

interface Examined {
  readonly exitCode: number;
  readonly findings: readonly Finding[];
  readonly named: (name: string) => Finding | undefined;
}

/** The command itself, without a process of its own for each look. */
async function examine(flags: DoctorFlags): Promise<Examined> {
  let out = "";
  const terminal = createTerminal({
    out: { write: (text) => (out += text) },
    err: { write: (text) => expect.unreachable(text) },
    wantsColour: false,
  });
  const settings = withConfigFile(
    readSettings({ ...readSettings().bareEnvironment, LICET_TOKEN: token }),
    flags.config,
  );
  const exitCode = await doctor({ ...flags, json: true }, { settings, terminal });
  const { findings } = JSON.parse(out) as { readonly findings: readonly Finding[] };
  return { exitCode, findings, named: (name) => findings.find((finding) => finding.name === name) };
}

describe("licet doctor", { timeout: LOOK_MS }, () => {
  it("finds nothing wrong with a server that is as it should be", async () => {
    const { exitCode, findings, named } = await examine({ config });
    expect(findings.filter(({ outcome }) => outcome === "wrong")).toEqual([]);
    expect(exitCode).toBe(0);
    const good = [KEYS, "/readyz", "/metrics", "clock", "key for document", "copies folder", "disk space", "datasets"];
    expect(good.filter((name) => named(name)?.outcome !== "ok")).toEqual([]);
    expect(named("journal folder")).toMatchObject({ outcome: "warning" });
  });

  it("says so when a CDN keeps documents for longer than they allow", async () => {
    cache.faults = { cacheControl: "public, max-age=3600" };
    expect((await examine({ origin: cache.origin })).named(KEYS)).toMatchObject({
      outcome: "wrong",
      detail: expect.stringContaining("allows 3600 s instead of 15 s"),
    });
    cache.faults = { ageSeconds: 40 };
    expect((await examine({ origin: cache.origin })).named(KEYS)).toMatchObject({
      outcome: "wrong",
      detail: expect.stringContaining("a cache has kept it for 40 s"),
    });
  });

  it("says so when two caches disagree", async () => {
    await cache.freeze([KEYS]);
    expect(await runLicet(["keys", "rotate", "--origin", cache.origin], { LICET_TOKEN: token })).toMatchObject({
      exitCode: 0,
    });
    cache.faults = { replaysFrozen: true };
    const { exitCode, named } = await examine({ origin: cache.origin });
    expect(exitCode).toBe(1);
    expect(named(KEYS)).toMatchObject({
      outcome: "wrong",
      detail: expect.stringMatching(/seq went back from \d+ to \d+/),
    });
  });

  it("says so when bytes change on their way", async () => {
    cache.faults = { rewrite: (body) => body.replace('"ttl_seconds":15', '"ttl_seconds":14') };
    expect((await examine({ origin: cache.origin })).named(KEYS)).toMatchObject({
      outcome: "wrong",
      detail: expect.stringContaining("does not verify"),
    });
  });

  it("says so when clocks are two minutes apart", async () => {
    for (const dateShiftSeconds of [120, -120]) {
      cache.faults = { dateShiftSeconds };
      expect((await examine({ origin: cache.origin })).named("clock")).toMatchObject({
        outcome: "wrong",
        detail: expect.stringMatching(/Date is 1[12]\d s from this machine's clock/),
      });
    }
  });

  it("looks for a backup that is whole, and this server's", async () => {
    const backups = join(folder, "backups");
    await mkdir(backups);
    const none = await examine({ config, backups });
    expect(none.named("backups")).toMatchObject({ outcome: "wrong" });
    const file = join(backups, "today.backup");
    await runLicet(["backup", "--origin", cache.upstream, "--out", file], { LICET_TOKEN: token });
    await writeFile(join(backups, "later.backup"), "half of it");
    expect((await examine({ config, backups })).named("backups")).toMatchObject({
      outcome: "warning",
      detail: expect.stringMatching(/later\.backup is no whole backup/),
    });
  });

  it("ends with 2 when it was asked the wrong way", async () => {
    for (const args of [[], ["--origin", "example.org"], ["--origin", cache.origin, "--dataset", "a/b"]])
      expect(await runLicet(["doctor", ...args])).toMatchObject({ exitCode: 2, out: "" });
  });
});
