import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Config, ConfigError } from "../config.ts";

/**
 * Private keys and secrets at rest: AES-256-GCM (NIST SP 800-38D) under the master key, which is
 * never in the database. `label` says what is sealed and is authenticated with it, so that one
 * sealed value cannot be put in another's place.
 */
export interface Sealer {
  readonly seal: (label: string, text: string) => Uint8Array;
  readonly open: (label: string, sealed: Uint8Array) => string;
}

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_BYTES = 32;

export function sealerOf(masterKey: Uint8Array): Sealer {
  return {
    seal: (label, text) => {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv("aes-256-gcm", masterKey, nonce).setAAD(Buffer.from(label));
      const sealed = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
      return Buffer.concat([nonce, cipher.getAuthTag(), sealed]);
    },
    open: (label, sealed) => {
      const nonce = sealed.subarray(0, NONCE_BYTES);
      const tag = sealed.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES);
      const decipher = createDecipheriv("aes-256-gcm", masterKey, nonce, { authTagLength: TAG_BYTES }).setAAD(
        Buffer.from(label),
      );
      try {
        decipher.setAuthTag(tag);
        return decipher.update(sealed.subarray(NONCE_BYTES + TAG_BYTES), undefined, "utf8") + decipher.final("utf8");
      } catch {
        throw new ConfigError(`the master key does not open ${label}: expected the key this database was sealed with`);
      }
    },
  };
}

/** The configured master key, or the one in the data folder. It is made on first use, and never when something is sealed already. */
export function readMasterKey(config: Config, { isFirstStart }: { readonly isFirstStart: boolean }): Uint8Array {
  if (config.masterKey !== undefined) return config.masterKey;
  const path = join(config.dataFolder, "master.key");
  if (!existsSync(path)) {
    if (!isFirstStart)
      throw new ConfigError(
        `${path}: expected the master key that this database was sealed with, found no file; put it back, or set LICET_MASTER_KEY`,
      );
    mkdirSync(config.dataFolder, { recursive: true, mode: 0o700 });
    writeFileSync(path, randomBytes(KEY_BYTES).toString("base64url"), { flag: "wx", mode: 0o600 });
  }
  if ((statSync(path).mode & 0o077) !== 0)
    throw new ConfigError(
      `${path}: expected a file only its owner can read (chmod 600), got mode ${(statSync(path).mode & 0o777).toString(8)}`,
    );
  const key = Buffer.from(readFileSync(path, "utf8").trim(), "base64url");
  if (key.length !== KEY_BYTES)
    throw new ConfigError(`${path}: expected ${KEY_BYTES} bytes in base64url, got ${key.length}`);
  return new Uint8Array(key);
}
