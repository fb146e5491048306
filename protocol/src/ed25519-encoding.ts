import { bytesToHex } from "@noble/hashes/utils.js";

/*
 * What the bytes of an Ed25519 key or signature must be before a runtime's own verification is
 * asked: runtimes disagree about the rest (RFC 8032 section 8.4; Web Cryptography Level 2, Ed25519).
 */

/** The order of the base point (RFC 8032 section 5.1). */
const L = 2n ** 252n + 27_742_317_777_372_353_535_851_937_790_883_648_493n;
/** The order of the field: a coordinate is less. */
const P = 2n ** 255n - 19n;
const POINT_BYTES = 32;

/** The points of small order in their one spelling, without their sign bit. */
const SMALL_ORDER = [
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

/** True when the 32 bytes spell y as RFC 8032 section 5.1.2 does: less than p, so that a point has one spelling. */
export function isCanonicalPoint(point: Uint8Array): boolean {
  return littleEndian(withoutSign(point)) < P;
}

/** True for a point under which, or with which, anybody can sign. */
export function isSmallOrderPoint(point: Uint8Array): boolean {
  return SMALL_ORDER.includes(bytesToHex(withoutSign(point)));
}

/** True when R is a point in its one spelling and not of small order, and S is less than L. Whether it verifies is another question. */
export function isStrictEd25519Signature(signature: Uint8Array): boolean {
  const [r, s] = [signature.subarray(0, POINT_BYTES), signature.subarray(POINT_BYTES)];
  return isCanonicalPoint(r) && !isSmallOrderPoint(r) && littleEndian(s) < L;
}

function withoutSign(point: Uint8Array): Uint8Array {
  return point.map((byte, index) => (index === POINT_BYTES - 1 ? byte & 0x7f : byte));
}

function littleEndian(bytes: Uint8Array): bigint {
  return BigInt(`0x${bytesToHex(bytes.toReversed())}`);
}
