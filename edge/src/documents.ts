import {
  type ContentStatus,
  type KeySet,
  type RefreshedDocument,
  type RefusalCode,
  type Result,
  type StatusList,
  accept,
  refuse,
} from "@licet/protocol";
import { askTwice } from "./ask-twice.ts";
import {
  KEYS_PATH,
  type Kind,
  type Verified,
  contentStatusKind,
  keySetKind,
  pathWithin,
  pushedContentStatusKind,
  statusListKind,
} from "./document-kinds.ts";
import { type LimitedMap, createLimitedMap } from "./memory.ts";
import { type EdgePorts, type HeldDocument, readWithin } from "./ports.ts";
import { type RecentCopies, readHeld, remember } from "./recent-copies.ts";

/** After the platform was asked in vain, nobody waits for it for this long where a copy still stands. */
const HOLD_OFF_MS = 250;
/** For a document that an unknown key signed, the keys are asked for again this often at most. */
const KEYS_RETRY_MS = 1_000;
/** `seq` numbers that are remembered, so that an older document is known as one. */
const MAX_SEQS = 100_000;
const MAX_RECENT = 10_000;
/** An unpacked status list is a quarter of a megabyte, and an isolate has 128. */
const MAX_JUDGED = 100;

/** What is known of a document now. */
export type DocumentFact<T> =
  | { readonly state: "known"; readonly value: T; readonly trustedUntil: number }
  | { readonly state: "absent" }
  | { readonly state: "missing"; readonly detail: string };

export interface DocumentReader {
  readonly keys: () => Promise<DocumentFact<KeySet>>;
  /** Asks for the keys once more, once a second at most. */
  readonly askForKeys: () => Promise<void>;
  readonly contentStatus: (normalisedUrl: string) => Promise<DocumentFact<ContentStatus>>;
  readonly statusList: (uri: string) => Promise<DocumentFact<StatusList>>;
  /**
   * Forgets the copies of these documents, takes none any more that has a lower `seq`, and fetches
   * them. Answers the paths of those that could not be had so.
   */
  readonly refresh: (documents: readonly RefreshedDocument[]) => Promise<readonly string[]>;
}

export interface ReaderOptions {
  /** Who speaks: the `iss` of every document. */
  readonly origin: string;
  /** Where the documents are fetched, when it is another address of the same platform. */
  readonly address: string;
  readonly ttlSeconds: number;
  readonly timeoutMs: number;
  readonly allowsTest: boolean;
  readonly ports: EdgePorts;
}

/** The refusals after which the keys are looked at again: what came may be signed with a new one. */
export const KEY_REFUSALS: readonly RefusalCode[] = ["key_unknown", "signature_missing", "key_not_in_force"];

/** What the keys themselves are judged by: nothing but their own signature and where they come from. */
const NO_KEYS: KeySet = { iss: "", seq: 0, keys: [] };

/** What certain bytes came to, by certain keys. */
interface Judgement {
  readonly keys: KeySet;
  readonly fact: Verified<unknown>;
}

/** What an isolate may remember between requests: nothing of it says that something may be used. */
export interface ReaderMemory {
  /** Copies that were looked at a moment ago, so that one request does not ask the cache ten times. */
  readonly recent: RecentCopies;
  readonly verified: WeakMap<HeldDocument, Judgement>;
  /** The same for the newest bytes of a path, so that requests which each fetched them do not each verify them. */
  readonly judged: LimitedMap<Judgement & { readonly text: string }>;
  /** The highest `seq` that was seen of a path: knowledge that only refuses. */
  readonly seqs: LimitedMap<number>;
  readonly retryAtMs: LimitedMap<number>;
  /** How often a path was forgotten: what was asked for before is not kept after. */
  readonly generations: LimitedMap<number>;
}

export function createReaderMemory(): ReaderMemory {
  return {
    recent: createLimitedMap(MAX_RECENT),
    verified: new WeakMap(),
    judged: createLimitedMap(MAX_JUDGED),
    seqs: createLimitedMap(MAX_SEQS),
    retryAtMs: createLimitedMap(MAX_RECENT),
    generations: createLimitedMap(MAX_SEQS),
  };
}

interface Reader extends ReaderOptions, ReaderMemory {
  /** Requests to the platform that are under way: a Worker must not wait for what another request asked, so they are not remembered. */
  readonly underWay: Map<string, Promise<Attempt>>;
}

/** What asking for a document came to. */
type Attempt =
  | { readonly kind: "held"; readonly held: HeldDocument }
  | { readonly kind: "failed"; readonly detail: string };

/**
 * Reads the platform's documents through a cache, by the two clocks: within the first a copy is
 * taken as it is; after it the platform is asked; and when it cannot be asked, the copy stands
 * until its second clock has run out. A document that does not verify, or has a lower `seq` than
 * one that was seen before, counts as no answer.
 */
export function createDocumentReader(options: ReaderOptions, memory: ReaderMemory): DocumentReader {
  const reader: Reader = { ...options, ...memory, underWay: new Map() };
  return {
    keys: () => readKeys(reader),
    askForKeys: () => askForKeys(reader),
    contentStatus: (url) => readSigned(reader, contentStatusKind(url)),
    statusList: async (uri) => {
      const path = pathWithin(uri, options.origin);
      return path === undefined
        ? { state: "missing", detail: `expected a status list of ${options.origin}, got ${uri}` }
        : readSigned(reader, statusListKind(uri, path));
    },
    refresh: (documents) => refresh(reader, documents),
  };
}

function readKeys(reader: Reader): Promise<DocumentFact<KeySet>> {
  return readBy(reader, keySetKind(reader));
}

async function readSigned<T>(reader: Reader, kind: Kind<T>): Promise<DocumentFact<T>> {
  const keys = await readKeys(reader);
  if (keys.state === "known") return readBy(reader, kind);
  return { state: "missing", detail: keys.state === "absent" ? "the platform publishes no keys" : keys.detail };
}

async function readBy<T>(reader: Reader, kind: Kind<T>): Promise<DocumentFact<T>> {
  const { ports, ttlSeconds } = reader;
  const { held, fact } = await readCopy(reader, kind);
  const ageMs = ports.nowMs() - (held?.fetchedAtMs ?? 0);
  if (fact !== undefined && fact.state !== "missing" && ageMs < ttlSeconds * 1_000) return fact;
  const asking = ask(reader, kind, held);
  if (fact?.state === "known" && ports.nowMs() < (reader.retryAtMs.get(kind.path) ?? 0)) {
    ports.defer(asking);
    return fact;
  }
  const attempt = await asking;
  const answered: DocumentFact<T> =
    attempt.kind === "held" ? await factOf(reader, kind, attempt.held) : { state: "missing", detail: attempt.detail };
  if (answered.state !== "missing") return answered;
  // Another request may have brought a newer one meanwhile: what came, or was held, has then fallen behind it.
  const { fact: standing } = await readCopy(reader, kind);
  return standing?.state === "known" ? standing : answered;
}

interface Copy<T> {
  readonly held: HeldDocument | undefined;
  readonly fact: DocumentFact<T> | undefined;
}

/** The copy that is held. One that fell behind while it was judged, since another request brought a newer one, gives way to that one. */
async function readCopy<T>(reader: Reader, kind: Kind<T>): Promise<Copy<T>> {
  const held = await readHeld(reader, kind.path);
  const fact = held === undefined ? undefined : await factOf(reader, kind, held);
  if (fact?.state !== "missing") return { held, fact };
  const newer = await readHeld(reader, kind.path);
  return newer === undefined || newer === held
    ? { held, fact }
    : { held: newer, fact: await factOf(reader, kind, newer) };
}

async function factOf<T>(reader: Reader, kind: Kind<T>, held: HeldDocument): Promise<DocumentFact<T>> {
  if (held.status === 404) return { state: "absent" };
  const verified = await verifyCopy(reader, kind, held);
  if (!verified.ok) return { state: "missing", detail: `${kind.path}: ${verified.refusal.detail}` };
  const { value, trustedUntil } = verified.value;
  return trustedUntil * 1_000 > reader.ports.nowMs()
    ? { state: "known", value, trustedUntil }
    : { state: "missing", detail: `${kind.path}: expected a document that is still trusted` };
}

/** The same bytes are verified once for as long as the keys are the same. The keys are verified with themselves. */
async function verifyCopy<T>(reader: Reader, kind: Kind<T>, held: HeldDocument): Promise<Result<Verified<T>>> {
  const keys = kind.path === KEYS_PATH ? NO_KEYS : await keysNow(reader);
  const judged = reader.judged.get(kind.path);
  const known = reader.verified.get(held) ?? (judged?.text === held.text ? judged : undefined);
  if (known?.keys === keys) {
    reader.verified.set(held, known);
    return takeSeq(reader, kind.path, known.fact as Verified<T>);
  }
  const verified = await kind.verify(held.text, keys, Math.floor(reader.ports.nowMs() / 1_000));
  if (!verified.ok) return verified;
  const judgement = { keys, fact: verified.value, text: held.text };
  reader.verified.set(held, judgement);
  reader.judged.set(kind.path, judgement);
  return takeSeq(reader, kind.path, verified.value);
}

/** What verifies is the least that is taken from here on, wherever the copy came from: a cache may be filled with what was on its way while it was purged. */
function takeSeq<T>(reader: Reader, path: string, fact: Verified<T>): Result<Verified<T>> {
  const least = reader.seqs.get(path) ?? 0;
  if (fact.seq < least) return refuse("document_invalid", `expected seq ${least} or a higher one, got ${fact.seq}`);
  demandSeq(reader, path, fact.seq);
  return accept(fact);
}

/** From here on nothing lower is taken. Several may ask at once, so the highest stays. */
function demandSeq({ seqs }: Reader, path: string, seq: number): void {
  seqs.set(path, Math.max(seq, seqs.get(path) ?? 0));
}

async function keysNow(reader: Reader): Promise<KeySet> {
  const keys = await readKeys(reader);
  return keys.state === "known" ? keys.value : NO_KEYS;
}

/** Asks the platform for a document, once at a time for each. */
function ask<T>(reader: Reader, kind: Kind<T>, held: HeldDocument | undefined): Promise<Attempt> {
  const generation = reader.generations.get(kind.path) ?? 0;
  const key = `${kind.path} ${generation}`;
  const known = reader.underWay.get(key);
  if (known !== undefined) return known;
  const asking = askOnce(reader, kind, { held, generation }).finally(() => reader.underWay.delete(key));
  reader.underWay.set(key, asking);
  return asking;
}

interface Question {
  readonly held: HeldDocument | undefined;
  readonly generation: number;
}

async function askOnce<T>(reader: Reader, kind: Kind<T>, question: Question): Promise<Attempt> {
  const { ports, retryAtMs } = reader;
  const came = await fetchDocument(reader, kind, question);
  const kept = came.kind === "failed" ? came : await keep(reader, kind, { ...question, ...came });
  if (kept.kind === "held") {
    retryAtMs.delete(kind.path);
    return kept;
  }
  retryAtMs.set(kind.path, ports.nowMs() + HOLD_OFF_MS);
  ports.log({ level: "warn", message: kept.detail, path: kind.path });
  return kept;
}

type FetchedDocument =
  | { readonly kind: "fetched"; readonly fetched: HeldDocument; readonly tags: string | undefined }
  | { readonly kind: "failed"; readonly detail: string };

async function fetchDocument<T>(reader: Reader, kind: Kind<T>, { held }: Question): Promise<FetchedDocument> {
  const { address, ports, timeoutMs } = reader;
  const etag = held?.status === 200 ? held.etag : undefined;
  // What the platform says is as old as the question (RFC 9111 section 4.2.3): it may have changed while the answer was on its way.
  const askedAtMs = ports.nowMs();
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    const headers: Readonly<Record<string, string>> = etag === undefined ? {} : { "if-none-match": etag };
    const response = await askTwice(() =>
      ports.fetch(`${address}${kind.path}`, { redirect: "manual", signal, headers }),
    );
    const fetchedAtMs = askedAtMs - ageMsOf(response);
    const tags = response.headers.get("cache-tag") ?? undefined;
    if (response.status === 304 && held !== undefined && etag !== undefined)
      return { kind: "fetched", fetched: { ...held, fetchedAtMs }, tags };
    const text = await readWithin(response, kind.maxBytes);
    if (text === undefined)
      return { kind: "failed", detail: `${kind.path}: expected at most ${kind.maxBytes} bytes, got more` };
    if (response.status === 404)
      return { kind: "fetched", fetched: { status: 404, text: "", etag: undefined, fetchedAtMs }, tags };
    if (response.status !== 200)
      return { kind: "failed", detail: `${kind.path}: expected 200, the platform answered ${response.status}` };
    const fresh: HeldDocument = { status: 200, text, etag: response.headers.get("etag") ?? undefined, fetchedAtMs };
    return { kind: "fetched", fetched: fresh, tags };
  } catch (error) {
    return { kind: "failed", detail: `${kind.path}: the platform cannot be reached: ${reasonOf(error)}` };
  }
}

/** How long a cache on the way has kept what it answers: as much older is the copy, by the first clock. */
function ageMsOf({ headers }: Response): number {
  const age = headers.get("age")?.split(",")[0]?.trim() ?? "";
  return /^\d{1,9}$/.test(age) ? Number(age) * 1_000 : 0;
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}

interface Kept extends Question {
  readonly fetched: HeldDocument;
  readonly tags: string | undefined;
}

/** Keeps what came when it verifies and is not older than what was seen; the keys are looked at again where they may be old. */
async function keep<T>(reader: Reader, kind: Kind<T>, kept: Kept): Promise<Attempt> {
  const { fetched, tags, generation } = kept;
  if (fetched.status === 200) {
    // Another isolate may have brought a newer one meanwhile: what it left is known before this is judged.
    const now = await reader.ports.documents.read(kind.path);
    if (now?.status === 200) await verifyCopy(reader, kind, now);
    const refused = await checkFetched(reader, kind, fetched);
    if (refused !== undefined) return { kind: "failed", detail: `${kind.path}: ${refused}` };
  }
  if ((reader.generations.get(kind.path) ?? 0) === generation) {
    remember(reader, kind.path, fetched);
    await reader.ports.documents.write(kind.path, fetched, tags);
  }
  return { kind: "held", held: fetched };
}

async function checkFetched<T>(reader: Reader, kind: Kind<T>, fetched: HeldDocument): Promise<string | undefined> {
  let verified = await verifyCopy(reader, kind, fetched);
  if (!verified.ok && kind.path !== KEYS_PATH && KEY_REFUSALS.includes(verified.refusal.code)) {
    await askForKeys(reader);
    verified = await verifyCopy(reader, kind, fetched);
  }
  return verified.ok ? undefined : verified.refusal.detail;
}

/** Asks for the keys once more, once a second at most: a document may be signed with a new one. */
async function askForKeys(reader: Reader): Promise<void> {
  const held = await readHeld(reader, KEYS_PATH);
  if (held !== undefined && reader.ports.nowMs() - held.fetchedAtMs >= KEYS_RETRY_MS)
    await ask(reader, keySetKind(reader), held);
}

async function refresh(reader: Reader, documents: readonly RefreshedDocument[]): Promise<readonly string[]> {
  await Promise.all(
    documents.map(async ({ path, seq }) => {
      if (isRead(path)) demandSeq(reader, path, seq);
      reader.generations.set(path, (reader.generations.get(path) ?? 0) + 1);
      reader.retryAtMs.delete(path);
      reader.recent.delete(path);
      await reader.ports.documents.forget(path);
    }),
  );
  const behind = await Promise.all(
    documents.map(async ({ path, seq }) => {
      if (!isRead(path)) return undefined;
      const { state } = await readAgain(reader, path);
      return state === "known" || (state === "absent" && seq === 0) ? undefined : path;
    }),
  );
  return behind.filter((path) => path !== undefined);
}

const STATUS_LISTS = "/status-lists/";
const CONTENT_STATUSES = "/.well-known/content-status/";

/** What an edge has no use for is not fetched. */
function isRead(path: string): boolean {
  return path === KEYS_PATH || path.startsWith(STATUS_LISTS) || path.startsWith(CONTENT_STATUSES);
}

/** What is behind a path that was pushed. */
function readAgain(reader: Reader, path: string): Promise<DocumentFact<unknown>> {
  if (path === KEYS_PATH) return readKeys(reader);
  if (path.startsWith(STATUS_LISTS)) return readSigned(reader, statusListKind(`${reader.origin}${path}`, path));
  return readSigned(reader, pushedContentStatusKind(path));
}
