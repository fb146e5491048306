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
import type { EdgeConfig } from "./config.ts";
import { type LimitedMap, createLimitedMap } from "./memory.ts";
import type { EdgePorts, Fetched, HeldDocument } from "./ports.ts";

const DIRECTORY_PATH = "/.well-known/http-message-signatures-directory";
const DIRECTORY_TYPE = "application/http-message-signatures-directory+json";
const MAX_DIRECTORY_BYTES = 65_536;
const MAX_DIRECTORY_KEYS = 100;
/** Directories of which it is remembered when they were asked. */
const MAX_DIRECTORIES = 10_000;
const DIRECTORY_TIMEOUT_MS = 3_000;
/** Keys are taken from a copy for this long; one that is not in it is looked for again after `RETRY_MS`. */
const KEEP_MS = 300_000;
const RETRY_MS = 10_000;
/** What one that cannot be read leaves of its copy. */
const TRUST_MS = 86_400_000;
/** Directories that are asked for in a minute: at one host, and at all. */
const WINDOW_MS = 60_000;
const MAX_ASKED_AT_HOST = 10;
const MAX_ASKED = 200;
/** Times are seconds; some directories write milliseconds. */
const FIRST_MILLISECONDS = 100_000_000_000;

/** A member of `Signature-Agent`: where the keys are, and how they are found there. */
export interface AgentMember {
  readonly url: string;
  readonly type: string;
}

/** Where an agent's keys are, which is also who it is. */
export interface Directory {
  readonly url: string;
  /** True for the one directory of an origin, which speaks for it; any other set of keys speaks for itself. */
  readonly isOfOrigin: boolean;
}

/** Where a member leads; undefined when it names nothing that is looked up here. A query could make one place many. */
export function directoryOf({ url, type }: AgentMember): Directory | undefined {
  if (!url.startsWith("https://") && !url.startsWith("http://")) return undefined;
  if (type === "jwks_uri") return isWebUrl(url) && !/[?#]/.test(url) ? { url, isOfOrigin: false } : undefined;
  if (type !== "directory") return undefined;
  const origin = url.replace(/\/$/, "");
  return isOrigin(origin) ? { url: `${origin}${DIRECTORY_PATH}`, isOfOrigin: true } : undefined;
}

/** What looking for a key came to: a directory that does not list it has spoken, one that cannot be read has not. */
export type KeySearch =
  | { readonly kind: "found"; readonly jwk: PublicJwk }
  | { readonly kind: "unlisted" }
  | { readonly kind: "unreachable"; readonly detail: string };

export type FindKey = (url: string, keyId: string) => Promise<KeySearch>;

/** What is remembered between requests, so that nobody has an edge ask others on and on. */
export interface DirectoryMemory {
  readonly triedAtMs: LimitedMap<number>;
  windowBeganMs: number;
  asked: number;
  readonly askedAtHost: Map<string, number>;
}

export function createDirectoryMemory(): DirectoryMemory {
  return { triedAtMs: createLimitedMap(MAX_DIRECTORIES), windowBeganMs: 0, asked: 0, askedAtHost: new Map() };
}

/** Counts a directory that is to be asked for; false when its host, or everybody, had enough this minute. */
function mayAsk(memory: DirectoryMemory, url: string, nowMs: number): boolean {
  if (nowMs - memory.windowBeganMs >= WINDOW_MS) {
    memory.windowBeganMs = nowMs;
    memory.asked = 0;
    memory.askedAtHost.clear();
  }
  const { hostname } = new URL(url);
  const atHost = memory.askedAtHost.get(hostname) ?? 0;
  if (memory.asked >= MAX_ASKED || atHost >= MAX_ASKED_AT_HOST) return false;
  memory.asked += 1;
  memory.askedAtHost.set(hostname, atHost + 1);
  return true;
}

/**
 * Finds a key in the directory at a URL, and in no other: a key that one directory lists says
 * nothing about another. A directory that cannot be read does not drive out the copy of it, for a
 * day. The platform's own origin is no agent's.
 */
export function createKeyFinder(
  { origin, address }: Pick<EdgeConfig, "origin" | "address">,
  ports: EdgePorts,
  memory: DirectoryMemory,
): FindKey {
  const platform = [origin, address].map((text) => new URL(text).host);
  return async (url, keyId) => {
    if (platform.includes(new URL(url).host)) return { kind: "unreachable", detail: `${url} is no agent's` };
    const copy = await ports.directories.read(url);
    const ageMs = ports.nowMs() - (copy?.fetchedAtMs ?? 0);
    const held = ageMs < TRUST_MS ? copy : undefined;
    const known = held === undefined ? undefined : keyIn(held.text, keyId, ports.nowMs());
    if (known !== undefined && ageMs < KEEP_MS) return { kind: "found", jwk: known };
    const isTried = ports.nowMs() - (memory.triedAtMs.get(url) ?? 0) < RETRY_MS;
    if (isTried || !mayAsk(memory, url, ports.nowMs()))
      return held === undefined
        ? { kind: "unreachable", detail: `${url} could not be read, or was not asked, a moment ago` }
        : answerOf(known);
    memory.triedAtMs.set(url, ports.nowMs());
    const fetched = await fetchDirectory(ports, url);
    if (!fetched.ok)
      return known === undefined
        ? { kind: "unreachable", detail: fetched.refusal.detail }
        : { kind: "found", jwk: known };
    const fresh: HeldDocument = { status: 200, text: fetched.value.text, etag: undefined, fetchedAtMs: ports.nowMs() };
    await ports.directories.write(url, fresh, undefined);
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
