import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";

/** SHA-256 as bytes (32). Text is hashed as UTF-8. */
export function sha256Bytes(input: Uint8Array | string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(sha256(typeof input === "string" ? utf8ToBytes(input) : input));
}

/** SHA-256 as 64 lower-case hexadecimal digits. */
export function sha256Hex(input: Uint8Array | string): string {
  return bytesToHex(sha256Bytes(input));
}

export const SHA256_HEX = /^[0-9a-f]{64}$/;
