import { type Result, accept, refuse } from "@licet/protocol";
import { MAX_DOCUMENT_BYTES, MAX_RETRIES, MAX_RETRY_AFTER_SECONDS, REQUEST_TIMEOUT_SECONDS } from "./limits.ts";

/**
 * How a request leaves: the platform's own `fetch`, or whatever stands in for it.
 *
 * @example const viaProxy: Fetch = (url, init) => fetch(`https://proxy.example/${url}`, init);
 */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/**
 * A request as plain data: what the `…Request` functions build and {@link send} sends.
 *
 * @example datasetRequest("https://platform.example", "ds_1")
 * // → { method: "GET", url: "https://platform.example/api/v1/datasets/ds_1", headers: {…}, repeatable: true }
 */
export interface ApiRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** True when sending it twice does no more than sending it once, so that it may be retried. */
  readonly repeatable: boolean;
}

/**
 * An answer as plain data: what the `parse…` functions read.
 *
 * @example { status: 200, headers: new Headers(), body: new TextEncoder().encode("{}") }
 */
export interface ApiAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array<ArrayBuffer>;
}

/**
 * What sending may be told; every member has a default.
 *
 * @example { timeoutSeconds: 10, maxBytes: 1_000_000, signal: controller.signal }
 */
export interface SendOptions {
  readonly fetch?: Fetch;
  readonly timeoutSeconds?: number;
  readonly maxBytes?: number;
  readonly signal?: AbortSignal;
}

/**
 * Sends a request and reads the answer whole. A 503 is tried again, at most {@link MAX_RETRIES}
 * times, when the request is repeatable and `Retry-After` asks for at most
 * {@link MAX_RETRY_AFTER_SECONDS}. An error status is an answer too; reading it is the parser's task.
 *
 * Refuses `unavailable` (no answer in time), `document_invalid` (a redirect: none is followed) and
 * `body_too_large`.
 *
 * @example const answer = await send(datasetRequest(origin, "ds_1"), { timeoutSeconds: 10 });
 */
export async function send(request: ApiRequest, options: SendOptions = {}): Promise<Result<ApiAnswer>> {
  for (let attempt = 0; ; attempt += 1) {
    const opened = await openResponse(request, options);
    if (!opened.ok) return opened;
    const response = opened.value;
    const body = await readBody(response, options.maxBytes ?? MAX_DOCUMENT_BYTES);
    if (!body.ok) return body;
    const pauseSeconds =
      response.status === 503 && request.repeatable && attempt < MAX_RETRIES
        ? retryAfterSeconds(response.headers)
        : undefined;
    if (pauseSeconds === undefined)
      return accept({ status: response.status, headers: response.headers, body: body.value });
    await pause(pauseSeconds);
  }
}

/**
 * Sends a request and answers as soon as the headers are there; the time limit also covers the body.
 * Refuses `unavailable` and, for a redirect, `document_invalid`.
 *
 * @example const opened = await openResponse({ method: "GET", url, headers: {}, repeatable: true }, {});
 */
export async function openResponse(request: ApiRequest, options: SendOptions): Promise<Result<Response>> {
  const { fetch = globalThis.fetch, timeoutSeconds = REQUEST_TIMEOUT_SECONDS } = options;
  const timeout = AbortSignal.timeout(timeoutSeconds * 1000);
  const signal = options.signal === undefined ? timeout : AbortSignal.any([timeout, options.signal]);
  const { method, headers, body } = request;
  try {
    const response = await fetch(request.url, {
      method,
      headers,
      redirect: "manual",
      signal,
      ...(body === undefined ? {} : { body }),
    });
    if (!isRedirect(response)) return accept(response);
    await response.body?.cancel();
    return refuse(
      "document_invalid",
      `${method} ${request.url}: expected an answer, got a redirect (${response.status}), and redirects are not followed`,
    );
  } catch (error) {
    return refuse("unavailable", `${method} ${request.url}: ${reasonOf(error)}`);
  }
}

function isRedirect(response: Response): boolean {
  return response.type === "opaqueredirect" || (response.status >= 300 && response.status < 400);
}

/**
 * Reads the body of a request or response, and never more than `maxBytes` of it.
 * Refuses `body_too_large`, and `unavailable` when it breaks off.
 *
 * @example const body = await readBody(response, 65_536);
 */
export async function readBody(
  message: Request | Response,
  maxBytes: number,
): Promise<Result<Uint8Array<ArrayBuffer>>> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of readChunks(message, maxBytes)) {
    if (!chunk.ok) return chunk;
    chunks.push(chunk.value);
    length += chunk.value.length;
  }
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return accept(bytes);
}

/**
 * The chunks of a body as they arrive; the first refusal is the last thing it yields.
 * Refuses as {@link readBody} does.
 *
 * @example for await (const chunk of readChunks(response, 1_000_000)) if (!chunk.ok) return chunk;
 */
export async function* readChunks(message: Request | Response, maxBytes: number): AsyncGenerator<Result<Uint8Array>> {
  const reader = message.body?.getReader();
  if (reader === undefined) return;
  let length = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      length += value.length;
      if (length > maxBytes) {
        yield refuse("body_too_large", `${message.url}: expected at most ${maxBytes} bytes, got more`);
        return;
      }
      yield accept(value);
    }
  } catch (error) {
    yield refuse("unavailable", `${message.url}: the body broke off: ${reasonOf(error)}`);
  } finally {
    reader.cancel().catch(() => undefined);
  }
}

/** The seconds `Retry-After` (RFC 9110 section 10.2.3) asks for, one when it says nothing, undefined when it asks for too long a pause or names a date. */
function retryAfterSeconds(headers: Headers): number | undefined {
  const text = headers.get("retry-after") ?? "1";
  const seconds = /^\d{1,6}$/.test(text) ? Number(text) : Number.POSITIVE_INFINITY;
  return seconds <= MAX_RETRY_AFTER_SECONDS ? seconds : undefined;
}

function pause(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

/** Runtimes wrap what went wrong on the network in a TypeError that says only "fetch failed". */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
