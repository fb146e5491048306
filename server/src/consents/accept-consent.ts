import {
  type ConsentKey,
  type ConsentToken,
  type Result,
  accept,
  canonicalize,
  checkConsentTimes,
  formatInstant,
  parseConsentToken,
  refuse,
  sha256Hex,
  signDocument,
  verifyConsentSignature,
} from "@licet/protocol";
import type { Context } from "../context.ts";
import { requireOwn } from "../creators/own.ts";
import { consentKeyOf, shareCreatorKey } from "../creators/lookup.ts";
import type { Trx } from "../db/open-database.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { type Principal, actorOf } from "../http/principal.ts";
import { holdPlatformKey } from "../keys/find-key.ts";
import { checkSubject } from "./check-subject.ts";
import { type ConsentRow, type DraftRow, insertConsent, lockDraft, setDraftState } from "./store.ts";

/**
 * Accepts a signed consent. The checks run in one order — syntax, header, key and signature,
 * claims, times, jti, draft — and the first failure names the code; nothing is changed by a
 * refusal. Only an accepted consent stands.
 */
export async function acceptConsent(ctx: Context, token: string, principal: Principal): Promise<Result<ConsentRow>> {
  const jws = parseConsentToken(token);
  if (!jws.ok) return jws;
  return writeFact(ctx, async (fact) => {
    const key = await findConsentKey(fact.trx, jws.value.header.kid);
    const verified = await verifyConsentSignature(token, jws.value, {
      origin: ctx.origin,
      key,
      madeAt: fact.now,
      allowTest: ctx.config.mode === "test",
    });
    if (!verified.ok) return verified;
    const subject = await checkSubject(fact.trx, verified.value.claims.sub, verified.value.creatorId);
    if (!subject.ok) return subject;
    const times = checkConsentTimes(verified.value.claims, fact.now);
    if (!times.ok) return times;
    const own = requireOwn(principal, verified.value.creatorId);
    if (!own.ok) return own;
    const draft = await takeDraft(fact, verified.value, token);
    if (!draft.ok) return draft;
    return accept(
      await storeConsent(ctx, fact, { consent: verified.value, draft: draft.value, by: actorOf(principal) }),
    );
  });
}

/** The key a token names, whoever's it is: a creator's, or the platform's for consents. */
async function findConsentKey(trx: Trx, kid: string): Promise<ConsentKey | undefined> {
  // Held, so that a key that ends meanwhile ends before this consent or after it, and then ends it too.
  const creatorKey = await shareCreatorKey(trx, kid);
  if (creatorKey !== undefined) return consentKeyOf(creatorKey);
  const platformKey = await holdPlatformKey(trx, kid);
  return platformKey?.purpose === "consent" ? { ...platformKey, owner: { kind: "platform" } } : undefined;
}

/** Refuses `jti_seen`, `consent_not_drafted`, `draft_expired` and `draft_altered`. */
async function takeDraft(fact: Fact, consent: ConsentToken, token: string): Promise<Result<DraftRow>> {
  const { jti } = consent.claims;
  const draft = await lockDraft(fact.trx, jti);
  if (draft === undefined) return refuse("consent_not_drafted", `${jti} was never drafted here`);
  if (draft.state === "accepted") return refuse("jti_seen", `${jti} was accepted before`);
  if (draft.state === "closed" || draft.expires_at <= fact.now)
    return refuse("draft_expired", `the draft of ${jti} was open until ${formatInstant(draft.expires_at)}`);
  const isSameBytes = token.slice(0, token.lastIndexOf(".")) === draft.signing_input;
  if (!isSameBytes || draft.signer !== consent.signedBy || draft.creator_id !== consent.creatorId)
    return refuse("draft_altered", `expected exactly the bytes of the draft ${jti}`);
  return accept(draft);
}

interface AcceptedParts {
  readonly consent: ConsentToken;
  readonly draft: DraftRow;
  readonly by: string;
}

async function storeConsent(ctx: Context, fact: Fact, { consent, draft, by }: AcceptedParts): Promise<ConsentRow> {
  const { claims, token, kid, creatorId, signedBy, payload } = consent;
  const content = { jti: claims.jti, token_sha256: sha256Hex(token), accepted_at: formatInstant(fact.now) };
  const acceptance = await signDocument(
    "consent-acceptance",
    ctx.origin,
    content,
    await ctx.signingKeys.signerIn(fact.trx, "document", fact.now),
  );
  const row: ConsentRow = {
    jti: claims.jti,
    creator_id: creatorId,
    subject: claims.sub,
    license: claims.license,
    kid,
    signed_by: signedBy,
    token,
    claims: canonicalize(payload),
    acceptance: canonicalize(acceptance),
    status_list: draft.status_list,
    status_idx: draft.status_idx,
    issued_at: claims.iat,
    expires_at: claims.exp,
    accepted_at: fact.now,
    state: "active",
    ended_at: null,
    reason: null,
  };
  await insertConsent(fact.trx, row);
  await setDraftState(fact.trx, [claims.jti], "accepted");
  const { status_list, status_idx } = draft;
  fact.keep({ grants: [{ jti: claims.jti, status_list, status_idx, expires_at: claims.exp }] });
  fact.record({
    type: "consent.granted",
    aggregate: claims.jti,
    body: { jti: claims.jti, creator_id: creatorId, token_sha256: content.token_sha256, signed_by: signedBy, by },
  });
  return row;
}
