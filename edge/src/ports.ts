import type { Result } from "@licet/protocol";
import type { ProofUse } from "./memory.ts";

/** What Cloudflare says of a client certificate (`request.cf.tlsClientAuth`), as far as it is looked at. */
export interface CertificateFact {
  /** SHA-256 of the certificate, lower-case hexadecimal. */
  readonly sha256: string;
  /** Whether the chain verifies; a revoked certificate still does. */
  readonly isVerified: boolean;
  readonly isRevoked: boolean;
}

/** The head of a request, as the world sent it. */
export interface EdgeRequest {
  readonly method: string;
  /** Absolute, with the origin under which the site is known. */
  readonly url: string;
  readonly headers: Headers;
  readonly certificate?: CertificateFact;
}

/** A body that was read whole, within its limit. */
export interface Fetched {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

export interface FetchLimits {
  readonly headers: Readonly<Record<string, string>>;
  readonly maxBytes: number;
  readonly timeoutMs: number;
}

/** A copy of a document, or of the answer that there is none. */
export interface HeldDocument {
  readonly status: 200 | 404;
  readonly text: string;
  readonly etag: string | undefined;
  /** When it was asked for last, in milliseconds. */
  readonly fetchedAtMs: number;
}

/** Where copies are kept. What is kept here decides nothing by itself: every copy is verified, and has its two clocks. */
export interface DocumentCache {
  readonly read: (key: string) => Promise<HeldDocument | undefined>;
  readonly write: (key: string, held: HeldDocument, tags: string | undefined) => Promise<void>;
  readonly forget: (key: string) => Promise<void>;
}

/** In milliseconds since a copy was read. */
export interface MemoryLimits {
  /** Then the cache is looked into again, by one request at a time. */
  readonly dueMs: number;
  /** Then nobody goes on without the cache. */
  readonly maxMs: number;
}

/** One thing that went otherwise than it should have, for the operator. */
export interface LogEntry {
  readonly level: "warn" | "error";
  readonly message: string;
  readonly path?: string;
}

/** What a host lends to the handler. */
export interface EdgePorts {
  readonly nowMs: () => number;
  /** Random bytes, for the names of batches. */
  readonly randomId: () => string;
  /** One request to the platform, which the operator chose: no redirect is followed. Throws what the network throws. */
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  /** One request to a URL that a stranger chose, through the guard. Refuses `url_forbidden` and `source_unavailable`. */
  readonly fetchPublic: (url: string, limits: FetchLimits) => Promise<Result<Fetched>>;
  readonly documents: DocumentCache;
  /** Copies of agents' directories: apart from the platform's documents, since strangers choose their names. */
  readonly directories: DocumentCache;
  /** How long copies in the isolate's own memory stand for `documents`; undefined where they do not. */
  readonly memory: MemoryLimits | undefined;
  /** True the first time that this proof is used. Asked of proofs that hold, by keys of licenses that hold, and of no others. */
  readonly isFirstUse: (use: ProofUse) => Promise<boolean>;
  /** Lets work go on after the answer. */
  readonly defer: (work: Promise<unknown>) => void;
  readonly log: (entry: LogEntry) => void;
}

/** Reads a body to its end, or answers undefined once it is over the limit. */
export async function readWithin(response: Response, maxBytes: number): Promise<string | undefined> {
  if (response.body === null) return "";
  const reader: ReadableStreamDefaultReader<Uint8Array> = response.body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  let size = 0;
  for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
    size += chunk.value.length;
    if (size > maxBytes) {
      await reader.cancel();
      return undefined;
    }
    text += decoder.decode(chunk.value, { stream: true });
  }
  return text + decoder.decode();
}
