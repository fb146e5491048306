/** The curve P-256 (FIPS 186-5): y² = x³ − 3x + b over the integers modulo p. */
const P = 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n;
const B = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn;
const COORDINATE_BYTES = 32;

/** A point by its coordinates, each 32 bytes. */
export interface P256Point {
  readonly x: Uint8Array<ArrayBuffer>;
  readonly y: Uint8Array<ArrayBuffer>;
}

/** A point in 33 bytes (SEC 1 section 2.3.3): 02 or 03 for an even or odd y, then x. */
export function compressPoint({ x, y }: P256Point): Uint8Array<ArrayBuffer> {
  return Uint8Array.from([2 + ((y.at(-1) ?? 0) & 1), ...x]);
}

/** Reads a compressed point (SEC 1 section 2.3.4); undefined when it is none of the curve. Public keys only: it takes as long as the numbers are. */
export function decompressPoint(bytes: Uint8Array): P256Point | undefined {
  const [prefix, ...rest] = bytes;
  if ((prefix !== 2 && prefix !== 3) || rest.length !== COORDINATE_BYTES) return undefined;
  const x = rest.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  if (x >= P) return undefined;
  const square = (x ** 3n - 3n * x + B) % P;
  const root = power(square < 0n ? square + P : square, (P + 1n) / 4n);
  if ((root * root - square) % P !== 0n) return undefined;
  const y = (root & 1n) === BigInt(prefix & 1) ? root : P - root;
  return { x: Uint8Array.from(rest), y: bytesOf(y) };
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (let factor = base, bits = exponent; bits > 0n; bits >>= 1n) {
    if ((bits & 1n) === 1n) result = (result * factor) % P;
    factor = (factor * factor) % P;
  }
  return result;
}

function bytesOf(value: bigint): Uint8Array<ArrayBuffer> {
  const hex = value.toString(16).padStart(COORDINATE_BYTES * 2, "0");
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}
