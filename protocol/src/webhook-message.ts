import { parseInstant } from "./instant.ts";
import { parseJsonObject } from "./json.ts";
import { datasetStateShape, jtiShape } from "./manifest.ts";
import { type Result, accept, refuse } from "./refusal.ts";
import { anything, count, identifier, instant, objectOf, oneOf, readShape, sha256, textUpTo } from "./shape.ts";
import { isTest } from "./signed-document.ts";

/** Messages older, or newer, than this are refused (Standard Webhooks 1.0). */
export const WEBHOOK_TOLERANCE_SECONDS = 300;
/** A webhook's body is at most this long. */
export const MAX_WEBHOOK_BYTES = 65_536;
/** More signatures than this in one header are refused; a rotation needs two. */
const MAX_WEBHOOK_SIGNATURES = 8;
const MAX_REASON_LENGTH = 200;

/** What happened to a consent, a work or a dataset. */
export const CHANGES = [
  "granted",
  "revoked",
  "suspended",
  "resumed",
  "expired",
  "withdrawn",
  "erased",
  "published",
] as const;

/**
 * What is said about webhooks themselves. A notice is about no dataset: its `dataset_id` is the id
 * of the endpoint it is about.
 */
export const NOTICES = ["test", "endpoint_failing", "endpoint_disabled"] as const;
export type Notice = (typeof NOTICES)[number];

/** What is said of a marketplace's own license, or of its request for one: to this marketplace alone. */
export const LICENSE_CHANGES = [
  "license_issued",
  "license_denied",
  "license_renewed",
  "license_revoked",
  "license_expired",
] as const;
export type LicenseChange = (typeof LICENSE_CHANGES)[number];

/** What is said of a remediation, to the marketplace that is a side in it and nobody else. */
export const REMEDIATION_CHANGES = ["remediation_opened", "remediation_updated"] as const;
export type RemediationChange = (typeof REMEDIATION_CHANGES)[number];
export type Change = (typeof CHANGES)[number] | Notice | LicenseChange | RemediationChange;

/** Changes after which something of a dataset must stop, whoever uses it. They never wait behind another message. */
export const REFUSING_CHANGES: readonly Change[] = ["revoked", "suspended", "expired", "withdrawn", "erased"];

/** Changes after which a model must stop using a dataset, because its license is over. They do not wait either. */
export const LICENSE_ENDINGS: readonly Change[] = ["license_revoked", "license_expired"];

const BRIEF = {
  dataset_id: identifier,
  change: oneOf(...CHANGES, ...NOTICES, ...LICENSE_CHANGES, ...REMEDIATION_CHANGES),
};
const BRIEF_OPTIONAL = { jti: jtiShape, content_id: identifier, revoked_at: instant };
const ENVELOPE = { event_id: identifier, endpoint_id: identifier, sequence: count, sent_at: instant };
const STATE = {
  dataset: objectOf({
    status: datasetStateShape,
    current_version: count,
    min_valid_version: count,
    manifest_sha256: sha256,
  }),
};
const OF_NOTICES = { reason: textUpTo(MAX_REASON_LENGTH), disable_at: instant };
const OF_LICENSES = {
  license_id: identifier,
  request_id: identifier,
  model_fingerprint: sha256,
  license_expires_at: instant,
  reason: textUpTo(MAX_REASON_LENGTH),
};
const OF_REMEDIATIONS = { case_id: identifier, state: textUpTo(32), step: textUpTo(64) };
/** `true` in everything that a server in test mode sends. */
const TEST = { test: anything };

const SENT_EVENT = objectOf({ ...BRIEF, ...ENVELOPE, ...STATE }, { ...BRIEF_OPTIONAL, ...TEST });
const SENT_NOTICE = objectOf(
  { dataset_id: identifier, change: oneOf(...NOTICES), ...ENVELOPE },
  { ...OF_NOTICES, ...TEST },
);
const SENT_LICENSE_NOTICE = objectOf(
  { dataset_id: identifier, change: oneOf(...LICENSE_CHANGES), ...ENVELOPE, model_fingerprint: sha256 },
  { ...OF_LICENSES, ...TEST },
);
const SENT_REMEDIATION_NOTICE = objectOf(
  {
    dataset_id: identifier,
    change: oneOf(...REMEDIATION_CHANGES),
    ...ENVELOPE,
    ...OF_REMEDIATIONS,
    model_fingerprint: sha256,
  },
  { license_id: identifier, ...TEST },
);
const RECEIVED_EVENT = objectOf(BRIEF, {
  ...BRIEF_OPTIONAL,
  ...ENVELOPE,
  ...STATE,
  ...OF_NOTICES,
  ...OF_LICENSES,
  ...OF_REMEDIATIONS,
  ...TEST,
});

/**
 * The body of `POST …/webhooks/consent-updated` as Licet sends it: the brief's `dataset_id change
 * jti revoked_at`, and ours. `sequence` counts the messages to this endpoint about this dataset.
 */
export type WebhookEvent = ReturnType<typeof SENT_EVENT>;

/** The body of a notice as Licet sends it: why, and for `endpoint_failing` when it will be disabled. */
export type WebhookNotice = ReturnType<typeof SENT_NOTICE>;

/**
 * The body of a notice about a license as Licet sends it: `license_id` of the license, `request_id`
 * of the request that was decided, and for which model. It says nothing about the dataset's state.
 */
export type LicenseNotice = ReturnType<typeof SENT_LICENSE_NOTICE>;

/**
 * The body of a notice about a remediation as Licet sends it: which case, its state now, and the step
 * that was just taken, such as `offered`. What was said or offered is read from the case.
 */
export type RemediationNotice = ReturnType<typeof SENT_REMEDIATION_NOTICE>;

/** The longest `reason` that a message carries. */
export const MAX_WEBHOOK_REASON = MAX_REASON_LENGTH;

/**
 * The body as a receiver reads it. The brief's members are enough: a signed refusal is never lost
 * because something of ours is missing. Without `jti` and `content_id` it is about the whole dataset.
 */
export type ReceivedEvent = ReturnType<typeof RECEIVED_EVENT> & { readonly event_id: string };

export interface WebhookMessage {
  /** Equals the body's `event_id`; the receiver's key against repetition. */
  readonly id: string;
  /** Seconds since the epoch. */
  readonly timestamp: number;
  readonly body: string;
}

/** A header of a message by its name, without regard to case. */
export type HeaderLookup = (name: string) => string | undefined;

/** What Standard Webhooks signatures are over. */
export function signedWebhookText({ id, timestamp, body }: WebhookMessage): string {
  return `${id}.${timestamp}.${body}`;
}

/** Reads the Standard Webhooks headers. Refuses `webhook_unsigned`. */
export function readWebhookHeaders(
  header: HeaderLookup,
  body: string,
): Result<WebhookMessage & { readonly signatures: readonly string[] }> {
  const id = header("webhook-id");
  const timestamp = header("webhook-timestamp");
  const signatures = header("webhook-signature")?.split(" ");
  if (
    id === undefined ||
    timestamp === undefined ||
    !/^\d{1,12}$/.test(timestamp) ||
    signatures === undefined ||
    signatures.length > MAX_WEBHOOK_SIGNATURES
  ) {
    return refuse("webhook_unsigned", "expected webhook-id, webhook-timestamp in seconds, and webhook-signature");
  }
  return accept({ id, timestamp: Number(timestamp), body, signatures });
}

/** Refuses `webhook_too_old`, also what comes from the future. */
export function checkWebhookAge(what: string, timestamp: number, now: number): Result<true> {
  if (Math.abs(now - timestamp) <= WEBHOOK_TOLERANCE_SECONDS) return accept(true);
  return refuse(
    "webhook_too_old",
    `expected ${what} within ${WEBHOOK_TOLERANCE_SECONDS} seconds of ${now}, got ${timestamp}`,
  );
}

export interface ReadingOptions {
  /** What `webhook-id` says; the body may repeat it, and must when there is no header. */
  readonly id?: string;
  /** Messages that say `test: true` are refused unless this allows them. */
  readonly allowTest?: boolean;
}

/** Reads a body whose signature was verified. Refuses `webhook_invalid` and `test_document`. */
export function readWebhookEvent(body: string, { id, allowTest = false }: ReadingOptions): Result<ReceivedEvent> {
  const parsed = parseJsonObject(body);
  if (!parsed.ok) return refuse("webhook_invalid", parsed.refusal.detail);
  const event = readShape(RECEIVED_EVENT, parsed.value, "event", "webhook_invalid");
  if (!event.ok) return event;
  if (isTest(event.value.test) && !allowTest) return refuse("test_document", "the webhook says test: true");
  const event_id = event.value.event_id ?? id;
  if (event_id === undefined) return refuse("webhook_invalid", "event.event_id: expected to be there, is missing");
  if (id !== undefined && event_id !== id)
    return refuse("webhook_invalid", `event.event_id: expected ${id} as in webhook-id, got ${event_id}`);
  return accept({ ...event.value, event_id });
}

/** When the body says it was sent, in seconds since the epoch; undefined when it does not. */
export function sentAtOf(event: ReceivedEvent): number | undefined {
  return event.sent_at === undefined ? undefined : parseInstant(event.sent_at);
}
