import {
  CONSENT_TYP,
  CONSENT_VERSION,
  type DidMethod,
  type JsonObject,
  type JwsHeader,
  MAX_CONSENT_SECONDS,
  type PublicJwk,
  type Result,
  accept,
  canonicalize,
  checkScope,
  consentText,
  creatorIssuer,
  didOf,
  encodeBase64url,
  formatInstant,
  isInForce,
  jwsSigningInput,
  parseInstant,
  parseSubject,
  refuse,
  sha256Hex,
  termsSha256,
  testMark,
} from "@licet/protocol";
import { randomBytes } from "node:crypto";
import type { Context } from "../context.ts";
import { consentKeyOf, findCreator, readCreatorKeys } from "../creators/lookup.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { allocateStatus, statusReference, type StatusPlace } from "../status-lists/allocate-status.ts";
import { requireTerms } from "../terms/find-terms.ts";
import { checkSubject } from "./check-subject.ts";
import type { DraftInput, DraftView } from "./draft-input.ts";
import { insertDraft } from "./store.ts";

/** A draft stays open this long. */
const DRAFT_SECONDS = 900;
const DEFAULT_DAYS = 365;
const DAY_SECONDS = 86_400;
const JTI_BYTES = 16;

/**
 * Prepares a consent: gives it a jti and a status index, composes the words the creator must be
 * shown, and the exact bytes to sign.
 *
 * Refuses `not_found` (creator), `scope_unknown`, `subject_not_signers`, `key_unknown`, `input_invalid`.
 */
export async function draftConsent(
  ctx: Context,
  { input, creatorId, by }: { readonly input: DraftInput; readonly creatorId: string; readonly by: string },
): Promise<Result<DraftView>> {
  return writeFact(ctx, async (fact) => {
    if ((await findCreator(fact.trx, creatorId)) === undefined)
      return refuse("not_found", `there is no creator ${creatorId}`);
    const scope = checkScope(input.scope);
    if (!scope.ok) return scope;
    const subject = await checkSubject(fact.trx, input.subject, creatorId);
    if (!subject.ok) return subject;
    const expiresAt = expiryOf(input, fact.now);
    if (!expiresAt.ok) return expiresAt;
    const signer = await chooseSigner(ctx, fact, input, creatorId);
    if (!signer.ok) return signer;
    const { header, iss } = signer.value;
    const text = await composeText(fact, input, expiresAt.value);
    if (!text.ok) return text;

    const jti = `ctok_${encodeBase64url(randomBytes(JTI_BYTES))}`;
    const place = await allocateStatus(fact);
    const claims = claimsOf(ctx, {
      input,
      creatorId,
      iss,
      jti,
      place,
      now: fact.now,
      expiresAt: expiresAt.value,
      header,
      text: text.value,
    });
    const draftExpiresAt = fact.now + DRAFT_SECONDS;
    const signingInput = jwsSigningInput(header, claims);
    await insertDraft(fact.trx, {
      jti,
      creator_id: creatorId,
      signer: input.signer,
      signing_input: signingInput,
      words: text.value,
      ...place,
      evidence: input.evidence === undefined ? null : canonicalize(input.evidence),
      created_at: fact.now,
      expires_at: draftExpiresAt,
      state: "open",
    });
    fact.record({
      type: "consent.drafted",
      aggregate: jti,
      body: { jti, creator_id: creatorId, subject: input.subject, by },
    });
    return accept({
      jti,
      signing_input: signingInput,
      claims: { ...claims },
      text: text.value,
      terms_sha256: termsSha256(text.value),
      draft_expires_at: formatInstant(draftExpiresAt),
    });
  });
}

function expiryOf(input: DraftInput, now: number): Result<number> {
  const expiresAt =
    input.expires_at === undefined
      ? now + (input.duration_days ?? DEFAULT_DAYS) * DAY_SECONDS
      : (parseInstant(input.expires_at) ?? 0);
  if (expiresAt <= now || expiresAt - now > MAX_CONSENT_SECONDS)
    return refuse(
      "input_invalid",
      `body.expires_at: expected within ten years from ${formatInstant(now)}, got ${formatInstant(expiresAt)}`,
    );
  return accept(expiresAt);
}

interface ChosenSigner {
  readonly header: JwsHeader;
  readonly iss: string;
}

async function chooseSigner(
  ctx: Context,
  fact: Fact,
  input: DraftInput,
  creatorId: string,
): Promise<Result<ChosenSigner>> {
  if (input.signer === "platform") {
    const { alg, kid } = await ctx.signingKeys.signerIn(fact.trx, "consent", fact.now);
    return accept({ header: { alg, kid, typ: CONSENT_TYP }, iss: ctx.origin });
  }
  const keys = (await readCreatorKeys(fact.trx, [creatorId]))
    .map((row) => ({ ...consentKeyOf(row), did: row.did }))
    .filter((key) => isInForce(key, fact.now));
  const key = input.kid === undefined ? keys.at(-1) : keys.find((candidate) => candidate.kid === input.kid);
  if (key === undefined)
    return refuse("key_unknown", `expected ${creatorId} to have enrolled ${input.kid ?? "a key"} that is in force`);
  const iss = input.issuer === "creator" ? creatorIssuer(ctx.origin, creatorId) : issuerDid(key, input.issuer);
  return accept({ header: { alg: key.alg, kid: key.kid, typ: CONSENT_TYP }, iss });
}

/** A key that was enrolled under a DID keeps the spelling its owner gave it. */
function issuerDid({ did, jwk }: { readonly did: string | null; readonly jwk: PublicJwk }, method: DidMethod): string {
  return did?.startsWith(`${method}:`) === true ? did : didOf(jwk, method);
}

async function composeText(fact: Fact, input: DraftInput, expiresAt: number): Promise<Result<string>> {
  const terms = await requireTerms(fact.trx, input.license, input.language);
  if (!terms.ok) return terms;
  const subject = parseSubject(input.subject);
  if (subject === undefined) throw new TypeError(`subject ${input.subject} passed the schema`);
  const { license, scope, prohibitions } = input;
  return accept(
    consentText({
      terms: terms.value,
      license,
      subject,
      scope,
      priceFloor: input.price_floor,
      issuedAt: fact.now,
      expiresAt,
      futureWorks: input.future_works,
      prohibitions,
      audience: input.audience ?? [],
    }),
  );
}

interface ClaimParts {
  readonly input: DraftInput;
  readonly creatorId: string;
  readonly iss: string;
  readonly jti: string;
  readonly place: StatusPlace;
  readonly now: number;
  readonly expiresAt: number;
  readonly header: JwsHeader;
  readonly text: string;
}

function claimsOf(
  ctx: Context,
  { input, creatorId, iss, jti, place, now, expiresAt, header, text }: ClaimParts,
): JsonObject {
  return {
    iss,
    sub: input.subject,
    scope: input.scope,
    consent_version: CONSENT_VERSION,
    iat: now,
    exp: expiresAt,
    jti,
    sig_alg: header.alg,
    status: statusReference(ctx.origin, place),
    license: input.license,
    terms_sha256: termsSha256(text),
    price_floor: input.price_floor,
    ...testMark({ test: ctx.config.mode === "test" }),
    ...(input.audience === undefined ? {} : { aud: input.audience }),
    ...(input.future_works ? { future_works: true } : {}),
    ...(input.prohibitions.length === 0 ? {} : { prohibitions: input.prohibitions }),
    ...(input.evidence === undefined
      ? {}
      : { act: { sub: creatorId, evidence_sha256: sha256Hex(canonicalize(input.evidence)) } }),
  };
}
