import { type JsonObject, type PublicJwk, canonicalize, encodeBase64 } from "@licet/protocol";
import type { ApiRequest } from "./send.ts";

/**
 * Which page of a list: `after` is the `next` of the page before, `limit` 1 to 1 000.
 *
 * @example { after: "ds_1", limit: 100 }
 */
export interface PageQuery {
  readonly after?: string;
  readonly limit?: number;
}

/**
 * Who asks for an access token.
 *
 * @example { tokenEndpoint: "https://platform.example/oauth/token", clientId: "c1", clientSecret: "…", scope: "datasets:read" }
 */
export interface TokenQuery {
  readonly tokenEndpoint: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** Space-separated scopes. A token without any opens no route. */
  readonly scope: string;
}

const ACCEPT_JSON = { accept: "application/json, application/problem+json" } as const;

/**
 * A request for an access token: client credentials (RFC 6749 section 4.4) with
 * `client_secret_basic`, whose parts are form-encoded before they are joined (section 2.3.1).
 *
 * @example const answer = await send(accessTokenRequest(query));
 */
export function accessTokenRequest({ tokenEndpoint, clientId, clientSecret, scope }: TokenQuery): ApiRequest {
  const credentials = encodeBase64(new TextEncoder().encode(`${formEncode(clientId)}:${formEncode(clientSecret)}`));
  return {
    method: "POST",
    url: tokenEndpoint,
    headers: {
      ...ACCEPT_JSON,
      authorization: `Basic ${credentials}`,
      "content-type": "application/x-www-form-urlencoded",
    },
    body: new URLSearchParams({ grant_type: "client_credentials", scope }).toString(),
    repeatable: true,
  };
}

function formEncode(text: string): string {
  return new URLSearchParams({ "": text }).toString().slice(1);
}

/**
 * Adds `Authorization: Bearer` to a request.
 *
 * @example await send(withBearer(datasetRequest(origin, "ds_1"), token));
 */
export function withBearer(request: ApiRequest, token: string): ApiRequest {
  return { ...request, headers: { ...request.headers, authorization: `Bearer ${token}` } };
}

/**
 * What {@link jsonRequest} builds from. `path` begins with a slash.
 *
 * @example { method: "GET", path: "/api/v1/consents", query: { creator_id: "user:1" } }
 */
export interface JsonCall {
  readonly method: ApiRequest["method"];
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly body?: JsonObject;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Any request of the HTTP surface. It counts as repeatable when its method is idempotent or it
 * carries an `idempotency-key`.
 *
 * @example jsonRequest("https://platform.example", { method: "POST", path: "/api/v1/datasets/ds_1/offers", body: { marketplace_id: "mkt_1" } })
 */
export function jsonRequest(origin: string, { method, path, query, body, headers = {} }: JsonCall): ApiRequest {
  const repeatable =
    (method !== "POST" && method !== "PATCH") ||
    Object.keys(headers).some((name) => name.toLowerCase() === "idempotency-key");
  const request = { method, url: urlOf(origin, path, query), headers: { ...ACCEPT_JSON, ...headers }, repeatable };
  return body === undefined
    ? request
    : { ...request, headers: { ...request.headers, "content-type": "application/json" }, body: canonicalize(body) };
}

function urlOf(origin: string, path: string, query: JsonCall["query"] = {}): string {
  const url = new URL(path, origin);
  // A path such as //elsewhere.example would carry the caller's credentials away.
  if (url.origin !== origin) throw new TypeError(`expected a path of ${origin}, got ${path}`);
  for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, String(value));
  return url.href;
}

function get(origin: string, path: string, query: JsonCall["query"] = {}): ApiRequest {
  return jsonRequest(origin, { method: "GET", path, query });
}

function segment(identifier: string): string {
  return encodeURIComponent(identifier);
}

/** `GET /api/v1/datasets`: the datasets that were offered to the caller. @example datasetsRequest(origin, { limit: 100 }) */
export function datasetsRequest(origin: string, page: PageQuery = {}): ApiRequest {
  return get(origin, "/api/v1/datasets", { ...page });
}

/** `GET /api/v1/datasets/{id}`. @example datasetRequest(origin, "ds_1") */
export function datasetRequest(origin: string, datasetId: string): ApiRequest {
  return get(origin, `/api/v1/datasets/${segment(datasetId)}`);
}

/** `GET /api/v1/datasets/{id}/provenance`. @example provenanceRequest(origin, "ds_1", { limit: 100 }) */
export function provenanceRequest(origin: string, datasetId: string, page: PageQuery = {}): ApiRequest {
  return get(origin, `/api/v1/datasets/${segment(datasetId)}/provenance`, { ...page });
}

/**
 * Which version of which dataset.
 *
 * @example { datasetId: "ds_1", version: 1 }
 */
export interface DatasetVersion {
  readonly datasetId: string;
  readonly version: number;
}

/** `GET /datasets/{id}/versions/{n}/items`, NDJSON. @example itemsRequest(origin, { datasetId: "ds_1", version: 1 }) */
export function itemsRequest(origin: string, { datasetId, version }: DatasetVersion, page: PageQuery = {}): ApiRequest {
  return linesRequest(urlOf(origin, `/datasets/${segment(datasetId)}/versions/${version}/items`, { ...page }));
}

/** `GET /datasets/{id}/versions/{n}/consents`, NDJSON. @example consentsRequest(origin, { datasetId: "ds_1", version: 1 }) */
export function consentsRequest(
  origin: string,
  { datasetId, version }: DatasetVersion,
  page: PageQuery = {},
): ApiRequest {
  return linesRequest(urlOf(origin, `/datasets/${segment(datasetId)}/versions/${version}/consents`, { ...page }));
}

/**
 * A page of NDJSON at a URL that a manifest, or the page before, named.
 *
 * @example linesRequest(manifest.items_url)
 */
export function linesRequest(url: string): ApiRequest {
  return {
    method: "GET",
    url,
    headers: { accept: "application/x-ndjson, application/problem+json" },
    repeatable: true,
  };
}

/** `POST /api/v1/usage-receipts`. The same bytes twice are answered alike, so it may be retried. @example receiptRequest(origin, { ...receipt }) */
export function receiptRequest(origin: string, receipt: JsonObject): ApiRequest {
  return {
    ...jsonRequest(origin, { method: "POST", path: "/api/v1/usage-receipts", body: receipt }),
    repeatable: true,
  };
}

/** `GET /api/v1/usage-receipts`. @example receiptsRequest(origin, { datasetId: "ds_1" }) */
export function receiptsRequest(
  origin: string,
  { datasetId, ...page }: PageQuery & { readonly datasetId?: string } = {},
): ApiRequest {
  return get(origin, "/api/v1/usage-receipts", { dataset_id: datasetId, ...page });
}

/** `GET /api/v1/usage-receipts/{id}`. @example oneReceiptRequest(origin, "r_1") */
export function oneReceiptRequest(origin: string, receiptId: string): ApiRequest {
  return get(origin, `/api/v1/usage-receipts/${segment(receiptId)}`);
}

/** `POST /api/v1/marketplaces/{id}/receipt-keys`. @example receiptKeyRequest(origin, "mkt_1", jwk) */
export function receiptKeyRequest(origin: string, marketplaceId: string, jwk: PublicJwk): ApiRequest {
  return jsonRequest(origin, {
    method: "POST",
    path: `/api/v1/marketplaces/${segment(marketplaceId)}/receipt-keys`,
    body: { jwk: { ...jwk } },
  });
}

/**
 * Which events: those after a position that a page named, all without one, and with `"latest"` those
 * from now on. With `wait` (seconds, at most 25) an empty page is held back until there is something.
 *
 * @example { after: "1042", wait: 20 }
 */
export interface EventQuery extends PageQuery {
  readonly wait?: number;
}

/** `GET /api/v1/events`. @example eventsRequest(origin, { after: "1042", wait: 20 }) */
export function eventsRequest(origin: string, query: EventQuery = {}): ApiRequest {
  return get(origin, "/api/v1/events", { ...query });
}

/**
 * Which deliveries.
 *
 * @example { datasetId: "ds_1", state: "waiting", limit: 50 }
 */
export interface DeliveryQuery extends PageQuery {
  readonly datasetId?: string;
  readonly endpointId?: string;
  readonly state?: "waiting" | "held" | "cancelled" | "delivered" | "failed";
}

/** `GET /api/v1/webhook-deliveries`. @example deliveriesRequest(origin, { state: "waiting" }) */
export function deliveriesRequest(origin: string, { datasetId, endpointId, ...rest }: DeliveryQuery = {}): ApiRequest {
  return get(origin, "/api/v1/webhook-deliveries", { dataset_id: datasetId, endpoint_id: endpointId, ...rest });
}
