import { randomBytes } from "node:crypto";
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { configFor } from "../../../test/fixtures/databases.ts";
import { ConfigError } from "../config.ts";
import { readMasterKey } from "./master-key.ts";
import { sealerOf } from "./sealing.ts";

const sealer = sealerOf(randomBytes(32));

describe("what is sealed", () => {
  test.each(["", "a secret", "ünïcode ☃ \u0000", "x".repeat(100_000)])("opens to what it was: %#", (text) => {
    expect(sealer.open("label", sealer.seal("label", text))).toBe(text);
  });

  test("never looks the same twice, nor like its text", () => {
    const [first, second] = [
      sealer.seal("label", "a long enough secret"),
      sealer.seal("label", "a long enough secret"),
    ];
    expect(Buffer.from(first).equals(Buffer.from(second))).toBe(false);
    expect(Buffer.from(first).includes("secret")).toBe(false);
  });

  test("opens under its own label only, and with its own key", () => {
    const sealed = sealer.seal("webhook_endpoint/1", "secret");
    expect(() => sealer.open("webhook_endpoint/2", sealed)).toThrow(ConfigError);
    expect(() => sealerOf(randomBytes(32)).open("webhook_endpoint/1", sealed)).toThrow(
      /master key does not open webhook_endpoint\/1/,
    );
  });

  test("does not open when any byte was changed, or when it was cut", () => {
    const sealed = Buffer.from(sealer.seal("label", "secret"));
    for (let at = 0; at < sealed.length; at += 1) {
      const changed = Buffer.from(sealed);
      changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
      expect(() => sealer.open("label", changed), `byte ${at}`).toThrow(ConfigError);
    }
    for (let length = 12; length < sealed.length; length += 1)
      expect(() => sealer.open("label", sealed.subarray(0, length)), `cut to ${length}`).toThrow(ConfigError);
  });
});

describe("the master key", () => {
  const withFolder = (work: (folder: string) => void): void => {
    const folder = mkdtempSync(join(tmpdir(), "licet-key-"));
    try {
      work(folder);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };

  test("is made once, in a file that only its owner reads", () => {
    withFolder((dataFolder) => {
      const config = configFor({ dataFolder, databaseUrl: undefined });
      const key = readMasterKey(config, { isFirstStart: true });
      expect(key).toHaveLength(32);
      expect(readMasterKey(config, { isFirstStart: true })).toEqual(key);
      expect(statSync(join(dataFolder, "master.key")).mode & 0o777).toBe(0o600);
      expect(readFileSync(join(dataFolder, "master.key"), "utf8")).toMatch(/^[A-Za-z0-9_-]{43}$/);
    });
  });

  test("of the configuration comes before the file", () => {
    const masterKey = randomBytes(32);
    withFolder((dataFolder) =>
      expect(
        readMasterKey(configFor({ dataFolder, databaseUrl: undefined }, { masterKey }), { isFirstStart: true }),
      ).toBe(masterKey),
    );
  });

  test("that others may read, or that is too short, stops the boot", () => {
    withFolder((dataFolder) => {
      const config = configFor({ dataFolder, databaseUrl: undefined });
      readMasterKey(config, { isFirstStart: true });
      chmodSync(join(dataFolder, "master.key"), 0o644);
      expect(() => readMasterKey(config, { isFirstStart: true })).toThrow(/chmod 600.*644/);
      chmodSync(join(dataFolder, "master.key"), 0o600);
      writeFileSync(join(dataFolder, "master.key"), "dG9vIHNob3J0");
      expect(() => readMasterKey(config, { isFirstStart: true })).toThrow(/expected 32 bytes/);
    });
  });
});
