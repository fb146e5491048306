import {
  type AgreementAcceptance,
  CLOCK_SKEW_SECONDS,
  type JsonObject,
  type Result,
  accept,
  canonicalize,
  formatInstant,
  parseInstant,
  readAgreementAcceptance,
  refuse,
  verifyAgreementAcceptance,
} from "@licet/protocol";
import type { Context } from "../context.ts";
import { writeFact } from "../events/write-fact.ts";
import { holdReceiptKey } from "../marketplaces/lookup.ts";
import {
  type AcceptanceRow,
  type AgreementRow,
  findAcceptance,
  findAgreement,
  findNewestAgreement,
  insertAcceptance,
} from "./store.ts";

export interface NewAcceptance {
  readonly marketplaceId: string;
  /** The agreement the path names. */
  readonly agreement: string;
  readonly document: JsonObject;
}

/**
 * Takes a marketplace's signed acceptance of the newest version of an agreement and keeps it for
 * good. Accepted before, the first acceptance is the answer.
 *
 * Refuses, in this order: `agreement_acceptance_invalid`, `not_yours`, `not_found`, `conflict` (there
 * is a newer version), `receipt_key_unknown`, `key_not_in_force`, `key_alg_mismatch`,
 * `signature_invalid`, `test_document`.
 */
export async function acceptAgreement(
  ctx: Context,
  { marketplaceId, agreement, document }: NewAcceptance,
): Promise<Result<{ readonly isNew: boolean; readonly row: AcceptanceRow }>> {
  const read = readAgreementAcceptance(document);
  if (!read.ok) return read;
  const { value: said } = read;
  if (said.iss !== marketplaceId) return refuse("not_yours", `expected iss ${marketplaceId}, got ${said.iss}`);
  const isTest = ctx.config.mode === "test";
  if (isTest && document["test"] !== true)
    return refuse(
      "agreement_acceptance_invalid",
      "acceptance.test: expected true, since this platform is in test mode",
    );
  return writeFact<{ readonly isNew: boolean; readonly row: AcceptanceRow }>(ctx, async (fact) => {
    const text = await findAgreement(fact.trx, agreement);
    if (text === undefined) return refuse("not_found", `there is no agreement ${agreement}`);
    const same = checkSame(said, text, { origin: ctx.origin, now: fact.now });
    if (!same.ok) return same;
    const [signature] = said.signatures;
    const key = await holdReceiptKey(fact.trx, marketplaceId, signature?.key_id ?? "");
    const verified = await verifyAgreementAcceptance(document, said, { key, receivedAt: fact.now, allowTest: isTest });
    if (!verified.ok) return verified;
    const known = await findAcceptance(fact.trx, marketplaceId, agreement);
    if (known !== undefined) return accept({ isNew: false, row: known });
    const newest = await findNewestAgreement(fact.trx, text.name);
    if (newest !== undefined && newest.agreement !== agreement)
      return refuse("conflict", `${agreement} was replaced: accept ${newest.agreement}`);
    const row = {
      marketplace_id: marketplaceId,
      agreement,
      kid: key?.kid ?? "",
      accepted_by: said.accepted_by,
      accepted_at: fact.now,
      document: canonicalize(document),
    };
    if (!(await insertAcceptance(fact.trx, row))) {
      const first = await findAcceptance(fact.trx, marketplaceId, agreement);
      return accept({ isNew: false, row: first ?? row });
    }
    fact.record({
      type: "agreement.accepted",
      aggregate: agreement,
      body: { agreement, marketplace_id: marketplaceId, kid: row.kid, sha256: text.sha256 },
    });
    return accept({ isNew: true, row });
  });
}

/** What was signed must be about this very text, on this platform, and not before there was a text. */
function checkSame(
  said: AgreementAcceptance,
  text: AgreementRow,
  { origin, now }: { readonly origin: string; readonly now: number },
): Result<true> {
  const wrong = (member: string, expected: string, got: string) =>
    refuse("agreement_acceptance_invalid", `acceptance.${member}: expected ${expected}, got ${got}`);
  if (said.aud !== origin) return wrong("aud", origin, said.aud);
  if (said.agreement !== text.agreement) return wrong("agreement", text.agreement, said.agreement);
  if (said.agreement_sha256 !== text.sha256) return wrong("agreement_sha256", text.sha256, said.agreement_sha256);
  const at = parseInstant(said.accepted_at) ?? 0;
  const [first, last] = [text.published_at - CLOCK_SKEW_SECONDS, now + CLOCK_SKEW_SECONDS];
  return at < first || at > last
    ? wrong("accepted_at", `${formatInstant(first)} to ${formatInstant(last)}`, said.accepted_at)
    : accept(true);
}
