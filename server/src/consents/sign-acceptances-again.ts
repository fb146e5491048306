import {
  type DocumentType,
  type JsonObject,
  accept,
  canonicalize,
  formatInstant,
  parseJsonObject,
  signDocumentAgain,
} from "@licet/protocol";
import type { Context } from "../context.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { readSigningKeys } from "../keys/lookup.ts";
import { lockAcceptancesBy, saveAcceptance } from "./store.ts";

/** Acceptances in one fact. */
const BATCH = 200;

/**
 * Signs acceptances again that a key of the platform signed since it was compromised. They say what
 * our own rows say: which bytes were accepted, and when; the new signature says that it is later.
 * Answers how many there were.
 */
export async function signAcceptancesAgain(
  ctx: Context,
  { kid, since }: { readonly kid: string; readonly since: number },
): Promise<number> {
  let signed = 0;
  for (let last = BATCH; last === BATCH;) {
    const batch = await writeFact(ctx, async (fact) => accept(await signBatch(fact, kid, since)));
    if (!batch.ok) throw new TypeError(batch.refusal.detail);
    last = batch.value;
    signed += last;
  }
  return signed;
}

/** After a crash between a revocation and this, the rest is signed at the next start. */
export async function finishAcceptances(ctx: Context): Promise<void> {
  for (const { kid, purpose, status, compromised_since, revoked_at } of await readSigningKeys(ctx.db)) {
    const since = compromised_since ?? revoked_at;
    if (purpose === "document" && status === "revoked" && since !== null)
      await signAcceptancesAgain(ctx, { kid, since });
  }
}

async function signBatch(fact: Fact, kid: string, since: number): Promise<number> {
  const signer = await fact.ctx.signingKeys.signerIn(fact.trx, "document", fact.now);
  const rows = await lockAcceptancesBy(fact.trx, { kid, since, limit: BATCH });
  for (const { jti, acceptance } of rows) {
    const again = await signDocumentAgain(acceptanceOf(jti, acceptance), formatInstant(fact.now), signer);
    await saveAcceptance(fact.trx, jti, canonicalize(again));
  }
  if (rows.length > 0)
    fact.record({
      type: "acceptances.signed-again",
      aggregate: kid,
      body: { kid, signed_with: signer.kid, jtis: rows.map((row) => row.jti) },
    });
  return rows.length;
}

function acceptanceOf(jti: string, text: string): JsonObject & { readonly type: DocumentType } {
  const parsed = parseJsonObject(text);
  if (!parsed.ok) throw new TypeError(`consent ${jti}: expected its acceptance to be JSON: ${parsed.refusal.detail}`);
  return { ...parsed.value, type: "consent-acceptance" };
}
