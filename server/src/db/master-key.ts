import { randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { type Config, ConfigError } from "../config.ts";

const KEY_BYTES = 32;

type KeyPlace = Pick<Config, "dataFolder" | "masterKeyPath">;

export function masterKeyPath({ dataFolder, masterKeyPath: path }: KeyPlace): string {
  return path ?? join(dataFolder, "master.key");
}

/** Where a new key waits while everything is sealed anew. */
function nextKeyPath(config: KeyPlace): string {
  return `${masterKeyPath(config)}.new`;
}

/** The configured master key, or the one in the data folder. It is made on first use, and never when something is sealed already. */
export function readMasterKey(config: Config, { isFirstStart }: { readonly isFirstStart: boolean }): Uint8Array {
  if (config.masterKey !== undefined) return config.masterKey;
  const path = masterKeyPath(config);
  if (!existsSync(path)) {
    if (!isFirstStart)
      throw new ConfigError(
        `${path}: expected the master key that this database was sealed with, found no file; put it back, or set LICET_MASTER_KEY`,
      );
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeKey(path, randomBytes(KEY_BYTES));
  }
  return readKeyFile(path);
}

/** A key in a file that only its owner reads. Throws a ConfigError on anything else. */
export function readKeyFile(path: string): Uint8Array {
  if (!existsSync(path)) throw new ConfigError(`${path}: expected a file with a master key, found none`);
  if ((statSync(path).mode & 0o077) !== 0)
    throw new ConfigError(
      `${path}: expected a file only its owner can read (chmod 600), got mode ${(statSync(path).mode & 0o777).toString(8)}`,
    );
  const key = Buffer.from(readFileSync(path, "utf8").trim(), "base64url");
  if (key.length !== KEY_BYTES)
    throw new ConfigError(`${path}: expected ${KEY_BYTES} bytes in base64url, got ${key.length}`);
  return new Uint8Array(key);
}

/** The key in this file, made when there is no such file. */
export function writeKeyFile(path: string): Uint8Array {
  if (!existsSync(path)) writeKey(path, randomBytes(KEY_BYTES));
  return readKeyFile(path);
}

/** Puts the key that is to come beside the present one. */
export function writeNextKey(config: Config, key: Uint8Array): void {
  rmSync(nextKeyPath(config), { force: true });
  writeKey(nextKeyPath(config), key);
}

/** The new key takes the place of the old one, once everything is sealed with it. */
export function promoteNextKey(config: Config): void {
  renameSync(nextKeyPath(config), masterKeyPath(config));
  syncFolder(dirname(masterKeyPath(config)));
}

/**
 * After a change of the master key that a crash cut short, everything is sealed with the old key or
 * everything with the new one: whichever opens what is sealed stays, the other file goes. When
 * neither does, both stay.
 */
export async function settleMasterKey(
  config: Config,
  opens: (key: Uint8Array) => Promise<boolean | undefined>,
): Promise<void> {
  if (config.masterKey !== undefined || !existsSync(nextKeyPath(config))) return;
  const opensWith = async (path: string) => existsSync(path) && (await opens(readKeyFile(path))) === true;
  if (await opensWith(nextKeyPath(config))) promoteNextKey(config);
  else if (await opensWith(masterKeyPath(config))) rmSync(nextKeyPath(config));
}

/** On disk whole, name included, before anything depends on it. */
function writeKey(path: string, key: Uint8Array): void {
  const file = openSync(path, "wx", 0o600);
  try {
    writeSync(file, Buffer.from(key).toString("base64url"));
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  syncFolder(dirname(path));
}

function syncFolder(folder: string): void {
  const handle = openSync(folder, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
