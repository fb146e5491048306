import { type JsonObject, canonicalize } from "@licet/protocol";
import { parseObject } from "../api-answers.ts";
import type { Page } from "../api-answers.ts";
import { type JsonCall, type PageQuery, jsonRequest } from "../api-requests.ts";
import { type ClientOptions, authorizeCalls } from "../authorized-calls.ts";
import {
  type License,
  type LicenseRequest,
  parseLicense,
  parseLicenseRequest,
  parseLicenseRequests,
  parseLicenses,
} from "../licenses.ts";
import { MAX_PAGE_BYTES } from "../limits.ts";
import type { Answer } from "../problem.ts";
import type { ApiRequest } from "../send.ts";
import {
  type Consent,
  type ConsentDraft,
  type Creator,
  type CreatorSession,
  type Offer,
  type PublishedDataset,
  type RegisteredLine,
  type Revocation,
  type Work,
  parseConsent,
  parseConsents,
  parseCreator,
  parseDraft,
  parseOffer,
  parsePublished,
  parseRegisteredLines,
  parseRevocation,
  parseSession,
  parseWork,
  parseWorks,
} from "./answers.ts";

/**
 * Every scope a platform's backend may need; ask for fewer where fewer do.
 *
 * @example createPlatformClient({ origin, clientId, clientSecret, scope: PLATFORM_SCOPE })
 */
export const PLATFORM_SCOPE =
  "creators:read creators:write sessions:write content:read content:write consents:read consents:write datasets:read datasets:write marketplaces:read licenses:read licenses:approve receipts:read";

/** Works that one call of `registerWorks` sends; more go in several calls. */
export const MAX_WORKS_PER_CALL = 1_000;

/**
 * Which of a creator's consents end: those for one work (which is withdrawn from wider ones), all
 * that a dataset stands on, or all.
 *
 * @example { content_id: "content_1" }
 */
export type RevocationTarget =
  | { readonly content_id: string; readonly reason?: string }
  | { readonly dataset_id: string; readonly reason?: string }
  | { readonly all: true; readonly reason?: string };

/**
 * How a call that makes something may be sent again: with the same key the server gives the first
 * answer again for 24 hours, and the client repeats it by itself on 503.
 *
 * @example { idempotencyKey: "order-4711" }
 */
export interface Repeatable {
  readonly idempotencyKey?: string;
}

/**
 * What a platform's backend does with its Licet server, as functions. Each answers a value or a
 * problem; none throws on what a server or a network may do. Bodies are the API's own
 * (`/openapi.json`), so nothing has to be learned twice.
 *
 * @example const draft = await platform.draftConsent({ subject: "creator:user:1", scope: ["training"], creator_id: "user:1" });
 */
export interface PlatformClient {
  readonly origin: string;
  readonly registerCreator: (creatorId: string) => Promise<Answer<Creator>>;
  /** A token for the creator's browser: it may sign, read and take back what is theirs, and nothing else. */
  readonly openSession: (creatorId: string) => Promise<Answer<CreatorSession>>;
  readonly registerWork: (work: JsonObject, options?: Repeatable) => Promise<Answer<Work>>;
  /** At most {@link MAX_WORKS_PER_CALL}; a refused line stops none of the others. Throws a RangeError on more. */
  readonly registerWorks: (works: readonly JsonObject[]) => Promise<Answer<readonly RegisteredLine[]>>;
  readonly getWork: (contentId: string) => Promise<Answer<Work>>;
  readonly listWorks: (query?: PageQuery & { readonly creator_id?: string }) => Promise<Answer<Page<Work>>>;
  /** Something to show (`text`) and to sign (`signing_input`), within 15 minutes. */
  readonly draftConsent: (input: JsonObject, options?: Repeatable) => Promise<Answer<ConsentDraft>>;
  /** Hands in what the creator's key signed. The same token again is answered alike. */
  readonly acceptConsent: (token: string) => Promise<Answer<Consent>>;
  /** Signs a draft made with `signer: "platform"` and `evidence` of what the creator did. */
  readonly signForCreator: (jti: string) => Promise<Answer<Consent>>;
  readonly getConsent: (jti: string) => Promise<Answer<Consent>>;
  readonly listConsents: (query?: PageQuery & { readonly creator_id?: string }) => Promise<Answer<Page<Consent>>>;
  /** When it answers, the public documents already say so. Taking back twice is taking back once. */
  readonly revokeConsent: (jti: string, reason?: string) => Promise<Answer<Revocation>>;
  /** What the creator's one button calls. */
  readonly revokeForCreator: (creatorId: string, target: RevocationTarget) => Promise<Answer<Revocation>>;
  /** The same content again is the same version. */
  readonly publishDataset: (input: JsonObject) => Promise<Answer<PublishedDataset>>;
  readonly offerDataset: (datasetId: string, marketplaceId: string) => Promise<Answer<Offer>>;
  readonly getLicensePolicy: (datasetId: string) => Promise<Answer<JsonObject>>;
  readonly setLicensePolicy: (datasetId: string, policy: JsonObject) => Promise<Answer<JsonObject>>;
  readonly listLicenseRequests: (
    query?: PageQuery & { readonly dataset_id?: string; readonly state?: LicenseRequest["state"] },
  ) => Promise<Answer<Page<LicenseRequest>>>;
  readonly approveLicense: (requestId: string, terms?: JsonObject) => Promise<Answer<License>>;
  /** Never without a reason: the marketplace reads it. */
  readonly denyLicense: (requestId: string, reason: string) => Promise<Answer<LicenseRequest>>;
  readonly listLicenses: (
    query?: PageQuery & { readonly dataset_id?: string; readonly marketplace_id?: string },
  ) => Promise<Answer<Page<License>>>;
  readonly revokeLicense: (licenseId: string, reason: string) => Promise<Answer<License>>;
  /** Any other route: the answer's JSON object as it is. */
  readonly sendJson: (call: JsonCall) => Promise<Answer<JsonObject>>;
}

/**
 * Makes a client for the platform's backend. Tokens, limits and repetition are as in `createClient`.
 *
 * Throws a TypeError when `origin` is not an origin.
 *
 * @example
 * const platform = createPlatformClient({ origin: "https://licet.example.org", clientId, clientSecret });
 * const session = await platform.openSession("user:1001");
 */
export function createPlatformClient(options: ClientOptions): PlatformClient {
  const { origin } = options;
  const { call } = authorizeCalls(options, PLATFORM_SCOPE);
  const get = (path: string, query: JsonCall["query"] = {}): ApiRequest =>
    jsonRequest(origin, { method: "GET", path, query });
  const post = (path: string, body: JsonObject = {}, { idempotencyKey }: Repeatable = {}): ApiRequest =>
    jsonRequest(origin, {
      method: "POST",
      path,
      body,
      ...(idempotencyKey === undefined ? {} : { headers: { "idempotency-key": idempotencyKey } }),
    });
  /** Sending it twice does no more than sending it once. */
  const again = (request: ApiRequest): ApiRequest => ({ ...request, repeatable: true });

  return {
    origin,
    registerCreator: (creatorId) => call(post("/api/v1/creators", { creator_id: creatorId }), parseCreator),
    openSession: (creatorId) => call(post(`/api/v1/creators/${segment(creatorId)}/sessions`), parseSession),
    registerWork: (work, repeat) => call(post("/api/v1/content", work, repeat), parseWork),
    registerWorks: (works) => call(worksRequest(origin, works), parseRegisteredLines, MAX_PAGE_BYTES),
    getWork: (contentId) => call(get(`/api/v1/content/${segment(contentId)}`), parseWork),
    listWorks: (query) => call(get("/api/v1/content", { ...query }), parseWorks),
    draftConsent: (input, repeat) => call(post("/api/v1/consents/drafts", input, repeat), parseDraft),
    acceptConsent: (token) => call(again(post("/api/v1/consents", { token })), parseConsent),
    signForCreator: (jti) => call(post(`/api/v1/consents/drafts/${segment(jti)}/platform-signature`), parseConsent),
    getConsent: (jti) => call(get(`/api/v1/consents/${segment(jti)}`), parseConsent),
    listConsents: (query) => call(get("/api/v1/consents", { ...query }), parseConsents, MAX_PAGE_BYTES),
    revokeConsent: (jti, reason) =>
      call(again(post(`/api/v1/consents/${segment(jti)}/revoke`, withReason({}, reason))), parseRevocation),
    revokeForCreator: (creatorId, target) =>
      call(again(post(`/api/v1/creators/${segment(creatorId)}/revocations`, { ...target })), parseRevocation),
    publishDataset: (input) => call(again(post("/api/v1/datasets", input)), parsePublished),
    offerDataset: (datasetId, marketplaceId) =>
      call(again(post(`/api/v1/datasets/${segment(datasetId)}/offers`, { marketplace_id: marketplaceId })), parseOffer),
    getLicensePolicy: (datasetId) => call(get(`/api/v1/datasets/${segment(datasetId)}/license-policy`), parseObject),
    setLicensePolicy: (datasetId, policy) =>
      call(
        jsonRequest(origin, {
          method: "PUT",
          path: `/api/v1/datasets/${segment(datasetId)}/license-policy`,
          body: policy,
        }),
        parseObject,
      ),
    listLicenseRequests: (query) => call(get("/api/v1/license-requests", { ...query }), parseLicenseRequests),
    approveLicense: (requestId, terms) =>
      call(post(`/api/v1/license-requests/${segment(requestId)}/approve`, terms), parseLicense),
    denyLicense: (requestId, reason) =>
      call(post(`/api/v1/license-requests/${segment(requestId)}/deny`, { reason }), parseLicenseRequest),
    listLicenses: (query) => call(get("/api/v1/licenses", { ...query }), parseLicenses, MAX_PAGE_BYTES),
    revokeLicense: (licenseId, reason) =>
      call(again(post(`/api/v1/licenses/${segment(licenseId)}/revoke`, { reason })), parseLicense),
    sendJson: (json) => call(jsonRequest(origin, json), parseObject),
  };
}

function worksRequest(origin: string, works: readonly JsonObject[]): ApiRequest {
  if (works.length > MAX_WORKS_PER_CALL)
    throw new RangeError(`expected at most ${MAX_WORKS_PER_CALL} works in one call, got ${works.length}`);
  return {
    method: "POST",
    url: new URL("/api/v1/content/bulk", origin).href,
    headers: { accept: "application/x-ndjson, application/problem+json", "content-type": "application/x-ndjson" },
    body: works.map((work) => canonicalize(work)).join("\n"),
    // Registering the same work again answers `unchanged`.
    repeatable: true,
  };
}

function withReason(body: JsonObject, reason: string | undefined): JsonObject {
  return reason === undefined ? body : { ...body, reason };
}

function segment(identifier: string): string {
  return encodeURIComponent(identifier);
}
