import {
  type ConsentLine,
  type ItemLine,
  type JsonObject,
  type PublicJwk,
  type UsageReceipt,
  isOrigin,
} from "@licet/protocol";
import { type AccessTokens, credentialTokens, fixedToken } from "./access-tokens.ts";
import {
  type Delivery,
  type KeptReceipt,
  type LinesPage,
  type ListedDataset,
  type Page,
  type ReceiptKey,
  parseConsentLines,
  parseDataset,
  parseDatasets,
  parseDeliveries,
  parseItemLines,
  parseObject,
  parseReceipt,
  parseReceiptKey,
  parseReceipts,
} from "./api-answers.ts";
import {
  type DatasetVersion,
  type DeliveryQuery,
  type JsonCall,
  type PageQuery,
  consentsRequest,
  datasetRequest,
  datasetsRequest,
  deliveriesRequest,
  itemsRequest,
  jsonRequest,
  oneReceiptRequest,
  provenanceRequest,
  receiptKeyRequest,
  receiptRequest,
  receiptsRequest,
  withBearer,
} from "./api-requests.ts";
import { MAX_PAGE_BYTES } from "./limits.ts";
import { type Answer, localProblem } from "./problem.ts";
import { type ApiAnswer, type ApiRequest, type Fetch, type SendOptions, send } from "./send.ts";
import { epochSeconds } from "./clock.ts";

/**
 * Every scope a marketplace's routes demand.
 *
 * @example createClient({ origin, clientId, clientSecret, scope: MARKETPLACE_SCOPE })
 */
export const MARKETPLACE_SCOPE = "datasets:read receipts:read receipts:write webhooks:read";

interface ClientBase {
  /** The platform's origin, such as `https://platform.example`. */
  readonly origin: string;
  readonly fetch?: Fetch;
  /** Seconds since the epoch. */
  readonly now?: () => number;
  readonly timeoutSeconds?: number;
}

/**
 * A client comes with OAuth client credentials, or with a session token that somebody else manages.
 * `scope` is {@link MARKETPLACE_SCOPE} unless told; `tokenEndpoint` is `<origin>/oauth/token`.
 *
 * @example { origin: "https://platform.example", clientId: "…", clientSecret: "…", scope: "datasets:read" }
 */
export type ClientOptions =
  | (ClientBase & {
      readonly clientId: string;
      readonly clientSecret: string;
      readonly scope?: string;
      readonly tokenEndpoint?: string;
    })
  | (ClientBase & { readonly token: string });

/**
 * The platform's HTTP surface as functions. Each answers a value or a {@link LicetProblem}; none
 * throws on what a server or a network may do.
 *
 * @example const page = await client.listDatasets({ limit: 100 });
 */
export interface LicetClient {
  readonly origin: string;
  /** A bearer token for this origin, fetched or still held. */
  readonly accessToken: () => Promise<Answer<string>>;
  readonly listDatasets: (page?: PageQuery) => Promise<Answer<Page<ListedDataset>>>;
  readonly getDataset: (datasetId: string) => Promise<Answer<ListedDataset>>;
  readonly getProvenance: (datasetId: string, page?: PageQuery) => Promise<Answer<JsonObject>>;
  readonly listItems: (dataset: DatasetVersion, page?: PageQuery) => Promise<Answer<LinesPage<ItemLine>>>;
  readonly listConsents: (dataset: DatasetVersion, page?: PageQuery) => Promise<Answer<LinesPage<ConsentLine>>>;
  readonly postReceipt: (receipt: UsageReceipt | JsonObject) => Promise<Answer<KeptReceipt>>;
  readonly getReceipt: (receiptId: string) => Promise<Answer<KeptReceipt>>;
  readonly listReceipts: (query?: PageQuery & { readonly datasetId?: string }) => Promise<Answer<Page<KeptReceipt>>>;
  readonly registerReceiptKey: (marketplaceId: string, jwk: PublicJwk) => Promise<Answer<ReceiptKey>>;
  readonly listDeliveries: (query?: DeliveryQuery) => Promise<Answer<Page<Delivery>>>;
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
  if (!isOrigin(origin)) throw new TypeError(`expected an origin such as https://platform.example, got ${origin}`);
  const sending = sendOptionsOf(options);
  const tokens = tokensOf(options, sending);

  async function call<T>(
    request: ApiRequest,
    parse: (answer: ApiAnswer, url: string) => Answer<T>,
    maxBytes?: number,
  ): Promise<Answer<T>> {
    const limits = maxBytes === undefined ? sending : { ...sending, maxBytes };
    for (let attempt = 1; ; attempt += 1) {
      const token = await tokens.get();
      if (!token.ok) return token;
      const sent = await send(withBearer(request, token.value), limits);
      if (!sent.ok) return { ok: false, refusal: localProblem(sent.refusal) };
      const isStale = sent.value.status === 401 && attempt === 1 && tokens.drop(token.value);
      if (!isStale) return parse(sent.value, request.url);
    }
  }

  return {
    origin,
    accessToken: tokens.get,
    listDatasets: (page) => call(datasetsRequest(origin, page), parseDatasets),
    getDataset: (datasetId) => call(datasetRequest(origin, datasetId), parseDataset),
    getProvenance: (datasetId, page) => call(provenanceRequest(origin, datasetId, page), parseObject),
    listItems: (dataset, page) => call(itemsRequest(origin, dataset, page), parseItemLines, MAX_PAGE_BYTES),
    listConsents: (dataset, page) => call(consentsRequest(origin, dataset, page), parseConsentLines, MAX_PAGE_BYTES),
    postReceipt: (receipt) => call(receiptRequest(origin, { ...receipt }), parseReceipt),
    getReceipt: (receiptId) => call(oneReceiptRequest(origin, receiptId), parseReceipt),
    listReceipts: (query) => call(receiptsRequest(origin, query), parseReceipts),
    registerReceiptKey: (marketplaceId, jwk) => call(receiptKeyRequest(origin, marketplaceId, jwk), parseReceiptKey),
    listDeliveries: (query) => call(deliveriesRequest(origin, query), parseDeliveries),
    sendJson: (json) => call(jsonRequest(origin, json), parseObject),
  };
}

function sendOptionsOf({ fetch, timeoutSeconds }: ClientBase): SendOptions {
  return { ...(fetch === undefined ? {} : { fetch }), ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }) };
}

function tokensOf(options: ClientOptions, sending: SendOptions): AccessTokens {
  if ("token" in options) return fixedToken(options.token);
  const {
    origin,
    clientId,
    clientSecret,
    scope = MARKETPLACE_SCOPE,
    tokenEndpoint = `${origin}/oauth/token`,
    now = epochSeconds,
  } = options;
  return credentialTokens({ tokenEndpoint, clientId, clientSecret, scope }, now, sending);
}
