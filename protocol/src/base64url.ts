import { base64url } from "jose";

/** Encodes bytes as base64url without padding (RFC 4648 section 5). */
export function encodeBase64url(bytes: Uint8Array): string {
  return base64url.encode(bytes);
}

/**
 * Decodes strict base64url. Answers undefined on padding, white space, foreign characters and
 * non-zero trailing bits, so that one value has exactly one spelling: decoders that are lenient
 * let two different strings stand for one token.
 */
export function decodeBase64url(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (!hasWholeBytes(text)) return undefined;
  const bytes = decodeLeniently(text);
  // Decoders skip white space and take padding, each of which leaves less than the length promises.
  return bytes?.length === Math.floor((text.length * 3) / 4) ? new Uint8Array(bytes) : undefined;
}

function decodeLeniently(text: string): Uint8Array | undefined {
  try {
    return base64url.decode(text);
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/** The last character of two or three carries bits beyond the last byte: four or two, which must be zero. */
function hasWholeBytes(text: string): boolean {
  switch (text.length % 4) {
    case 0:
      return true;
    case 2:
      return "AQgw".includes(text.slice(-1));
    case 3:
      return "AEIMQUYcgkosw048".includes(text.slice(-1));
    default:
      return false;
  }
}

/** Decodes strict base64 with padding (RFC 4648 section 4); undefined when it is anything else. */
export function decodeBase64(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4 !== 0) return undefined;
  return decodeBase64url(text.replace(/=+$/, "").replaceAll("+", "-").replaceAll("/", "_"));
}

/** Encodes bytes as base64 with padding. */
export function encodeBase64(bytes: Uint8Array): string {
  const unpadded = encodeBase64url(bytes).replaceAll("-", "+").replaceAll("_", "/");
  return unpadded.padEnd(Math.ceil(unpadded.length / 4) * 4, "=");
}
