import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { bareEnvironment, fileOf } from "../../../test/fixtures/child-process.ts";
import { ConfigError } from "../config.ts";
import { lockDataFolder } from "./data-folder-lock.ts";

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "licet-lock-"));
  path = join(folder, "licet.lock");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** The pid of a process that is certainly dead. */
async function deadPid(): Promise<number> {
  const child = spawn(process.execPath, ["-e", ""]);
  await once(child, "exit");
  return child.pid ?? 0;
}

/** A server of its own on the same folder: its exit code and what it said. */
async function startServerOn(dataFolder: string): Promise<{ readonly code: number; readonly stderr: string }> {
  return new Promise((resolve) => {
    const env = { ...bareEnvironment(), LICET_PORT: "0", LICET_DATA_DIR: dataFolder, LICET_LOG_LEVEL: "error" };
    const child = execFile(
      process.execPath,
      ["--conditions=@licet/source", fileOf("server/src/main.ts")],
      { env, timeout: 30_000 },
      (error, _stdout, stderr) => {
        resolve({ code: typeof error?.code === "number" ? error.code : (child.exitCode ?? 0), stderr });
      },
    );
  });
}

describe("a data folder", () => {
  test("is held by a file that only its owner reads, with pid and host, until it is released", () => {
    const release = lockDataFolder(folder);
    expect(JSON.parse(readFileSync(path, "utf8"))).toEqual({ pid: process.pid, host: hostname() });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    release();
    expect(existsSync(path)).toBe(false);
    lockDataFolder(folder)();
  });

  test("is made when it is not there", () => {
    const release = lockDataFolder(join(folder, "deep", "down"));
    expect(statSync(join(folder, "deep", "down")).mode & 0o077).toBe(0);
    release();
  });

  test("is refused to a second server, which names the pid in one line and stops", async () => {
    const release = lockDataFolder(folder);
    const { code, stderr } = await startServerOn(folder);
    expect(code).toBe(2);
    expect(stderr.trim().split("\n").at(-1)).toMatch(
      new RegExp(`^licet: LICET_DATA_DIR: .* is in use by process ${process.pid};.*$`),
    );
    expect(JSON.parse(readFileSync(path, "utf8")).pid).toBe(process.pid);
    release();
  });

  test("is refused to the same process a second time", () => {
    const release = lockDataFolder(folder);
    expect(() => lockDataFolder(folder)).toThrow(ConfigError);
    release();
  });

  test("of another host is left alone, whatever its pid", () => {
    writeFileSync(path, JSON.stringify({ pid: 1, host: "another-host" }));
    expect(() => lockDataFolder(folder)).toThrow(/held by process 1 on another-host; remove .*licet\.lock/);
    expect(JSON.parse(readFileSync(path, "utf8")).host).toBe("another-host");
  });

  test("whose holder was killed is taken over, and nothing is left lying about", async () => {
    writeFileSync(path, JSON.stringify({ pid: await deadPid(), host: hostname() }));
    const release = lockDataFolder(folder);
    expect(JSON.parse(readFileSync(path, "utf8")).pid).toBe(process.pid);
    expect(readdirSync(folder)).toEqual(["licet.lock"]);
    release();
  });

  test("whose holder had our pid before a restart is taken over, as in a container", () => {
    writeFileSync(path, JSON.stringify({ pid: process.pid, host: hostname() }));
    lockDataFolder(folder)();
  });

  test.each(["", "{", '{"pid":', '{"pid":"12","host":"x"}', "null", "[]", '{"pid":-4,"host":""}'])(
    "whose file was cut short (%j) is taken over",
    (text) => {
      writeFileSync(path, text.replace('"host":""', `"host":${JSON.stringify(hostname())}`));
      const release = lockDataFolder(folder);
      expect(JSON.parse(readFileSync(path, "utf8")).pid).toBe(process.pid);
      release();
    },
  );

  test("whose file is just being written is not taken over", async () => {
    const script = `const fs=require("node:fs");fs.writeFileSync(${JSON.stringify(path)},"");console.log("open");setTimeout(()=>fs.writeFileSync(${JSON.stringify(path)},JSON.stringify({pid:process.pid,host:require("node:os").hostname()})),60);setTimeout(()=>{},20000)`;
    const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
    await once(child.stdout, "data");
    expect(() => lockDataFolder(folder)).toThrow(new RegExp(`in use by process ${child.pid}`));
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
    lockDataFolder(folder)();
  });
});
