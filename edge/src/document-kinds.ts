import {
  type ContentStatus,
  type KeySet,
  MAX_CONTENT_STATUS_BYTES,
  MAX_STATUS_LIST_TOKEN_LENGTH,
  type Result,
  type StatusList,
  TRUST_SECONDS,
  accept,
  contentStatusPath,
  parseInstant,
  parseJsonObject,
  refuse,
  verifyContentStatus,
  verifyKeySet,
  verifyStatusList,
} from "@licet/protocol";

export const KEYS_PATH = "/.well-known/keys.json";
const MAX_KEY_SET_BYTES = 1_048_576;

/** A document as it was verified: `trustedUntil` is its second clock, in seconds. */
export interface Verified<T> {
  readonly value: T;
  readonly seq: number;
  readonly trustedUntil: number;
}

/** One kind of document: where it is, and how it is verified. */
export interface Kind<T> {
  readonly path: string;
  readonly maxBytes: number;
  readonly verify: (text: string, keys: KeySet, now: number) => Promise<Result<Verified<T>>>;
}

export function pathWithin(uri: string, origin: string): string | undefined {
  const path = uri.slice(origin.length);
  return uri.startsWith(`${origin}/`) && /^(?:\/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$/.test(path) ? path : undefined;
}

export function contentStatusKind(url: string): Kind<ContentStatus> {
  return {
    path: contentStatusPath(url),
    maxBytes: MAX_CONTENT_STATUS_BYTES,
    verify: async (text, keys, now) => {
      const status = await verifyContentStatus(text, { url, keys, now });
      if (!status.ok) return status;
      const { seq, expires_at } = status.value;
      return accept({ value: status.value, seq, trustedUntil: parseInstant(expires_at) ?? 0 });
    },
  };
}

export function statusListKind(uri: string, path: string): Kind<StatusList> {
  return {
    path,
    maxBytes: MAX_STATUS_LIST_TOKEN_LENGTH,
    verify: async (text, keys, now) => {
      const list = await verifyStatusList(text, { uri, keys, now });
      if (!list.ok) return list;
      const { seq, iat, exp } = list.value;
      return accept({ value: list.value, seq, trustedUntil: Math.min(exp, iat + TRUST_SECONDS) });
    },
  };
}

export function keySetKind({
  origin,
  allowsTest,
}: {
  readonly origin: string;
  readonly allowsTest: boolean;
}): Kind<KeySet> {
  return {
    path: KEYS_PATH,
    maxBytes: MAX_KEY_SET_BYTES,
    verify: async (text, _keys, now) => {
      const document = parseJsonObject(text);
      if (!document.ok) return document;
      const keys = await verifyKeySet(document.value, origin, now, { allowTest: allowsTest });
      if (!keys.ok) return keys;
      const end = document.value["expires_at"];
      const trustedUntil = typeof end === "string" ? parseInstant(end) : undefined;
      return accept({ value: keys.value, seq: keys.value.seq, trustedUntil: trustedUntil ?? now + TRUST_SECONDS });
    },
  };
}

/** A content status whose address is not known beforehand: it says it itself, and must be where that address leads. */
export function pushedContentStatusKind(path: string): Kind<ContentStatus> {
  return {
    path,
    maxBytes: MAX_CONTENT_STATUS_BYTES,
    verify: async (text, keys, now) => {
      const document = parseJsonObject(text);
      const url = document.ok ? document.value["url"] : undefined;
      return typeof url === "string" && contentStatusPath(url) === path
        ? contentStatusKind(url).verify(text, keys, now)
        : refuse("document_invalid", "expected the content status of the address that its path is the hash of");
    },
  };
}
