import { encodeBase64url } from "./base64url.ts";
import { licenseShape } from "./content-item.ts";
import type { JsonObject } from "./json.ts";
import { ALGORITHMS, type VerificationKey, isInForce } from "./keys.ts";
import { type Result, accept, refuse } from "./refusal.ts";
import {
  anything,
  exactly,
  identifier,
  instant,
  listOf,
  matching,
  objectOf,
  oneOf,
  origin,
  readShape,
  sha256,
  textUpTo,
} from "./shape.ts";
import { type Signer, verifySignature } from "./signature.ts";
import { isTest, signedBytes, testMark } from "./signed-document.ts";

const TYPE = "agreement-acceptance";
const MAX_NAME_LENGTH = 200;

const ACCEPTANCE = objectOf(
  {
    type: exactly(TYPE),
    iss: identifier,
    aud: origin,
    agreement: licenseShape,
    agreement_sha256: sha256,
    accepted_at: instant,
    accepted_by: matching(
      (text) => text.trim() !== "" && text.length <= MAX_NAME_LENGTH && !/\p{Cc}/u.test(text),
      `who accepts, in 1 to ${MAX_NAME_LENGTH} characters`,
    ),
    signatures: listOf(objectOf({ key_id: textUpTo(128), alg: oneOf(...ALGORITHMS), sig: textUpTo(128) }), {
      min: 1,
      max: 1,
    }),
  },
  { test: anything },
);

/**
 * A marketplace's signed word that it accepts one version of the platform's agreement: `iss` is the
 * marketplace, `aud` the platform's origin, `agreement_sha256` the hash of the very text, as the
 * public document of the agreement carries it, `accepted_by` the person or office that decided. The
 * one signature is by the key the marketplace has registered for its receipts.
 */
export type AgreementAcceptance = ReturnType<typeof ACCEPTANCE>;

/** Reads an acceptance. Refuses `agreement_acceptance_invalid`. */
export function readAgreementAcceptance(document: JsonObject): Result<AgreementAcceptance> {
  return readShape(ACCEPTANCE, document, "acceptance", "agreement_acceptance_invalid");
}

/**
 * Signs an acceptance; `type` becomes a member, and `test: true` with a test key.
 *
 * @example await signAgreementAcceptance({ iss: "mkt_1", aud: origin, agreement: "marketplace:1.0", agreement_sha256, accepted_at, accepted_by: "Rosa Ek, counsel" }, signer);
 */
export async function signAgreementAcceptance(
  content: Omit<AgreementAcceptance, "type" | "signatures" | "test">,
  signer: Signer,
): Promise<JsonObject> {
  const document: JsonObject = { ...content, type: TYPE, ...testMark(signer) };
  const sig = encodeBase64url(await signer.sign(signedBytes(TYPE, document)));
  return { ...document, signatures: [{ key_id: signer.kid, alg: signer.alg, sig }] };
}

export interface AcceptanceCheck {
  /** The marketplace's key that the signature names, found by the verifier, or undefined when it has none of that name. */
  readonly key: VerificationKey | undefined;
  /** Seconds since the epoch: the key must be in force then. */
  readonly receivedAt: number;
  readonly allowTest?: boolean;
}

/**
 * Verifies the one signature with the key that is registered for the marketplace. Refuses
 * `receipt_key_unknown`, `key_not_in_force`, `key_alg_mismatch`, `signature_invalid`, `test_document`.
 */
export async function verifyAgreementAcceptance(
  document: JsonObject,
  { iss, signatures: [signature] }: AgreementAcceptance,
  { key, receivedAt, allowTest = false }: AcceptanceCheck,
): Promise<Result<true>> {
  if (signature === undefined || key === undefined || key.kid !== signature.key_id)
    return refuse("receipt_key_unknown", `expected a key registered for ${iss}, got ${signature?.key_id}`);
  if (!isInForce(key, receivedAt)) return refuse("key_not_in_force", `the key ${key.kid} is not in force`);
  if (key.alg !== signature.alg)
    return refuse("key_alg_mismatch", `expected ${key.alg} by the key ${key.kid}, got ${signature.alg}`);
  if (!(await verifySignature(key.jwk, signedBytes(TYPE, document), signature.sig)))
    return refuse("signature_invalid", `the signature on the acceptance is not by the key ${key.kid}`);
  return isTest(document["test"]) && !allowTest
    ? refuse("test_document", "the acceptance says test: true")
    : accept(true);
}
