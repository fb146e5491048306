import {
  type ConsentLine,
  type ItemLine,
  type JsonObject,
  type JsonValue,
  type ReceivedEvent,
  type Result,
  type UsageReceipt,
  accept,
  anyObject,
  anything,
  count,
  currencyShape,
  datasetStateShape,
  flag,
  identifier,
  instant,
  listOf,
  microsShape,
  objectOf,
  oneOf,
  canonicalize,
  parseJsonObject,
  readConsentLine,
  readItemLine,
  readShape,
  readUsageReceipt,
  readWebhookEvent,
  refuse,
  sha256,
  textUpTo,
  webUrl,
  ALGORITHMS,
  CHANGES,
  RECEIPT_FLAGS,
  LICENSE_CHANGES,
  NOTICES,
} from "@licet/protocol";
import { type Answer, parseAnswer, parseProblem, localProblem } from "./problem.ts";
import type { ApiAnswer } from "./send.ts";

const MAX_ENTRIES = 1_000;
const MAX_ATTEMPTS = 1_000;

/**
 * A page of a list; `next` is the cursor for `after`, null on the last page.
 *
 * @example { entries: [dataset], next: null }
 */
export interface Page<T> {
  readonly entries: readonly T[];
  readonly next: string | null;
}

const TOKEN = objectOf({ access_token: textUpTo(16_384), expires_in: count }, { scope: textUpTo(4_096) });

/** An access token; `expires_in` counts seconds from the moment it was given. @example { access_token: "…", expires_in: 300 } */
export type AccessToken = ReturnType<typeof TOKEN>;

/** Reads the answer to {@link accessTokenRequest}. Refuses what the server refused, and `document_invalid`. @example parseAccessToken(answer) */
export function parseAccessToken(answer: ApiAnswer): Answer<AccessToken> {
  return parseAnswer(answer, (body) => readShape(TOKEN, body, "token answer", "document_invalid"));
}

const DATASET = objectOf(
  { dataset_id: identifier, status: textUpTo(32), version: count },
  {
    name: textUpTo(256),
    state: datasetStateShape,
    published_at: instant,
    items_count: count,
    consents_count: count,
    manifest_url: webUrl,
    manifest_sha256: sha256,
    items_root: sha256,
  },
);

/** A dataset as the API lists it. Nothing in it is signed: `verifyDataset` is what establishes facts. @example { dataset_id: "ds_1", status: "published", version: 1 } */
export type ListedDataset = ReturnType<typeof DATASET>;

/** Reads one dataset. @example parseDataset(answer) */
export function parseDataset(answer: ApiAnswer): Answer<ListedDataset> {
  return parseAnswer(answer, readDataset);
}

function readDataset(body: JsonObject): Result<ListedDataset> {
  return readShape(DATASET, body, "dataset", "document_invalid");
}

/** Reads a page of datasets. @example parseDatasets(answer) */
export function parseDatasets(answer: ApiAnswer): Answer<Page<ListedDataset>> {
  return parsePage(answer, "datasets", readDataset);
}

/** Reads any JSON object, as it is. @example parseObject(answer) */
export function parseObject(answer: ApiAnswer): Answer<JsonObject> {
  return parseAnswer(answer, accept);
}

/**
 * A usage receipt as the platform keeps it. `document` is the whole, with `countersignature`, for
 * `verifyCountersignature`.
 *
 * @example { receipt, validForFutureTraining: true, document: { … } }
 */
export interface KeptReceipt {
  readonly receipt: UsageReceipt;
  readonly validForFutureTraining?: boolean;
  /** What acceptance found and what it costs; absent in the answer to a receipt that was handed in. */
  readonly acceptance?: ReceiptAcceptance;
  readonly document: JsonObject;
}

const ACCEPTANCE = objectOf(
  {
    flags: listOf(oneOf(...RECEIPT_FLAGS), { max: RECEIPT_FLAGS.length }),
    charged_micros: microsShape,
    pulled: flag,
  },
  { currency: currencyShape },
);
/** What acceptance made of a receipt. @example { flags: ["late"], charged_micros: "12345600", currency: "USD", pulled: false } */
export type ReceiptAcceptance = ReturnType<typeof ACCEPTANCE>;

/** Reads a receipt as the platform shows it. @example readKeptReceipt(body) */
export function readKeptReceipt(body: JsonObject): Result<KeptReceipt> {
  const { valid_for_future_training: valid, acceptance, ...document } = body;
  const receipt = readUsageReceipt(document);
  if (!receipt.ok) return receipt;
  const read =
    acceptance === undefined ? undefined : readShape(ACCEPTANCE, acceptance, "acceptance", "document_invalid");
  if (read?.ok === false) return read;
  return accept({
    receipt: receipt.value,
    document,
    ...(typeof valid === "boolean" ? { validForFutureTraining: valid } : {}),
    ...(read === undefined ? {} : { acceptance: read.value }),
  });
}

/** Reads one receipt. @example parseReceipt(answer) */
export function parseReceipt(answer: ApiAnswer): Answer<KeptReceipt> {
  return parseAnswer(answer, readKeptReceipt);
}

/** Reads a page of receipts. @example parseReceipts(answer) */
export function parseReceipts(answer: ApiAnswer): Answer<Page<KeptReceipt>> {
  return parsePage(answer, "receipts", readKeptReceipt);
}

const RECEIPT_KEY = objectOf({
  kid: textUpTo(128),
  alg: oneOf(...ALGORITHMS),
  not_before: instant,
  not_after: instant,
});

/** A registered receipt key. @example { kid: "…", alg: "EdDSA", not_before: "2026-01-18T12:00:00Z", not_after: "2028-01-18T12:00:00Z" } */
export type ReceiptKey = ReturnType<typeof RECEIPT_KEY>;

/** Reads the answer to a key's registration. @example parseReceiptKey(answer) */
export function parseReceiptKey(answer: ApiAnswer): Answer<ReceiptKey> {
  return parseAnswer(answer, (body) => readShape(RECEIPT_KEY, body, "receipt key", "document_invalid"));
}

const DELIVERY_STATES = ["waiting", "held", "cancelled", "delivered", "failed"] as const;
const DELIVERY = objectOf(
  {
    event_id: identifier,
    endpoint_id: identifier,
    dataset_id: identifier,
    change: oneOf(...CHANGES, ...NOTICES, ...LICENSE_CHANGES),
    sequence: count,
    state: oneOf(...DELIVERY_STATES),
    attempts: listOf(anyObject, { max: MAX_ATTEMPTS }),
  },
  { next_attempt_at: anything },
);

/** One webhook message and what became of it. @example { event_id: "evt_1", change: "revoked", sequence: 3, state: "delivered", … } */
export type Delivery = ReturnType<typeof DELIVERY>;

/** Reads a page of deliveries. @example parseDeliveries(answer) */
export function parseDeliveries(answer: ApiAnswer): Answer<Page<Delivery>> {
  return parsePage(answer, "deliveries", (body) => readShape(DELIVERY, body, "delivery", "document_invalid"));
}

const FEED = objectOf(
  {
    events: listOf(objectOf({ position: textUpTo(16), at: instant }, { webhook: anyObject }), { max: MAX_ENTRIES }),
    up_to: textUpTo(16),
  },
  { next: anything },
);

/**
 * An event of the feed: what a webhook told of it, or would have, and the JSON that says so.
 * `position` is where to go on after it.
 *
 * @example { position: "1042", at: "2026-01-18T12:05:00Z", event: { change: "revoked", dataset_id: "ds_1", … }, body: "{…}" }
 */
export interface FeedEvent {
  readonly position: string;
  readonly at: string;
  readonly event: ReceivedEvent;
  readonly body: string;
}

/**
 * A page of events, oldest first. Go on after `upTo`: everything up to it was shown.
 *
 * @example { entries: [event], next: null, upTo: "1042" }
 */
export interface EventPage extends Page<FeedEvent> {
  readonly upTo: string;
}

/** Reads a page of events in datasets, also those of a platform in test mode, which say `test: true`; what is no webhook is left out. @example parseEvents(answer) */
export function parseEvents(answer: ApiAnswer): Answer<EventPage> {
  return parseAnswer(answer, (body) => {
    const page = readShape(FEED, body, "page", "document_invalid");
    if (!page.ok) return page;
    const entries: FeedEvent[] = [];
    for (const { webhook, position, at } of page.value.events) {
      // The marketplace's own licenses and invoices: no webhook of a dataset.
      if (webhook === undefined) continue;
      const text = canonicalize(webhook);
      const event = readWebhookEvent(text, { allowTest: true });
      if (!event.ok) return event;
      entries.push({ position, at, event: event.value, body: text });
    }
    const turned = readNext(page.value.next, entries);
    return turned.ok ? accept({ ...turned.value, upTo: page.value.up_to }) : turned;
  });
}

/** Reads a page of a list whose entries are the member `name`. @example parsePage(answer, "datasets", readDataset) */
export function parsePage<T>(answer: ApiAnswer, name: string, read: (entry: JsonObject) => Result<T>): Answer<Page<T>> {
  return parseAnswer(answer, (body) => {
    const page = readShape(
      objectOf({ [name]: listOf(anyObject, { max: MAX_ENTRIES }) }, { next: anything }),
      body,
      "page",
      "document_invalid",
    );
    if (!page.ok) return page;
    const entries: T[] = [];
    for (const entry of page.value[name] ?? []) {
      const value = read(entry);
      if (!value.ok) return value;
      entries.push(value.value);
    }
    return readNext(page.value.next, entries);
  });
}

function readNext<T>(next: JsonValue | undefined, entries: readonly T[]): Result<Page<T>> {
  if (next === undefined || next === null) return accept({ entries, next: null });
  return typeof next === "string"
    ? accept({ entries, next })
    : refuse("document_invalid", `page.next: expected a cursor or null, got ${JSON.stringify(next)}`);
}

/**
 * A page of items or consents; `next` is the URL of the next page, null on the last.
 *
 * @example { lines: [{ position: 0, item, jti }], next: "https://platform.example/datasets/ds_1/versions/1/items?after=999" }
 */
export interface LinesPage<T> {
  readonly lines: readonly T[];
  readonly next: string | null;
}

/** Reads a page of items. @example parseItemLines(answer, request.url) */
export function parseItemLines(answer: ApiAnswer, url: string): Answer<LinesPage<ItemLine>> {
  return parseLines(answer, url, readItemLine);
}

/** Reads a page of consents. @example parseConsentLines(answer, request.url) */
export function parseConsentLines(answer: ApiAnswer, url: string): Answer<LinesPage<ConsentLine>> {
  return parseLines(answer, url, readConsentLine);
}

function parseLines<T>(answer: ApiAnswer, url: string, read: (line: JsonObject) => Result<T>): Answer<LinesPage<T>> {
  if (answer.status !== 200) return { ok: false, refusal: parseProblem(answer) };
  const lines: T[] = [];
  for (const text of new TextDecoder().decode(answer.body).split("\n")) {
    if (text === "") continue;
    const parsed = parseJsonObject(text);
    const line = parsed.ok ? read(parsed.value) : parsed;
    if (!line.ok) return { ok: false, refusal: localProblem(line.refusal) };
    lines.push(line.value);
  }
  return { ok: true, value: { lines, next: nextPageUrl(answer.headers, url) } };
}

const NEXT_LINK = /<([^<>]*)>\s*;[^,<]*\brel="?next"?/i;

/**
 * The URL that `Link: <…>; rel="next"` (RFC 8288) names, resolved against the page's own; null when there is none.
 *
 * @example nextPageUrl(new Headers({ link: '</a?after=2>; rel="next"' }), "https://platform.example/a") // → "https://platform.example/a?after=2"
 */
export function nextPageUrl(headers: Headers, url: string): string | null {
  const target = NEXT_LINK.exec(headers.get("link") ?? "")?.[1];
  return target !== undefined && URL.canParse(target, url) ? new URL(target, url).href : null;
}
