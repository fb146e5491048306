import { type ConsentLine, type ItemLine, type JsonObject, type PublicJwk, type UsageReceipt } from "@licet/protocol";
import {
  type Delivery,
  type EventPage,
  type KeptReceipt,
  type LinesPage,
  type ListedDataset,
  type Page,
  type ReceiptKey,
  parseConsentLines,
  parseDataset,
  parseDatasets,
  parseDeliveries,
  parseEvents,
  parseItemLines,
  parseObject,
  parseReceipt,
  parseReceiptKey,
  parseReceipts,
} from "./api-answers.ts";
import {
  type DatasetVersion,
  type DeliveryQuery,
  type EventQuery,
  type JsonCall,
  type PageQuery,
  consentsRequest,
  datasetRequest,
  datasetsRequest,
  deliveriesRequest,
  eventsRequest,
  itemsRequest,
  jsonRequest,
  oneReceiptRequest,
  provenanceRequest,
  receiptKeyRequest,
  receiptRequest,
  receiptsRequest,
} from "./api-requests.ts";
import { MAX_PAGE_BYTES } from "./limits.ts";
import { type ReceiptResult, parseReceiptLines, receiptLinesRequest } from "./receipt-lines.ts";
import { type ClientOptions, authorizeCalls } from "./authorized-calls.ts";
import { epochSeconds } from "./clock.ts";
import { type LicenseCalls, licenseCalls } from "./licenses.ts";
import { type RemediationCalls, remediationCalls } from "./remediations.ts";
import type { Answer } from "./problem.ts";
import { type RevocationCalls, revocationCalls } from "./revocations.ts";

/**
 * Every scope a marketplace's routes demand.
 *
 * @example createClient({ origin, clientId, clientSecret, scope: MARKETPLACE_SCOPE })
 */
export const MARKETPLACE_SCOPE =
  "datasets:read licenses:read licenses:write receipts:read receipts:write marketplaces:read webhooks:read webhooks:write events:read";

/**
 * The platform's HTTP surface as functions. Each answers a value or a {@link LicetProblem}; none
 * throws on what a server or a network may do.
 *
 * @example const page = await client.listDatasets({ limit: 100 });
 */
export interface LicetClient extends LicenseCalls, RemediationCalls, RevocationCalls {
  readonly origin: string;
  /** A bearer token for this origin, fetched or still held. */
  readonly accessToken: () => Promise<Answer<string>>;
  readonly listDatasets: (page?: PageQuery) => Promise<Answer<Page<ListedDataset>>>;
  readonly getDataset: (datasetId: string) => Promise<Answer<ListedDataset>>;
  readonly getProvenance: (datasetId: string, page?: PageQuery) => Promise<Answer<JsonObject>>;
  readonly listItems: (dataset: DatasetVersion, page?: PageQuery) => Promise<Answer<LinesPage<ItemLine>>>;
  readonly listConsents: (dataset: DatasetVersion, page?: PageQuery) => Promise<Answer<LinesPage<ConsentLine>>>;
  readonly postReceipt: (receipt: UsageReceipt | JsonObject) => Promise<Answer<KeptReceipt>>;
  /** At most 10 000 at once; a refused one hurts no other. What was answered before a connection broke may be sent again. */
  readonly postReceipts: (
    receipts: readonly (UsageReceipt | JsonObject)[],
  ) => Promise<Answer<readonly ReceiptResult[]>>;
  readonly getReceipt: (receiptId: string) => Promise<Answer<KeptReceipt>>;
  readonly listReceipts: (query?: PageQuery & { readonly datasetId?: string }) => Promise<Answer<Page<KeptReceipt>>>;
  readonly registerReceiptKey: (marketplaceId: string, jwk: PublicJwk) => Promise<Answer<ReceiptKey>>;
  readonly listDeliveries: (query?: DeliveryQuery) => Promise<Answer<Page<Delivery>>>;
  /** What happened in the datasets that were offered to this marketplace; `catchUp` reads it to its end. */
  readonly listEvents: (query?: EventQuery) => Promise<Answer<EventPage>>;
  /** Any other route: the answer's JSON object as it is. */
  readonly sendJson: (call: JsonCall) => Promise<Answer<JsonObject>>;
}

/**
 * Makes a client of one platform. Access tokens are held and replaced before they expire; a token
 * the server no longer takes is replaced once; requests have time and size limits, follow no
 * redirect, and repeat on 503 where that is harmless.
 *
 * Throws a TypeError when `origin` is not an origin.
 *
 * @example
 * const client = createClient({ origin: "https://platform.example", clientId, clientSecret });
 * const dataset = await client.getDataset("ds_1");
 */
export function createClient(options: ClientOptions): LicetClient {
  const { origin } = options;
  const calls = authorizeCalls(options, MARKETPLACE_SCOPE);
  const { accessToken, call } = calls;
  return {
    ...licenseCalls(origin, calls, options.now ?? epochSeconds),
    ...remediationCalls(origin, calls),
    ...revocationCalls(origin, calls),
    origin,
    accessToken,
    listDatasets: (page) => call(datasetsRequest(origin, page), parseDatasets),
    getDataset: (datasetId) => call(datasetRequest(origin, datasetId), parseDataset),
    getProvenance: (datasetId, page) => call(provenanceRequest(origin, datasetId, page), parseObject),
    listItems: (dataset, page) => call(itemsRequest(origin, dataset, page), parseItemLines, MAX_PAGE_BYTES),
    listConsents: (dataset, page) => call(consentsRequest(origin, dataset, page), parseConsentLines, MAX_PAGE_BYTES),
    postReceipt: (receipt) => call(receiptRequest(origin, { ...receipt }), parseReceipt),
    postReceipts: (receipts) =>
      call(
        receiptLinesRequest(
          origin,
          receipts.map((receipt) => ({ ...receipt })),
        ),
        parseReceiptLines,
        MAX_PAGE_BYTES,
      ),
    getReceipt: (receiptId) => call(oneReceiptRequest(origin, receiptId), parseReceipt),
    listReceipts: (query) => call(receiptsRequest(origin, query), parseReceipts),
    registerReceiptKey: (marketplaceId, jwk) => call(receiptKeyRequest(origin, marketplaceId, jwk), parseReceiptKey),
    listDeliveries: (query) => call(deliveriesRequest(origin, query), parseDeliveries),
    listEvents: (query) => call(eventsRequest(origin, query), parseEvents),
    sendJson: (json) => call(jsonRequest(origin, json), parseObject),
  };
}
