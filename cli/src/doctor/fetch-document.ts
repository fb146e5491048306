import { type JsonObject, decodeBase64url, parseInstant, parseJsonObject } from "@licet/protocol";

const TIMEOUT_MS = 10_000;
const MAX_BYTES = 16_777_216;

/** A public document as it arrived, through every cache in between. */
export interface FetchedDocument {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** What it says: the members of a JSON document, or the claims of a status list's token. */
  readonly members: JsonObject;
  readonly seq: number | undefined;
  /** Seconds since the epoch; undefined in what never grows old. */
  readonly checkedAt: number | undefined;
  readonly expiresAt: number | undefined;
  /** When it was fetched, milliseconds since the epoch. */
  readonly fetchedMs: number;
}

/** Follows no redirect: a document has one address. */
export async function fetchDocument(url: string): Promise<FetchedDocument> {
  const response = await fetch(url, { redirect: "manual", signal: AbortSignal.timeout(TIMEOUT_MS) });
  const fetchedMs = Date.now();
  const text = await readText(response);
  const members = response.status === 200 ? membersOf(text) : {};
  const { seq, checked_at, expires_at, iat, exp } = members;
  return {
    status: response.status,
    headers: response.headers,
    text,
    members,
    seq: typeof seq === "number" ? seq : undefined,
    checkedAt: secondsOf(checked_at ?? iat),
    expiresAt: secondsOf(expires_at ?? exp),
    fetchedMs,
  };
}

/** Reads no further than a document may be long. */
async function readText({ body }: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let length = 0;
  for await (const chunk of body ?? []) {
    length += chunk.byteLength;
    // Leaving the loop cancels the rest.
    if (length > MAX_BYTES) throw new Error(`expected at most ${MAX_BYTES} bytes, got more`);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

/** Whether the same document is answered with 304 to whoever has it already. */
export async function isRevalidated(url: string, etag: string): Promise<boolean> {
  const headers = { "if-none-match": etag };
  const { status } = await fetch(url, { headers, redirect: "manual", signal: AbortSignal.timeout(TIMEOUT_MS) });
  return status === 304;
}

function membersOf(text: string): JsonObject {
  const claims = /^[\w-]+\.([\w-]+)\.[\w-]+$/.exec(text)?.[1];
  const bytes = claims === undefined ? undefined : decodeBase64url(claims);
  const parsed = parseJsonObject(bytes === undefined ? text : new TextDecoder().decode(bytes));
  return parsed.ok ? parsed.value : {};
}

function secondsOf(value: unknown): number | undefined {
  if (typeof value === "number") return value;
  return typeof value === "string" ? parseInstant(value) : undefined;
}

/** The seconds a cache says it has kept an answer. */
export function ageOf({ headers }: FetchedDocument): number {
  const age = Number(headers.get("age") ?? 0);
  return Number.isFinite(age) ? age : 0;
}

/** What the caches on the way say about themselves. */
export function cachesOf({ headers }: FetchedDocument): string {
  const said = ["x-cache", "cf-cache-status", "x-vercel-cache", "cache-status"].flatMap((name) => {
    const value = headers.get(name);
    return value === null ? [] : [`${name}: ${value}`];
  });
  return said.join(", ");
}
