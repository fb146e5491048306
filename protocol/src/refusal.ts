import { EDGE_REFUSALS } from "./edge-refusals.ts";
import { LICENSE_REFUSALS } from "./license-refusals.ts";
import { RECEIPT_REFUSALS } from "./receipt-refusals.ts";
import { type RefusalRow, row } from "./refusal-row.ts";

export type { RefusalRow } from "./refusal-row.ts";

/**
 * Every reason Licet says no, in one closed table. A refusal is a value, never an exception: a
 * function that may refuse returns a {@link Result}. The table is the single source of the HTTP
 * status, of the `code` member of `application/problem+json` (RFC 9457) and of the page at
 * `/problems/{code}`.
 */
export const REFUSALS = {
  // Syntax of signed bytes
  json_malformed: row(
    400,
    "The JSON is not I-JSON",
    "Send RFC 7493 I-JSON: unique member names, whole numbers within 2^53-1, valid Unicode, at most 32 levels deep.",
  ),
  jws_malformed: row(
    400,
    "The token is not a strict compact JWS",
    "Send three base64url segments without padding, spaces or stray bits, separated by dots.",
  ),
  alg_not_allowed: row(400, "The signature algorithm is not allowed", "Sign with EdDSA (Ed25519) or ES256."),
  typ_wrong: row(400, "The token is of another type", "Set the header member typ to the type this endpoint asks for."),
  header_invalid: row(400, "The token's header is not acceptable", "Use the header members alg, typ and kid only."),
  key_malformed: row(
    400,
    "The key is not a usable public JWK",
    "Send a public JWK of kty OKP/Ed25519 or EC/P-256 without private members.",
  ),
  did_malformed: row(
    400,
    "The DID is not one that can be read",
    "Use a bare did:key (Ed25519 z6Mk…, P-256 zDn…), did:jwk of a public key, or did:web of a host.",
  ),

  // Keys and signatures
  key_unknown: row(401, "No such key is enrolled", "Enrol the key first, or sign with a key that is."),
  key_alg_mismatch: row(401, "The algorithm is not the key's", "Sign with the algorithm that belongs to the key."),
  key_not_in_force: row(401, "The key was not in force at that time", "Sign with a key that is active."),
  key_purpose_wrong: row(
    401,
    "The key serves another purpose",
    "Sign with a key of the purpose the document's type demands.",
  ),
  signature_missing: row(
    401,
    "There is no signature by a known key",
    "Sign the document with a key from the issuer's key set.",
  ),
  signature_invalid: row(401, "The signature does not match", "Sign exactly the bytes that are sent."),
  key_exists: row(409, "The key is enrolled already", "Use the enrolled key, or make a new one."),
  proof_invalid: row(
    400,
    "The proof of possession does not hold",
    "Ask for a new challenge and sign it with the key that is being enrolled.",
  ),

  // Consent tokens
  claim_missing: row(400, "A required claim is missing", "Sign the draft exactly as it was given."),
  claim_invalid: row(400, "A claim has an unacceptable value", "Sign the draft exactly as it was given."),
  sig_alg_mismatch: row(400, "The claim sig_alg is unlike the header's alg", "Set sig_alg to the header's alg."),
  issuer_mismatch: row(
    403,
    "The issuer is not the owner of the key",
    "Set iss to the creator, or the platform, that owns the signing key.",
  ),
  act_invalid: row(400, "The claim act does not belong here", "Use act in platform-signed tokens, and only there."),
  subject_not_signers: row(403, "The subject does not belong to the signer", "Sign for your own works only."),
  scope_unknown: row(400, "The scope holds an unknown entry", "Use entries of the scope table."),
  scope_contradictory: row(400, "The scope contradicts itself", "Say commercial or non_commercial, not both."),
  token_expired: row(400, "The token has expired", "Ask for a new draft and sign it."),
  token_not_yet_valid: row(400, "The token is not valid yet", "Wait until nbf, or correct the clock that set iat."),
  jti_seen: row(409, "This jti was used before", "Ask for a new draft; each token is accepted once."),
  consent_not_drafted: row(409, "This token was never drafted here", "Ask for a draft and sign exactly its bytes."),
  draft_expired: row(409, "The draft is no longer open", "Ask for a new draft; one stays open for 15 minutes."),
  draft_altered: row(400, "The token differs from its draft", "Sign exactly the bytes of the draft."),
  consent_unaccepted: row(
    409,
    "The consent was never accepted",
    "Ask the issuer for the acceptance that belongs to the token.",
  ),
  consent_revoked: row(
    403,
    "The consent is revoked",
    "Stop using the works it covers; ask the creator for a new consent.",
  ),
  consent_suspended: row(403, "The consent is suspended", "Stop until it is resumed."),

  // Coverage of an item by one token
  subject_other_work: row(422, "The consent is for other works", "Ask the creator for a consent that names this work."),
  registered_after_consent: row(
    422,
    "The work is newer than the consent",
    "Ask for a new consent, or for one with future_works.",
  ),
  scope_not_granted: row(422, "The consent does not grant this use", "Offer fewer uses, or ask for a wider consent."),
  use_prohibited: row(422, "The consent prohibits this use", "Offer the work without the prohibited use."),
  modality_not_offered: row(
    422,
    "The dataset offers no use of this kind of work",
    "Add a use for the work's modality to the dataset's scope.",
  ),
  audience_excluded: row(
    422,
    "The consent names other marketplaces",
    "Offer the dataset to the marketplaces that the consent names.",
  ),
  license_mismatch: row(
    422,
    "The consent is under another license",
    "Publish under the license the consent was given for.",
  ),
  price_below_floor: row(
    422,
    "The price is below the consent's floor",
    "Raise the dataset's price, or ask for a consent with a lower floor.",
  ),
  no_consent: row(422, "No consent covers the work", "Ask the creator for a consent."),
  item_withdrawn: row(422, "The work was withdrawn", "Leave the work out."),
  item_suspended: row(422, "The work is suspended", "Leave the work out, or wait until it is resumed."),
  split_measure_missing: row(
    422,
    "Some works have no measure to split by",
    "Register the listed works with their token_count, length_ms or size_bytes, or split by items.",
  ),
  items_not_covered: row(
    422,
    "Some works are not covered by a consent",
    "Leave the listed works out, or ask their creators for consent.",
  ),

  // Signed documents and their freshness
  document_invalid: row(502, "The document is not what its type demands", "Ask the issuer to repair the document."),
  document_expired: row(
    503,
    "The document is too old to be trusted",
    "Fetch it again; stop training until a fresh one can be had.",
  ),
  document_rolled_back: row(502, "The document is older than the one held", "Keep the newer one and tell the issuer."),
  test_document: row(422, "The document comes from a test server", "Use documents of a live server."),
  content_mismatch: row(
    502,
    "The bytes at the URL are not the ones that were registered",
    "Do not use the work; the platform must register the new revision.",
  ),
  root_mismatch: row(502, "The Merkle root does not match", "Do not use the dataset; tell the platform."),
  status_list_invalid: row(502, "The status list is not usable", "Do not use what it covers; tell the issuer."),
  status_out_of_range: row(
    502,
    "The status index lies outside the list",
    "Do not use what it covers; tell the issuer.",
  ),

  // Webhooks
  webhook_unsigned: row(
    401,
    "The webhook carries no usable signature",
    "Send webhook-id, webhook-timestamp and webhook-signature, and X-Signature.",
  ),
  webhook_signature_invalid: row(
    401,
    "The webhook's signature does not match",
    "Sign the raw body with the shared secret.",
  ),
  webhook_too_old: row(
    401,
    "The webhook's time is outside the tolerance",
    "Send it again with a current timestamp; check both clocks.",
  ),
  webhook_invalid: row(
    400,
    "The webhook's body is not an event",
    "Send the body as docs/wire-formats.md describes it.",
  ),
  upstream_ended: row(
    410,
    "Nothing is taken from this upstream any more",
    "Stop sending; ask the platform's operator to register the upstream again.",
  ),

  ...LICENSE_REFUSALS,

  ...RECEIPT_REFUSALS,

  ...EDGE_REFUSALS,

  // HTTP: who is asking
  unauthenticated: row(
    401,
    "Credentials are required",
    "Send Authorization: Bearer with an access token from the token endpoint, or a session token.",
  ),
  token_invalid: row(401, "The access token is not valid", "Get a new access token and try again."),
  forbidden: row(403, "This caller may not do this", "Use credentials that carry the scope the route demands."),
  not_yours: row(403, "This belongs to somebody else", "Ask for what is yours."),

  dpop_proof_invalid: row(
    401,
    "The DPoP proof does not hold",
    "Make a new proof for each request, with the key the token is bound to, this method and URL, and ath (RFC 9449).",
  ),
  dpop_nonce_required: row(
    401,
    "The DPoP proof needs the server's nonce",
    "Send the request again with a proof that carries the nonce of the DPoP-Nonce header.",
  ),
  token_unbound: row(
    401,
    "The token belongs to another key or certificate",
    "Present a bound token with the key or certificate it was given to, by the scheme that goes with it.",
  ),

  // HTTP: what is asked
  request_malformed: row(400, "The request is not proper HTTP", "Send HTTP/1.1 as RFC 9112 describes it."),
  request_timeout: row(408, "The request took too long to arrive", "Send the whole request without pauses."),
  headers_too_large: row(431, "The headers are over the limit", "Send fewer and shorter headers."),
  not_found: row(404, "There is no such thing here", "Check the path and the identifier."),
  method_not_allowed: row(405, "The path does not take this method", "Use a method from the Allow header."),
  body_too_large: row(413, "The body is over the limit", "Send less at once."),
  media_type_wrong: row(415, "The body is of another media type", "Send the media type that the error names."),
  body_malformed: row(400, "The body cannot be read", "Send one I-JSON object in UTF-8."),
  input_invalid: row(422, "Some values are not acceptable", "Correct the members that errors lists."),
  identifier_invalid: row(
    400,
    "The identifier is not acceptable",
    "Use at most 128 letters, digits and the characters . _ ~ -, in the form docs/wire-formats.md gives.",
  ),
  already_exists: row(409, "It exists already", "Use the existing one, or another identifier."),
  conflict: row(409, "It conflicts with the present state", "Read the present state and decide again."),
  dataset_not_published: row(409, "The dataset has no published version", "Publish the dataset first."),
  url_forbidden: row(
    422,
    "The URL leads where this program does not go",
    "Use an https URL of a host on the open Internet; the operator can name an exact host:port in LICET_ALLOW_HOSTS.",
  ),
  source_unavailable: row(
    502,
    "The URL did not give its bytes",
    "Let the URL answer 200 with the bytes themselves, in time, whole and without compression, and send this again.",
  ),
  source_too_large: row(
    422,
    "The bytes at the URL are over the limit",
    "Send sha256, mime_type and length_ms yourself, or ask the operator to raise the limit.",
  ),
  source_mismatch: row(
    422,
    "The bytes at the URL are not as they were described",
    "Correct the description, or leave out what the server can find out by itself.",
  ),
  lineage_unknown: row(422, "An ancestor in lineage does not exist", "Register the ancestor first, or name it by URL."),
  idempotency_key_invalid: row(
    400,
    "The Idempotency-Key is not usable",
    "Send 1 to 255 printable ASCII characters, a new one for each new request.",
  ),
  idempotency_key_reused: row(
    422,
    "The Idempotency-Key belongs to another request",
    "Use a new key for a new request; send the same bytes to the same path with a used one.",
  ),
  idempotency_in_progress: row(
    409,
    "The first request under this Idempotency-Key is still running",
    "Try again after Retry-After seconds; the answer of the first one will be there.",
  ),
  idempotency_answer_lost: row(
    409,
    "The first request under this Idempotency-Key was carried out, and its answer is lost",
    "Read what is there now; use a new key for what is still missing.",
  ),
  rate_limited: row(
    429,
    "Too many requests",
    "Wait for Retry-After seconds; the RateLimit header says how many requests are left.",
  ),

  // Money
  ledger_transaction_final: row(
    409,
    "The transaction cannot be reversed",
    "Reverse a transaction once; a reversal and a payout are not reversed.",
  ),
  pool_empty: row(409, "There is nothing to share out", "Wait until the version has earned something more."),
  period_not_over: row(409, "The period is not over", "Close a month once it has been over for an hour."),
  period_incomplete: row(
    409,
    "Not every pool could be shared out",
    "The month stays open. Look up the pools that are named in the server's log, mend the cause, and close again.",
  ),
  period_out_of_order: row(409, "An earlier period is still open", "Close the months one after the other."),
  payment_reference_reused: row(
    409,
    "The payment's reference was used for another amount",
    "Record each payment under a reference of its own.",
  ),
  currency_wrong: row(422, "The currency is not the account's", "Use the currency in which the amount is owed."),

  payout_details_missing: row(
    409,
    "A creator has no payout details for this",
    "Have the creators that are named put their payout details for this currency and adapter, or leave them out.",
  ),
  payout_nothing_due: row(
    409,
    "Nobody is due for a payout",
    "Wait until balances are available and at their minimum; a dry run says who is left out and why.",
  ),
  payout_adapter_unavailable: row(
    409,
    "This way to pay is not set up",
    "Use the other adapter, or ask the operator to set this one up.",
  ),
  payout_settled: row(
    409,
    "The payout cannot be settled like that",
    "Settle a payout that was sent as paid or failed, and one that was paid as returned.",
  ),

  // HTTP: the server itself
  unavailable: row(503, "The server cannot answer now", "Try again after Retry-After seconds."),
  internal: row(500, "The server failed", "Try again; if it stays, send the request id to the operator."),
} as const satisfies Record<string, RefusalRow>;

export type RefusalCode = keyof typeof REFUSALS;

/** One offending item in a list: which one, why, and in words. */
export interface Offence {
  readonly at: string;
  readonly code: RefusalCode;
  readonly detail: string;
}

/** A refusal: its stable code, a sentence that names what was expected and what came, and the offending items. */
export interface Refusal {
  readonly code: RefusalCode;
  readonly detail: string;
  readonly offences?: readonly Offence[];
}

export type Result<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly refusal: Refusal };

export function accept<T>(value: T): Result<T> {
  return { ok: true, value };
}

export function refuse(
  code: RefusalCode,
  detail: string,
  offences?: readonly Offence[],
): { readonly ok: false; readonly refusal: Refusal } {
  return { ok: false, refusal: offences === undefined ? { code, detail } : { code, detail, offences } };
}

export function isRefusalCode(text: string): text is RefusalCode {
  return Object.hasOwn(REFUSALS, text);
}

/** The body of an `application/problem+json` answer (RFC 9457 section 3). */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: RefusalCode;
  readonly detail: string;
  readonly errors?: readonly Offence[];
}

/** Renders a refusal as a problem document whose `type` points at the page that explains the code. */
export function problemOf(refusal: Refusal, origin: string): Problem {
  const { status, title } = REFUSALS[refusal.code];
  const problem = {
    type: `${origin}/problems/${refusal.code}`,
    title,
    status,
    code: refusal.code,
    detail: refusal.detail,
  };
  return refusal.offences === undefined ? problem : { ...problem, errors: refusal.offences };
}
