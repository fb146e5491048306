import {
  type JsonObject,
  MAX_STATUS_LIST_TOKEN_LENGTH,
  type Result,
  accept,
  parseJsonObject,
  refuse,
} from "@licet/protocol";
import { nextPageUrl } from "./api-answers.ts";
import { linesRequest, withBearer } from "./api-requests.ts";
import type { LicetClient } from "./client.ts";
import { MAX_DOCUMENT_BYTES, MAX_LINE_BYTES, MAX_PAGES, MAX_PAGE_BYTES, PAGE_TIMEOUT_SECONDS } from "./limits.ts";
import { type Answer, parseProblem } from "./problem.ts";
import { type ApiRequest, type SendOptions, openResponse, readBody, readChunks, send } from "./send.ts";

/**
 * Where a verification gets its evidence. The checker chooses every URL and has seen to it that it
 * is on the manifest's origin; a source only delivers. `lines` is absent when there are no
 * credentials for items and consents.
 *
 * @example const source = httpSource(origin, { client });
 */
export interface DatasetSource {
  /** One JSON document. */
  readonly document: (url: string) => Promise<Result<JsonObject>>;
  /** One status list token. */
  readonly statusList: (url: string) => Promise<Result<string>>;
  /** Every line of a paged NDJSON, following `next`; a refusal is the last thing it yields. */
  readonly lines?: (url: string) => AsyncIterable<Result<JsonObject>>;
}

/**
 * What a source over HTTP may be told. The client's bearer token only ever goes to the client's own origin.
 *
 * @example { client, timeoutSeconds: 10 }
 */
export interface HttpSourceOptions extends SendOptions {
  readonly client?: Pick<LicetClient, "origin" | "accessToken">;
}

/**
 * A source that asks the platform itself: public documents without credentials, items and consents
 * with the client's. Follows no redirects and leaves the origin under no circumstances.
 *
 * @example const source = httpSource("https://platform.example", { client });
 */
export function httpSource(origin: string, options: HttpSourceOptions = {}): DatasetSource {
  const { client, ...sending } = options;
  const publicSource = {
    document: async (url: string) => {
      const body = await getBody(origin, url, sending, MAX_DOCUMENT_BYTES);
      return body.ok ? parseJsonObject(body.value) : body;
    },
    statusList: async (url: string) => {
      const body = await getBody(origin, url, sending, MAX_STATUS_LIST_TOKEN_LENGTH);
      return body.ok ? accept(new TextDecoder().decode(body.value)) : body;
    },
  };
  if (client === undefined) return publicSource;
  return { ...publicSource, lines: (url: string) => pagedLines(origin, url, client, sending) };
}

async function getBody(
  origin: string,
  url: string,
  sending: SendOptions,
  maxBytes: number,
): Promise<Result<Uint8Array<ArrayBuffer>>> {
  const place = checkOrigin(url, origin);
  if (!place.ok) return place;
  const answer = await send({ method: "GET", url, headers: {}, repeatable: true }, { ...sending, maxBytes });
  if (!answer.ok) return answer;
  if (answer.value.status === 200) return accept(answer.value.body);
  const { code, detail, status } = parseProblem(answer.value);
  return refuse(code, `${url}: expected status 200, got ${status}: ${detail}`);
}

/** Refuses (`document_invalid`) a URL that leads away from the origin. */
export function checkOrigin(url: string, origin: string): Result<string> {
  const isHome = URL.canParse(url) && new URL(url).origin === origin;
  return isHome ? accept(url) : refuse("document_invalid", `expected a URL on ${origin}, got ${url}`);
}

async function* pagedLines(
  origin: string,
  firstUrl: string,
  client: Pick<LicetClient, "origin" | "accessToken">,
  sending: SendOptions,
): AsyncGenerator<Result<JsonObject>> {
  if (client.origin !== origin) {
    yield refuse("forbidden", `expected credentials for ${origin}, got some for ${client.origin}`);
    return;
  }
  let url: string | null = firstUrl;
  for (let page = 0; url !== null; page += 1) {
    if (page === MAX_PAGES) {
      yield refuse("document_invalid", `expected at most ${MAX_PAGES} pages`);
      return;
    }
    const opened = await openPage(origin, url, client, sending);
    if (!opened.ok) {
      yield opened;
      return;
    }
    let lineCount = 0;
    for await (const line of ndjsonLines(opened.value)) {
      lineCount += 1;
      yield line;
      if (!line.ok) return;
    }
    url = nextPageUrl(opened.value.headers, url);
    if (url !== null && lineCount === 0) {
      yield refuse("document_invalid", "expected a page that names a next one to hold at least one line");
      return;
    }
  }
}

async function openPage(
  origin: string,
  url: string,
  client: Pick<LicetClient, "accessToken">,
  sending: SendOptions,
): Promise<Result<Response>> {
  const place = checkOrigin(url, origin);
  if (!place.ok) return place;
  const token: Answer<string> = await client.accessToken();
  if (!token.ok) return token;
  const request: ApiRequest = withBearer(linesRequest(url), token.value);
  const opened = await openResponse(request, { timeoutSeconds: PAGE_TIMEOUT_SECONDS, ...sending });
  if (!opened.ok || opened.value.status === 200) return opened;
  const body = await readBody(opened.value, MAX_DOCUMENT_BYTES);
  if (!body.ok) return body;
  const { code, detail, status } = parseProblem({
    status: opened.value.status,
    headers: opened.value.headers,
    body: body.value,
  });
  return refuse(code, `${url}: expected status 200, got ${status}: ${detail}`);
}

const LINE_FEED = 0x0a;

/** The JSON objects of one NDJSON body. Holds one line at a time. */
async function* ndjsonLines(response: Response): AsyncGenerator<Result<JsonObject>> {
  let rest = new Uint8Array(0);
  for await (const chunk of readChunks(response, MAX_PAGE_BYTES)) {
    if (!chunk.ok) {
      yield chunk;
      return;
    }
    let begin = 0;
    for (let end = chunk.value.indexOf(LINE_FEED); end >= 0; end = chunk.value.indexOf(LINE_FEED, begin)) {
      const line = joined(rest, chunk.value.subarray(begin, end));
      rest = new Uint8Array(0);
      begin = end + 1;
      if (line.length > MAX_LINE_BYTES) return yield lineTooLong(response);
      if (line.length > 0) yield parseJsonObject(line);
    }
    rest = joined(rest, chunk.value.subarray(begin));
    if (rest.length > MAX_LINE_BYTES) return yield lineTooLong(response);
  }
  if (rest.length > 0) yield parseJsonObject(rest);
}

function lineTooLong({ url }: Response): Result<never> {
  return refuse("body_too_large", `${url}: expected lines of at most ${MAX_LINE_BYTES} bytes, got a longer one`);
}

function joined(left: Uint8Array, right: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(left.length + right.length);
  bytes.set(left);
  bytes.set(right, left.length);
  return bytes;
}
