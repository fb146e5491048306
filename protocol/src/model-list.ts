import { encodeBase64url } from "./base64url.ts";
import { parseInstant } from "./instant.ts";
import type { JsonObject } from "./json.ts";
import { ALGORITHMS, type VerificationKey, isInForce } from "./keys.ts";
import { licensedModelShape } from "./license-token.ts";
import { type Result, accept, refuse } from "./refusal.ts";
import { anything, exactly, identifier, instant, listOf, objectOf, oneOf, readShape, textUpTo } from "./shape.ts";
import type { Shape } from "./shape.ts";
import { type Signer, verifySignature } from "./signature.ts";
import { isTest, signedBytes, testMark } from "./signed-document.ts";

const TYPE = "model-list";

/** Where a marketplace serves its list, on the host of its `base_url`. */
export const MODEL_LIST_PATH = "/.well-known/models.json";
/** A list names at most this many models. */
export const MAX_LISTED_MODELS = 10_000;
/** A list is at most this many bytes long. */
export const MAX_MODEL_LIST_BYTES = 8_388_608;
/** A list that says it was made later than this from now comes from a clock that is wrong. */
const MAX_AHEAD_SECONDS = 300;

const PUBLISHED = objectOf({ published_at: instant });
const LISTED_MODEL: Shape<ListedModel> = (value, at) => ({ ...licensedModelShape(value, at), ...PUBLISHED(value, at) });

const MODEL_LIST = objectOf(
  {
    type: exactly(TYPE),
    iss: identifier,
    models: listOf(LISTED_MODEL, { min: 0, max: MAX_LISTED_MODELS }),
    checked_at: instant,
    signatures: listOf(objectOf({ key_id: textUpTo(128), alg: oneOf(...ALGORITHMS), sig: textUpTo(128) }), {
      min: 1,
      max: 1,
    }),
  },
  { test: anything },
);

/** A model as its maker lists it: with when it was published. */
export type ListedModel = ReturnType<typeof licensedModelShape> & ReturnType<typeof PUBLISHED>;

/**
 * A marketplace's signed word on the models it has made: `iss` is its id with the platform,
 * `checked_at` when it last made sure of the list. The one signature is by the key it has registered
 * for its receipts, so that a model on it that nobody licensed is not to be denied.
 */
export type ModelList = ReturnType<typeof MODEL_LIST>;

/** Reads a list of models. Refuses `model_list_invalid`, also when it names a fingerprint twice. */
export function readModelList(document: JsonObject): Result<ModelList> {
  const list = readShape(MODEL_LIST, document, "models", "model_list_invalid");
  if (!list.ok) return list;
  const seen = new Set<string>();
  for (const { fingerprint } of list.value.models) {
    if (seen.has(fingerprint))
      return refuse("model_list_invalid", `expected each model once, got ${fingerprint} twice`);
    seen.add(fingerprint);
  }
  return list;
}

/**
 * Signs a list of models; `type` becomes a member, and `test: true` with a test key.
 *
 * @example await signModelList({ iss: "mkt_1", models: [{ model_id: "acme/writer-7b", fingerprint, published_at }], checked_at }, signer);
 */
export async function signModelList(
  content: Omit<ModelList, "type" | "signatures" | "test">,
  signer: Signer,
): Promise<JsonObject> {
  const models = content.models.map((model) => ({ ...model }));
  const document: JsonObject = { ...content, models, type: TYPE, ...testMark(signer) };
  const sig = encodeBase64url(await signer.sign(signedBytes(TYPE, document)));
  return { ...document, signatures: [{ key_id: signer.kid, alg: signer.alg, sig }] };
}

/** What a list of models is checked against. */
export interface ModelListCheck {
  /** Whose list it must be. */
  readonly marketplaceId: string;
  /** The marketplace's key that the signature names, found by the verifier, or undefined when it has none of that name. */
  readonly key: VerificationKey | undefined;
  /** Seconds since the epoch: the key must be in force then. */
  readonly now: number;
  readonly allowTest?: boolean;
}

/**
 * Verifies the one signature with the key that is registered for the marketplace. Refuses
 * `model_list_invalid` for another's list or one from the future, `receipt_key_unknown`,
 * `key_not_in_force`, `key_alg_mismatch`, `signature_invalid`, `test_document`.
 */
export async function verifyModelList(
  document: JsonObject,
  { iss, checked_at, signatures: [signature] }: ModelList,
  { marketplaceId, key, now, allowTest = false }: ModelListCheck,
): Promise<Result<true>> {
  if (iss !== marketplaceId) return refuse("model_list_invalid", `expected the list of ${marketplaceId}, got ${iss}'s`);
  if ((parseInstant(checked_at) ?? 0) > now + MAX_AHEAD_SECONDS)
    return refuse("model_list_invalid", `expected checked_at within ${MAX_AHEAD_SECONDS} seconds, got ${checked_at}`);
  if (signature === undefined || key === undefined || key.kid !== signature.key_id)
    return refuse("receipt_key_unknown", `expected a key registered for ${iss}, got ${signature?.key_id}`);
  if (!isInForce(key, now)) return refuse("key_not_in_force", `the key ${key.kid} is not in force`);
  if (key.alg !== signature.alg)
    return refuse("key_alg_mismatch", `expected ${key.alg} by the key ${key.kid}, got ${signature.alg}`);
  if (!(await verifySignature(key.jwk, signedBytes(TYPE, document), signature.sig)))
    return refuse("signature_invalid", `the signature on the list is not by the key ${key.kid}`);
  return isTest(document["test"]) && !allowTest ? refuse("test_document", "the list says test: true") : accept(true);
}
