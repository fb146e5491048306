import type { JsonObject } from "@licet/protocol";
import type { OlpAnswer } from "../http/oauth/olp-grants.ts";

const STATUSES = {
  invalid_request: 400,
  invalid_license: 400,
  invalid_resource: 400,
  authorization_pending: 400,
  unauthorized_client: 403,
  temporarily_unavailable: 503,
} as const;
export type OlpErrorCode = keyof typeof STATUSES;

/** An error as RFC 6749 section 5.2 writes it: the description holds printable ASCII without quotes and backslashes. */
export function olpError(error: OlpErrorCode, description: string, more: JsonObject = {}): OlpAnswer {
  const error_description = description.replaceAll('"', "'").replace(/[^\x20-\x5b\x5d-\x7e]/g, "?");
  return { status: STATUSES[error], body: { error, error_description, ...more } };
}
