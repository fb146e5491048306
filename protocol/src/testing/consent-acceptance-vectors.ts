import { CLAIMS, TYP } from "./consent-vectors.ts";
import { otherSpelling } from "./malleable-signatures.ts";
import {
  type JsonMembers,
  type Vector,
  accepted,
  base64url,
  refused,
  sha256Hex,
  signed,
  token,
  writeVectors,
} from "./vector-writing.ts";
import {
  HASH,
  JTI,
  KEY_SET,
  NOW,
  ORIGIN,
  OTHER_JTI,
  anaKey,
  bramKey,
  consentKey,
  documentKey,
  instantAt,
  receiptKey,
  strangerKey,
} from "./vector-world.ts";

function acceptances(): readonly Vector[] {
  const text = token(TYP, CLAIMS, anaKey);
  const byBram = token(TYP, CLAIMS, bramKey);
  const bramsSignature = Buffer.from(byBram.slice(byBram.lastIndexOf(".") + 1), "base64url");
  const content: JsonMembers = {
    type: "consent-acceptance",
    iss: ORIGIN,
    jti: JTI,
    token_sha256: sha256Hex(text),
    accepted_at: instantAt(NOW + 5),
  };
  const asking = (acceptance: JsonMembers | null) => ({ token: text, jti: JTI, acceptance });
  const changed = (members: JsonMembers) => asking(signed({ ...content, ...members }, documentKey));
  const good = signed(content, documentKey);
  return [
    accepted("an acceptance of these bytes", asking(good), { accepted_at: NOW + 5 }),
    refused("none", "consent_unaccepted", asking(null)),
    refused("of another token", "consent_unaccepted", changed({ jti: OTHER_JTI })),
    refused("of other bytes with the same jti", "consent_unaccepted", changed({ token_sha256: HASH })),
    refused("of the same consent under the other of its two ES256 signatures", "consent_unaccepted", {
      ...asking(signed({ ...content, token_sha256: sha256Hex(byBram) }, documentKey)),
      token: `${byBram.slice(0, byBram.lastIndexOf("."))}.${base64url(otherSpelling(bramsSignature))}`,
    }),
    refused("of another type", "document_invalid", changed({ type: "terms" })),
    refused("by another platform", "document_invalid", changed({ iss: "https://evil.example" })),
    refused(
      "without a time",
      "document_invalid",
      asking(
        signed(Object.fromEntries(Object.entries(content).filter(([name]) => name !== "accepted_at")), documentKey),
      ),
    ),
    refused("changed after signing", "signature_invalid", asking({ ...good, accepted_at: instantAt(NOW + 6) })),
    refused("signed by a stranger", "signature_missing", asking(signed(content, strangerKey))),
    refused("signed by the key for consents", "key_purpose_wrong", asking(signed(content, consentKey))),
    refused("signed by the key for receipts", "key_purpose_wrong", asking(signed(content, receiptKey))),
    refused("accepted after the key's end", "key_not_in_force", changed({ accepted_at: "2030-01-01T00:00:00Z" })),
    refused("from a test server", "test_document", changed({ test: true })),
  ];
}

export function writeConsentAcceptanceVectors(): void {
  writeVectors(
    "consent-acceptance.json",
    "The platform's acceptance of a consent token, verified with `key_set`.",
    acceptances(),
    { key_set: KEY_SET },
  );
}
