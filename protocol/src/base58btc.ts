/** The alphabet of Bitcoin, without the letters that are taken for one another. */
const ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const BASE = 58n;

/** Encodes bytes as base58btc: a leading `1` for each leading zero byte. */
export function encodeBase58btc(bytes: Uint8Array): string {
  const zeros = leadingZeros([...bytes]);
  let text = "";
  for (let value = numberOf(bytes); value > 0n; value /= BASE) text = (ALPHABET[Number(value % BASE)] ?? "") + text;
  return "1".repeat(zeros) + text;
}

/** Decodes base58btc; undefined on foreign characters. Each value has exactly one spelling. Takes quadratic time: bound the length first. */
export function decodeBase58btc(text: string): Uint8Array<ArrayBuffer> | undefined {
  const digits = Array.from(text, (character) => ALPHABET.indexOf(character));
  if (digits.includes(-1)) return undefined;
  const zeros = leadingZeros(digits);
  const bytes: number[] = [];
  for (let value = digits.reduce((sum, digit) => sum * BASE + BigInt(digit), 0n); value > 0n; value >>= 8n)
    bytes.unshift(Number(value & 0xffn));
  return Uint8Array.from([...Array.from({ length: zeros }, () => 0), ...bytes]);
}

function leadingZeros(numbers: readonly number[]): number {
  const first = numbers.findIndex((value) => value !== 0);
  return first === -1 ? numbers.length : first;
}

function numberOf(bytes: Uint8Array): bigint {
  return bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}
