import { REFUSALS, type Refusal, problemOf } from "@licet/protocol";
import type { EdgeConfig } from "./config.ts";
import { licenseLink, licenseUrlOf } from "./rights-policy.ts";

/** After a fact that was missing: the platform is asked again by then. */
const RETRY_AFTER_SECONDS = 2;

/** The errors of RSL's CAP (`WWW-Authenticate: License`) for our codes; any other is a request that is wrong. */
const CAP_ERRORS: Readonly<Record<string, string>> = {
  license_invalid: "invalid_token",
  license_not_for_work: "insufficient_scope",
  license_scope_insufficient: "insufficient_scope",
  consent_revoked: "insufficient_scope",
};

/** The errors of Cloudflare's pay per crawl for our codes. */
const CRAWLER_ERRORS: Readonly<Record<string, string>> = {
  license_required: "MissingCrawlerPrice",
  agent_signature_invalid: "InvalidSignature",
  consent_revoked: "CrawlerForbidden",
  license_not_for_work: "CrawlerForbidden",
  license_scope_insufficient: "CrawlerForbidden",
};

/** Asks for a signature as draft-ietf-webbotauth-httpsig-protocol does (RFC 9421 section 5). */
const ACCEPT_SIGNATURE =
  'sig=("@authority" "signature-agent";key="sig" "authorization");created;expires;keyid;nonce;tag="web-bot-auth"';

/** A refusal as the world sees it: a problem document that says what to do next, never to be stored; `url` is what was asked for, where that is known. */
export function refusalResponse(refusal: Refusal, config: EdgeConfig, url?: string): Response {
  const licenseUrl = licenseUrlOf(config, url);
  const { status, fix } = REFUSALS[refusal.code];
  const body = { ...problemOf(refusal, config.origin), next: fix, license: licenseUrl };
  const headers = new Headers({
    "content-type": "application/problem+json",
    "cache-control": "no-store",
    link: licenseLink(licenseUrl),
  });
  if (status === 503) headers.set("retry-after", String(RETRY_AFTER_SECONDS));
  if (status === 401 || status === 403) {
    const error = CAP_ERRORS[refusal.code] ?? "invalid_request";
    headers.set("www-authenticate", `License error="${error}", error_description="${quotable(refusal.detail)}"`);
  }
  if (refusal.code === "agent_signature_invalid" || hasCause(refusal, "license_key_mismatch"))
    headers.set("accept-signature", ACCEPT_SIGNATURE);
  const crawlerError = CRAWLER_ERRORS[refusal.code];
  if (crawlerError !== undefined) headers.set("crawler-error", crawlerError);
  if (status === 402 && config.crawlerPrice !== undefined) headers.set("crawler-price", config.crawlerPrice);
  return new Response(`${JSON.stringify(body)}\n`, { status, headers });
}

function hasCause({ offences = [] }: Refusal, code: string): boolean {
  return offences.some((offence) => offence.code === code);
}

/** What may stand in a quoted string of a header; the sentence holds pieces of what was sent. */
function quotable(detail: string): string {
  return detail
    .replace(/[^\x20-\x7e]/g, "?")
    .replace(/["\\]/g, "'")
    .slice(0, 400);
}
