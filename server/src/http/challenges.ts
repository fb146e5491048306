import type { RefusalCode } from "@licet/protocol";
import { CLIENT_ALGORITHMS } from "./oauth/client-authentication.ts";

export const PROTECTED_RESOURCE_PATH = "/.well-known/oauth-protected-resource";

const DPOP_ALGORITHMS = `algs="${CLIENT_ALGORITHMS.join(" ")}"`;

/**
 * How to authenticate, in a 401 of the API itself: RFC 6750 section 3, RFC 9449 section 7.1, and
 * where to read more, RFC 9728 section 5.1. Undefined for refusals that are about something else.
 */
export function challengeOf(code: RefusalCode, origin: string): string | undefined {
  const more = `resource_metadata="${origin}${PROTECTED_RESOURCE_PATH}"`;
  switch (code) {
    case "unauthenticated":
      return `Bearer ${more}, DPoP ${DPOP_ALGORITHMS}`;
    case "token_invalid":
      return `Bearer error="invalid_token", ${more}, DPoP ${DPOP_ALGORITHMS}`;
    case "token_unbound":
      return `DPoP error="invalid_token", ${DPOP_ALGORITHMS}, ${more}`;
    case "dpop_proof_invalid":
      return `DPoP error="invalid_dpop_proof", ${DPOP_ALGORITHMS}, ${more}`;
    case "dpop_nonce_required":
      return `DPoP error="use_dpop_nonce", error_description="expected a proof with the nonce of the DPoP-Nonce header", ${DPOP_ALGORITHMS}, ${more}`;
    default:
      return undefined;
  }
}
