import { CLOCKS } from "./freshness.ts";
import type { JsonObject } from "./json.ts";
import { jtiShape } from "./manifest.ts";
import type { Result } from "./refusal.ts";
import { count, exactly, instant, listOf, objectOf, origin, readShape, webUrl } from "./shape.ts";

/** A page of the view holds at most this many revocations. */
export const REVOCATIONS_PER_PAGE = 1_000;
/** A revocation is listed until this long after the token would have expired anyway. */
export const REVOCATION_RETENTION_SECONDS = 30 * 86_400;
const MAX_STATUS_LISTS = 10_000;

const REVOCATION_VIEW = objectOf(
  {
    type: exactly("consent-revocations"),
    iss: origin,
    seq: count,
    revocations: listOf(objectOf({ jti: jtiShape, revoked_at: instant }), { max: REVOCATIONS_PER_PAGE }),
    status_lists: listOf(webUrl, { max: MAX_STATUS_LISTS }),
    ...CLOCKS,
  },
  { next: webUrl },
);

/**
 * `/.well-known/consent-revocations.json`: the newest revocations, newest last. `next` names the
 * page with the ones before; `status_lists` the lists that hold every refusal for offline use.
 */
export type RevocationView = ReturnType<typeof REVOCATION_VIEW>;

export function readRevocationView(document: JsonObject): Result<RevocationView> {
  return readShape(REVOCATION_VIEW, document, "consent-revocations", "document_invalid");
}
