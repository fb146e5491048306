import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { open } from "node:fs/promises";
import type { Work } from "./catalogue.ts";

const CHUNK_BYTES = 128 * 1024;
const CACHE_CONTROL = "public, max-age=60";

type ByteRange =
  | { readonly kind: "whole" }
  | { readonly kind: "part"; readonly first: number; readonly last: number }
  | { readonly kind: "unsatisfiable" };

interface Fingerprint {
  readonly inode: number;
  readonly modifiedMs: number;
  readonly byteLength: number;
  readonly etag: string;
}

export type ServeWork = (work: Work, request: Request) => Promise<Response>;

/**
 * Answers GET and HEAD for the bytes of a work: strong ETag (SHA-256 of the content), 304, and
 * single byte ranges (RFC 9110 §13, §14). A file is hashed once, and again when it changes; who
 * is reading it at that moment is cut off, never given a mixture.
 */
export function createWorkServer(): ServeWork {
  const fingerprints = new Map<string, Fingerprint>();

  return async function serveWork(work, request) {
    const known = fingerprints.get(work.diskPath);
    const fingerprint = await withFile(work.diskPath, (file) => readFingerprint(file, known));
    fingerprints.set(work.diskPath, fingerprint);
    const answer = decideAnswer(work, request, fingerprint);
    const body = answer.span && streamSpan(work.diskPath, fingerprint, answer.span);
    return new Response(body ?? null, answer);
  };
}

interface Span {
  readonly first: number;
  readonly last: number;
}

interface Answer {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly span?: Span;
}

function decideAnswer(work: Work, request: Request, { etag, byteLength }: Fingerprint): Answer {
  const validators = { etag, "cache-control": CACHE_CONTROL };
  if (matchesAny(request.headers.get("if-none-match"), etag)) {
    return { status: 304, headers: validators };
  }
  const range = chooseRange(request, etag, byteLength);
  if (range.kind === "unsatisfiable") {
    return {
      status: 416,
      headers: { "content-range": `bytes */${byteLength}`, "accept-ranges": "bytes" },
    };
  }
  const span = range.kind === "part" ? range : { first: 0, last: byteLength - 1 };
  const headers = {
    ...validators,
    "accept-ranges": "bytes",
    "content-type": work.contentType,
    "content-length": String(span.last - span.first + 1),
    ...(range.kind === "part" && {
      "content-range": `bytes ${span.first}-${span.last}/${byteLength}`,
    }),
  };
  const status = range.kind === "part" ? 206 : 200;
  return request.method === "HEAD" ? { status, headers } : { status, headers, span };
}

function chooseRange(request: Request, etag: string, byteLength: number): ByteRange {
  const ifRange = request.headers.get("if-range");
  // Only GET has ranges (RFC 9110 §14.2); a stale If-Range asks for the whole.
  if (request.method !== "GET" || (ifRange !== null && ifRange !== etag)) return { kind: "whole" };
  return parseRange(request.headers.get("range"), byteLength);
}

/** One byte range. Several, or what is not a range, ask for the whole (RFC 9110 §14.2). */
function parseRange(header: string | null, byteLength: number): ByteRange {
  const match = /^bytes=[ \t]*(\d*)-(\d*)[ \t]*$/i.exec(header ?? "");
  const [, from = "", to = ""] = match ?? [];
  if (from === "" && to === "") return { kind: "whole" };
  if (from === "") {
    const wanted = Math.min(Number(to), byteLength);
    if (wanted === 0) return { kind: "unsatisfiable" };
    return { kind: "part", first: byteLength - wanted, last: byteLength - 1 };
  }
  const first = Number(from);
  const last = to === "" ? Infinity : Number(to);
  if (last < first) return { kind: "whole" };
  if (first >= byteLength) return { kind: "unsatisfiable" };
  return { kind: "part", first, last: Math.min(last, byteLength - 1) };
}

/** If-None-Match compares weakly: `W/` in front makes no difference (RFC 9110 §13.1.2). */
function matchesAny(header: string | null, etag: string): boolean {
  if (header === null) return false;
  return header.split(",").some((candidate) => {
    const value = candidate.trim();
    return value === "*" || value.replace(/^W\//, "") === etag;
  });
}

async function readFingerprint(file: FileHandle, known: Fingerprint | undefined): Promise<Fingerprint> {
  if (known && (await isUnchanged(file, known))) return known;
  const { ino: inode, mtimeMs: modifiedMs, size: byteLength } = await file.stat();
  const hash = createHash("sha256");
  for (let position = 0; position < byteLength;) {
    const chunk = await readChunk(file, { first: position, last: byteLength - 1 });
    hash.update(chunk);
    position += chunk.byteLength;
  }
  return { inode, modifiedMs, byteLength, etag: `"${hash.digest("hex")}"` };
}

/**
 * Reads as fast as the reader asks. The file is open only while a chunk is read: a reader who
 * leaves without a word, or never comes back for more, leaves nothing open behind.
 */
function streamSpan(
  diskPath: string,
  fingerprint: Fingerprint,
  { first, last }: Span,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  let position = first;
  return new ReadableStream(
    {
      async pull(controller) {
        const chunk = await withFile(diskPath, async (file) => {
          if (await isUnchanged(file, fingerprint)) return readChunk(file, { first: position, last });
          throw new Error(`${diskPath}: expected an unchanged file, it changed while being read`);
        });
        controller.enqueue(chunk);
        position += chunk.byteLength;
        if (position > last) controller.close();
      },
    },
    { highWaterMark: 0 },
  );
}

async function withFile<T>(diskPath: string, use: (file: FileHandle) => Promise<T>): Promise<T> {
  const file = await open(diskPath, "r");
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}

async function isUnchanged(file: FileHandle, known: Fingerprint): Promise<boolean> {
  const { ino, mtimeMs, size } = await file.stat();
  return ino === known.inode && mtimeMs === known.modifiedMs && size === known.byteLength;
}

async function readChunk(file: FileHandle, { first, last }: Span): Promise<Uint8Array<ArrayBuffer>> {
  const chunk = new Uint8Array(Math.min(CHUNK_BYTES, last + 1 - first));
  const { bytesRead } = await file.read(chunk, 0, chunk.byteLength, first);
  if (bytesRead === 0) throw new Error(`expected bytes up to ${last}, the file ended at ${first}`);
  return chunk.subarray(0, bytesRead);
}
