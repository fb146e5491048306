import {
  type JsonObject,
  type Shape,
  type Signer,
  anything,
  count,
  flag,
  formatInstant,
  identifier,
  instant,
  licensedModelShape,
  listOf,
  objectOf,
  oneOf,
  origin as originShape,
  parseJsonObject,
  readShape,
  refuse,
  sha256,
  sha256Hex,
  signAgreementAcceptance,
  statusReferenceShape,
  textUpTo,
} from "@licet/protocol";
import { type Page, parseObject, parsePage } from "./api-answers.ts";
import { type PageQuery, jsonRequest } from "./api-requests.ts";
import type { AuthorizedCalls } from "./authorized-calls.ts";
import { type Answer, localProblem, parseAnswer } from "./problem.ts";
import type { ApiAnswer } from "./send.ts";

const MAX_TOKEN_LENGTH = 16_384;
const MAX_ORIGINS = 64;
const micros = textUpTo(39);

const AGREEMENT = objectOf(
  {
    agreement: textUpTo(80),
    title: textUpTo(256),
    sha256,
    url: textUpTo(2_048),
    published_at: instant,
    is_newest: flag,
  },
  { accepted_at: instant },
);
/** An agreement of the platform; `accepted_at` is there once the caller has accepted it. @example { agreement: "marketplace:1.0", is_newest: true, … } */
export type Agreement = ReturnType<typeof AGREEMENT>;

const LICENSE_MEMBERS = {
  license_id: identifier,
  dataset_id: identifier,
  dataset_version: count,
  marketplace_id: identifier,
  model: licensedModelShape,
  scope: listOf(textUpTo(64), { min: 1, max: 40 }),
  price: textUpTo(64),
  currency: textUpTo(3),
  license: textUpTo(80),
  agreement: textUpTo(80),
  state: oneOf("active", "revoked", "expired"),
  issued_at: instant,
  expires_at: instant,
  renewable: flag,
  status: statusReferenceShape,
  units_reported: micros,
  charged_micros: micros,
};
const LICENSE_OPTIONAL = {
  renewed_at: instant,
  jkt: textUpTo(64),
  request_id: identifier,
  spend_cap_micros: micros,
  over_cap_at: instant,
  ended_at: instant,
  ended_by: textUpTo(256),
  reason: textUpTo(500),
};
const TOKEN_MEMBERS = {
  token: textUpTo(MAX_TOKEN_LENGTH),
  token_expires_at: instant,
  audience: listOf(originShape, { min: 1, max: MAX_ORIGINS }),
  audience_complete: flag,
};

const LICENSE = objectOf(LICENSE_MEMBERS, LICENSE_OPTIONAL);
/** A license as the API shows it. Amounts are micro-units in decimal strings. @example { license_id: "lic_…", state: "active", … } */
export type License = ReturnType<typeof LICENSE>;

const ISSUED = objectOf({ ...LICENSE_MEMBERS, ...TOKEN_MEMBERS }, LICENSE_OPTIONAL);
/** A license with a token to present as `Authorization: License <token>` until `token_expires_at`. @example { license_id: "lic_…", token: "eyJ…", … } */
export type IssuedLicense = ReturnType<typeof ISSUED>;

const TOKEN = objectOf({ license_id: identifier, ...TOKEN_MEMBERS });
/** A fresh token of a license. @example { license_id: "lic_…", token: "eyJ…", audience: ["https://works.example"], … } */
export type FreshToken = ReturnType<typeof TOKEN>;

const REQUEST = objectOf(
  {
    request_id: identifier,
    dataset_id: identifier,
    marketplace_id: identifier,
    model: licensedModelShape,
    scope: listOf(textUpTo(64), { min: 1, max: 40 }),
    state: oneOf("pending", "approved", "denied"),
    requested_at: instant,
  },
  {
    term_days: count,
    spend_cap_micros: micros,
    jkt: textUpTo(64),
    note: textUpTo(2_000),
    decided_at: instant,
    decided_by: textUpTo(256),
    reason: textUpTo(500),
    license_id: anything,
  },
);
/** A request that waits for a decision, or what was decided. @example { request_id: "lrq_…", state: "denied", reason: "…" } */
export type LicenseRequest = ReturnType<typeof REQUEST>;

/**
 * What a license is asked for. `model.fingerprint` is the SHA-256 that tells the model from any
 * other; `jkt` the registered key that tokens are bound to, null for plain bearer tokens.
 *
 * @example { model: { model_id: "acme/writer-7b", fingerprint }, scope: ["training"], term_days: 90 }
 */
export interface LicenseWish {
  readonly model: { readonly model_id: string; readonly fingerprint: string; readonly base_fingerprint?: string };
  readonly scope: readonly string[];
  readonly term_days?: number;
  readonly spend_cap_micros?: string;
  readonly jkt?: string | null;
  readonly note?: string;
}

/** What a request led to at once. @example { kind: "waiting", request: { request_id: "lrq_…", state: "pending" } } */
export type LicenseOutcome =
  | { readonly kind: "issued"; readonly license: IssuedLicense }
  | { readonly kind: "waiting"; readonly request: LicenseRequest };

/** Who accepts an agreement, with which registered key. @example { marketplaceId: "mkt_1", acceptedBy: "Rosa Ek, counsel", signer } */
export interface Accepting {
  readonly marketplaceId: string;
  readonly acceptedBy: string;
  readonly signer: Signer;
}

/** Which licenses. @example { datasetId: "ds_1", state: "active" } */
export interface LicenseQuery extends PageQuery {
  readonly datasetId?: string;
  readonly modelFingerprint?: string;
  readonly state?: License["state"];
}

/** The calls of a marketplace about agreements and licenses. */
export interface LicenseCalls {
  readonly listAgreements: () => Promise<Answer<readonly Agreement[]>>;
  /** Reads the agreement's text, checks that it is the one its hash names, signs the acceptance and hands it in. */
  readonly acceptAgreement: (agreement: Agreement, accepting: Accepting) => Promise<Answer<JsonObject>>;
  readonly requestLicense: (datasetId: string, wish: LicenseWish) => Promise<Answer<LicenseOutcome>>;
  readonly getLicenseRequest: (requestId: string) => Promise<Answer<LicenseRequest>>;
  /** Asks every `pollSeconds` until the request is decided, at most `attempts` times; the answer may still be pending. */
  readonly waitForDecision: (requestId: string, options?: Patience) => Promise<Answer<LicenseRequest>>;
  readonly getLicense: (licenseId: string) => Promise<Answer<License>>;
  readonly listLicenses: (query?: LicenseQuery) => Promise<Answer<Page<License>>>;
  readonly freshToken: (
    licenseId: string,
    options?: { readonly audience?: readonly string[]; readonly jkt?: string | null },
  ) => Promise<Answer<FreshToken>>;
  readonly renewLicense: (
    licenseId: string,
    options?: { readonly term_days?: number },
  ) => Promise<Answer<IssuedLicense>>;
  readonly revokeLicense: (licenseId: string, reason: string) => Promise<Answer<License>>;
}

/** How long to wait for a decision. @example { pollSeconds: 30, attempts: 120 } */
export interface Patience {
  readonly pollSeconds?: number;
  readonly attempts?: number;
}

const DEFAULT_POLL_SECONDS = 10;
const DEFAULT_ATTEMPTS = 60;

/** Makes the calls of {@link LicenseCalls} for one client. @example licenseCalls(origin, calls, now).listAgreements() */
export function licenseCalls(origin: string, { call }: Pick<AuthorizedCalls, "call">, now: () => number): LicenseCalls {
  const get = (path: string, query = {}) => jsonRequest(origin, { method: "GET", path, query });
  const post = (path: string, body: JsonObject = {}) => jsonRequest(origin, { method: "POST", path, body });
  /** Sending it twice does no more than sending it once. */
  const again = (path: string, body: JsonObject = {}) => ({ ...post(path, body), repeatable: true });
  const getLicenseRequest = (requestId: string) =>
    call(get(`/api/v1/license-requests/${segment(requestId)}`), parseLicenseRequest);

  return {
    listAgreements: () => call(get("/api/v1/agreements"), parseAgreements),
    acceptAgreement: async (agreement, accepting) => {
      const text = await call(get(`/agreements/${agreement.agreement.replace(":", "/")}`), parseObject);
      if (!text.ok) return text;
      const document = await signAcceptance(origin, { agreement, text: text.value, ...accepting }, now);
      if (!document.ok) return document;
      const path = `/api/v1/agreements/${agreement.agreement.replace(":", "/")}/acceptances`;
      return call(again(path, document.value), parseObject);
    },
    requestLicense: (datasetId, wish) =>
      call(again(`/api/v1/datasets/${segment(datasetId)}/licenses`, jsonOf(wish)), parseLicenseOutcome),
    getLicenseRequest,
    waitForDecision: async (requestId, { pollSeconds = DEFAULT_POLL_SECONDS, attempts = DEFAULT_ATTEMPTS } = {}) => {
      for (let attempt = 1; ; attempt += 1) {
        const request = await getLicenseRequest(requestId);
        if (!request.ok || request.value.state !== "pending" || attempt >= attempts) return request;
        await new Promise((resolve) => setTimeout(resolve, pollSeconds * 1_000));
      }
    },
    getLicense: (licenseId) => call(get(`/api/v1/licenses/${segment(licenseId)}`), parseLicense),
    listLicenses: ({ datasetId, modelFingerprint, ...rest } = {}) =>
      call(
        get("/api/v1/licenses", { dataset_id: datasetId, model_fingerprint: modelFingerprint, ...rest }),
        parseLicenses,
      ),
    freshToken: (licenseId, options = {}) =>
      call(again(`/api/v1/licenses/${segment(licenseId)}/tokens`, jsonOf(options)), parseFreshToken),
    renewLicense: (licenseId, options = {}) =>
      call(again(`/api/v1/licenses/${segment(licenseId)}/renew`, jsonOf(options)), parseIssuedLicense),
    revokeLicense: (licenseId, reason) =>
      call(again(`/api/v1/licenses/${segment(licenseId)}/revoke`, { reason }), parseLicense),
  };
}

interface Text extends Accepting {
  readonly agreement: Agreement;
  /** The agreement's public document. */
  readonly text: JsonObject;
}

/** Nobody signs a hash without its text: the document must hold it. */
async function signAcceptance(
  origin: string,
  { agreement, text, marketplaceId, acceptedBy, signer }: Text,
  now: () => number,
): Promise<Answer<JsonObject>> {
  const hash = typeof text["text"] === "string" ? sha256Hex(text["text"]) : undefined;
  if (hash !== agreement.sha256)
    return {
      ok: false,
      refusal: localProblem(
        refuse("document_invalid", `${agreement.agreement}: expected a text of ${agreement.sha256}, got ${hash}`)
          .refusal,
      ),
    };
  const content = {
    iss: marketplaceId,
    aud: origin,
    agreement: agreement.agreement,
    agreement_sha256: agreement.sha256,
    accepted_at: formatInstant(now()),
    accepted_by: acceptedBy,
  };
  return { ok: true, value: await signAgreementAcceptance(content, signer) };
}

/** Reads the list of agreements. */
function parseAgreements(answer: ApiAnswer): Answer<readonly Agreement[]> {
  const page = parsePage(answer, "agreements", (entry) => readShape(AGREEMENT, entry, "agreement", "document_invalid"));
  return page.ok ? { ok: true, value: page.value.entries } : page;
}

/** Reads what a request for a license led to. */
function parseLicenseOutcome(answer: ApiAnswer): Answer<LicenseOutcome> {
  if (answer.status === 202) {
    const request = parseLicenseRequest(answer);
    return request.ok ? { ok: true, value: { kind: "waiting", request: request.value } } : request;
  }
  const license = parseIssuedLicense(answer);
  return license.ok ? { ok: true, value: { kind: "issued", license: license.value } } : license;
}

/** Reads one request. @example parseLicenseRequest(answer) */
export const parseLicenseRequest = parserOf(REQUEST, "license request");
/** Reads one license. @example parseLicense(answer) */
export const parseLicense = parserOf(LICENSE, "license");
/** Reads one license with its token. */
const parseIssuedLicense = parserOf(ISSUED, "license");
/** Reads a fresh token. */
const parseFreshToken = parserOf(TOKEN, "license token");

/** Reads a page of licenses. @example parseLicenses(answer) */
export function parseLicenses(answer: ApiAnswer): Answer<Page<License>> {
  return parsePage(answer, "licenses", (entry) => readShape(LICENSE, entry, "license", "document_invalid"));
}

/** Reads a page of requests for licenses. @example parseLicenseRequests(answer) */
export function parseLicenseRequests(answer: ApiAnswer): Answer<Page<LicenseRequest>> {
  return parsePage(answer, "license_requests", (entry) => readShape(REQUEST, entry, "request", "document_invalid"));
}

function parserOf<T>(shape: Shape<T>, name: string): (answer: ApiAnswer) => Answer<T> {
  return (answer) => parseAnswer(answer, (body) => readShape(shape, body, name, "document_invalid"));
}

/** As it is sent: without the members that are left out. */
function jsonOf(value: object): JsonObject {
  const parsed = parseJsonObject(JSON.stringify(value));
  if (!parsed.ok) throw new TypeError(parsed.refusal.detail);
  return parsed.value;
}

function segment(identifierText: string): string {
  return encodeURIComponent(identifierText);
}
