import { sha256Hex } from "./digest.ts";
import { parseInstant } from "./instant.ts";
import type { JsonObject } from "./json.ts";
import type { KeySet } from "./key-set.ts";
import { type Result, accept, refuse } from "./refusal.ts";
import { instant, matching, objectOf, readShape, sha256 } from "./shape.ts";
import { isJti } from "./consent-token.ts";
import { type SignedDocument, verifyDocument } from "./signed-document.ts";

/** The platform's word that it accepted a token: without it a signed token is only a wish. */
export interface ConsentAcceptance extends SignedDocument {
  readonly jti: string;
  readonly token_sha256: string;
  readonly accepted_at: string;
}

const ACCEPTANCE = objectOf({ jti: matching(isJti, "a jti"), token_sha256: sha256, accepted_at: instant });

/**
 * Verifies the acceptance that belongs to a token and answers when it was accepted (seconds since
 * the epoch). Refuses `consent_unaccepted` when it is missing or speaks of another token.
 */
export async function verifyConsentAcceptance(
  document: JsonObject | undefined,
  token: string,
  jti: string,
  keys: KeySet,
): Promise<Result<number>> {
  if (document === undefined) return refuse("consent_unaccepted", `expected an acceptance of ${jti}, got none`);
  const acceptance = readShape(ACCEPTANCE, document, "consent-acceptance", "document_invalid");
  if (!acceptance.ok) return acceptance;
  const { accepted_at, token_sha256 } = acceptance.value;
  if (acceptance.value.jti !== jti || token_sha256 !== sha256Hex(token))
    return refuse(
      "consent_unaccepted",
      `expected an acceptance of ${jti} and its bytes, got one of ${acceptance.value.jti}`,
    );
  const acceptedAt = parseInstant(accepted_at) ?? 0;
  const verified = await verifyDocument(document, { type: "consent-acceptance", keys, madeAt: acceptedAt });
  return verified.ok ? accept(acceptedAt) : verified;
}
