import { createHash } from "node:crypto";
import { type TestKey, signatureBytes } from "./vector-writing.ts";

/** The order of the base point of edwards25519 (RFC 8032 section 5.1), and of P-256 (FIPS 186-5). */
const L = 2n ** 252n + 27_742_317_777_372_353_535_851_937_790_883_648_493n;
const N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const P25519 = 2n ** 255n - 19n;

/** Signatures over a text that some verifier of Ed25519 accepts, and ours must not. */
export const ED25519_FORGERIES: Readonly<Record<string, (text: string, key: TestKey) => Buffer>> = {
  "Ed25519 with S + L, which says the same modulo L": (text, key) => withS(text, key, (s) => s + L),
  "Ed25519 with S = L": (text, key) => withS(text, key, () => L),
  "Ed25519 with every bit of S set": (text, key) => withS(text, key, () => 2n ** 256n - 1n),
  "Ed25519 with the neutral point as R: the equation holds, runtimes disagree": (text, key) =>
    withR(littleEndian(1n), text, key),
  "Ed25519 with the neutral point as R, spelled with y from p on": (text, key) =>
    withR(littleEndian(P25519 + 1n), text, key),
  "Ed25519 with the neutral point as R, its sign bit set": (text, key) =>
    withR(littleEndian(1n + 2n ** 255n), text, key),
  "Ed25519 with an R of order 2: the equation holds when it is multiplied by 8": (text, key) =>
    withR(littleEndian(P25519 - 1n), text, key),
  "Ed25519 with an R of order 4: the equation holds when it is multiplied by 8": (text, key) =>
    withR(littleEndian(0n), text, key),
  "Ed25519 with an R of order 8: the equation holds when it is multiplied by 8": (text, key) =>
    withR(Buffer.from("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", "hex"), text, key),
  "Ed25519 with the sign bit of R turned": (text, key) => {
    const signature = Buffer.from(signatureBytes(text, key));
    signature[31] = (signature[31] ?? 0) ^ 0x80;
    return signature;
  },
};

/** What is made of an honest ES256 signature and is none. */
export const ES256_FORGERIES: Readonly<Record<string, (signature: Buffer) => Buffer>> = {
  "ES256 with r = 0": (signature) => Buffer.concat([bigEndian(0n), signature.subarray(32)]),
  "ES256 with s = 0": (signature) => Buffer.concat([signature.subarray(0, 32), bigEndian(0n)]),
  "ES256 with r = n": (signature) => Buffer.concat([bigEndian(N), signature.subarray(32)]),
  "ES256 with s = n": (signature) => Buffer.concat([signature.subarray(0, 32), bigEndian(N)]),
  "ES256 with every bit of r and s set": () => Buffer.alloc(64, 0xff),
  "ES256 with n − r": (signature) =>
    Buffer.concat([bigEndian(N - readBigEndian(signature.subarray(0, 32))), signature.subarray(32)]),
};

/** The second signature that every ES256 signature brings with it: (r, n − s). */
export function otherSpelling(signature: Buffer): Buffer {
  return Buffer.concat([signature.subarray(0, 32), bigEndian(N - readBigEndian(signature.subarray(32)))]);
}

function withS(text: string, key: TestKey, change: (s: bigint) => bigint): Buffer {
  const signature = signatureBytes(text, key);
  return Buffer.concat([signature.subarray(0, 32), littleEndian(change(readLittleEndian(signature.subarray(32))))]);
}

/** With this R, the S that its owner can compute as if R were the neutral point (RFC 8032 section 5.1.6 with r = 0). */
function withR(r: Buffer, text: string, key: TestKey): Buffer {
  const { d = "", x = "" } = key.privateKey.export({ format: "jwk" });
  const digest = sha512(Buffer.from(d, "base64url"));
  const scalar = (readLittleEndian(digest.subarray(0, 32)) & ((1n << 254n) - 8n)) | (1n << 254n);
  const k = readLittleEndian(sha512(r, Buffer.from(x, "base64url"), Buffer.from(text)));
  return Buffer.concat([r, littleEndian((k * scalar) % L)]);
}

function sha512(...parts: readonly Buffer[]): Buffer {
  return createHash("sha512").update(Buffer.concat(parts)).digest();
}

function readBigEndian(bytes: Buffer): bigint {
  return BigInt(`0x${bytes.toString("hex")}`);
}

function readLittleEndian(bytes: Buffer): bigint {
  return readBigEndian(Buffer.from(bytes.toReversed()));
}

function bigEndian(value: bigint): Buffer {
  return Buffer.from(value.toString(16).padStart(64, "0"), "hex");
}

function littleEndian(value: bigint): Buffer {
  return Buffer.from(bigEndian(value).toReversed());
}
