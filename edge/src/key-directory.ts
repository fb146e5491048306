import {
  type JsonObject,
  type PublicJwk,
  type Result,
  accept,
  isJsonObject,
  isOrigin,
  isWebUrl,
  parseJsonObject,
  parsePublicJwk,
  refuse,
  thumbprint,
} from "@licet/protocol";
import type { LimitedMap } from "./memory.ts";
import type { EdgePorts, Fetched, HeldDocument } from "./ports.ts";

const DIRECTORY_PATH = "/.well-known/http-message-signatures-directory";
const DIRECTORY_TYPE = "application/http-message-signatures-directory+json";
const MAX_DIRECTORY_BYTES = 65_536;
const MAX_DIRECTORY_KEYS = 100;
const DIRECTORY_TIMEOUT_MS = 3_000;
/** Keys are taken from a copy for this long; one that is not in it is looked for again after `RETRY_MS`. */
const KEEP_MS = 300_000;
const RETRY_MS = 10_000;
/** Times are seconds; some directories write milliseconds. */
const FIRST_MILLISECONDS = 100_000_000_000;

/** A member of `Signature-Agent`: where the keys are, and how they are found there. */
export interface AgentMember {
  readonly url: string;
  readonly type: string;
}

/** Where a member leads, which is also who the agent is; undefined when it names nothing that is looked up here. */
export function directoryUrlOf({ url, type }: AgentMember): string | undefined {
  if (!url.startsWith("https://") && !url.startsWith("http://")) return undefined;
  if (type === "jwks_uri") return isWebUrl(url) ? url : undefined;
  if (type !== "directory") return undefined;
  const origin = url.replace(/\/$/, "");
  return isOrigin(origin) ? `${origin}${DIRECTORY_PATH}` : undefined;
}

/** What looking for a key came to: a directory that does not list it has spoken, one that cannot be read has not. */
export type KeySearch =
  | { readonly kind: "found"; readonly jwk: PublicJwk }
  | { readonly kind: "unlisted" }
  | { readonly kind: "unreachable"; readonly detail: string };

export type FindKey = (url: string, keyId: string) => Promise<KeySearch>;

/**
 * Finds a key in the directory at a URL, and in no other: a key that one directory lists says
 * nothing about another. A directory that cannot be read does not drive out the copy of it.
 */
export function createKeyFinder(ports: EdgePorts, triedAtMs: LimitedMap<number>): FindKey {
  return async (url, keyId) => {
    const held = await ports.documents.read(url);
    const ageMs = ports.nowMs() - (held?.fetchedAtMs ?? 0);
    const known = held === undefined ? undefined : keyIn(held.text, keyId, ports.nowMs());
    if (known !== undefined && ageMs < KEEP_MS) return { kind: "found", jwk: known };
    if (ports.nowMs() - (triedAtMs.get(url) ?? 0) < RETRY_MS)
      return held === undefined
        ? { kind: "unreachable", detail: `${url} could not be read a moment ago` }
        : answerOf(known);
    triedAtMs.set(url, ports.nowMs());
    const fetched = await fetchDirectory(ports, url);
    if (!fetched.ok)
      return known === undefined
        ? { kind: "unreachable", detail: fetched.refusal.detail }
        : { kind: "found", jwk: known };
    const fresh: HeldDocument = { status: 200, text: fetched.value.text, etag: undefined, fetchedAtMs: ports.nowMs() };
    await ports.documents.write(url, fresh, undefined);
    return answerOf(keyIn(fresh.text, keyId, ports.nowMs()));
  };
}

function answerOf(jwk: PublicJwk | undefined): KeySearch {
  return jwk === undefined ? { kind: "unlisted" } : { kind: "found", jwk };
}

async function fetchDirectory(ports: EdgePorts, url: string): Promise<Result<Fetched>> {
  const fetched = await ports.fetchPublic(url, {
    headers: { accept: `${DIRECTORY_TYPE}, application/jwk-set+json, application/json` },
    maxBytes: MAX_DIRECTORY_BYTES,
    timeoutMs: DIRECTORY_TIMEOUT_MS,
  });
  if (!fetched.ok) return fetched;
  const { status, headers, text } = fetched.value;
  const type = (headers.get("content-type") ?? "").split(";")[0]?.trim().toLowerCase();
  if (status !== 200) return refuse("source_unavailable", `expected 200 of ${url}, got ${status}`);
  if (url.endsWith(DIRECTORY_PATH) && type !== DIRECTORY_TYPE)
    return refuse("source_unavailable", `expected ${DIRECTORY_TYPE} of ${url}, got ${type}`);
  return keysOf(text) === undefined
    ? refuse("source_unavailable", `expected a JWK Set of at most ${MAX_DIRECTORY_KEYS} keys at ${url}`)
    : accept(fetched.value);
}

function keysOf(text: string): readonly JsonObject[] | undefined {
  const parsed = parseJsonObject(text);
  const keys = parsed.ok ? parsed.value["keys"] : undefined;
  if (!Array.isArray(keys) || keys.length > MAX_DIRECTORY_KEYS) return undefined;
  return keys.filter(isJsonObject);
}

/** The key with this thumbprint, whatever it is labelled, within its times. */
function keyIn(text: string, keyId: string, nowMs: number): PublicJwk | undefined {
  for (const entry of keysOf(text) ?? []) {
    const jwk = parsePublicJwk(entry);
    if (!jwk.ok || thumbprint(jwk.value) !== keyId) continue;
    const [begin, end] = [millisecondsOf(entry["nbf"]), millisecondsOf(entry["exp"])];
    if ((begin ?? 0) <= nowMs && nowMs < (end ?? Number.POSITIVE_INFINITY)) return jwk.value;
  }
  return undefined;
}

function millisecondsOf(value: unknown): number | undefined {
  if (typeof value !== "number") return undefined;
  return value < FIRST_MILLISECONDS ? value * 1_000 : value;
}
