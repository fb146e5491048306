import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { ConfigError } from "../config.ts";

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
