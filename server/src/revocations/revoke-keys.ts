import { type Result, accept, formatInstant } from "@licet/protocol";
import { endConsents } from "../consents/end-consents.ts";
import { lockConsents, readJtisSignedWith } from "../consents/lookup.ts";
import { signAcceptancesAgain } from "../consents/sign-acceptances-again.ts";
import type { Context } from "../context.ts";
import { type KeyOfCreator, markCompromised } from "../creators/end-key.ts";
import { readDatasetStates, readTouched } from "../datasets/lookup.ts";
import { refreshDatasets } from "../datasets/render-dataset.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { actorOf } from "../http/principal.ts";
import { type KeyRevocation, type RevokedKey, revokeKey } from "../keys/revoke-key.ts";
import { readAffected } from "../models/lookup.ts";
import { readReceiptsCountersignedWith } from "../receipts/lookup.ts";
import { openCases } from "../remediations/open-cases.ts";
import { addToView } from "./render-view.ts";
import type { TouchedDataset } from "./take-back.ts";

/** What consents say that ended because nobody can tell who signed them. */
const COMPROMISED_REASON = "signing_key_compromised";

/** What ended with a key. */
export interface DoubtfulConsents {
  readonly revoked_jtis: readonly string[];
  readonly datasets: readonly TouchedDataset[];
}

export interface CompromisedCreatorKey extends DoubtfulConsents {
  readonly compromised_since: string;
}

/**
 * A creator's key that somebody else may hold: it signs no more, and the consents accepted under it
 * since then end in the same fact, since nobody can tell who gave them. The creator can give them
 * again with another key. Refuses `not_found`, `not_yours` and `input_invalid`.
 */
export async function reportCompromisedKey(
  ctx: Context,
  asked: KeyOfCreator & { readonly since: number | undefined },
): Promise<Result<CompromisedCreatorKey>> {
  return writeFact(ctx, async (fact) => {
    const key = await markCompromised(fact, { ...asked, since: asked.since ?? fact.now });
    if (!key.ok) return key;
    const since = key.value.compromised_since ?? fact.now;
    const ended = await endDoubtful(fact, { kid: asked.kid, since, by: actorOf(asked.principal) });
    return accept({ ...ended, compromised_since: formatInstant(since) });
  });
}

export interface RevokedPlatformKey extends DoubtfulConsents {
  readonly key: RevokedKey;
  readonly acceptancesSignedAgain: number;
  /** Receipts whose countersignature holds no more; they are append-only, so it stays as it is. */
  readonly receiptIds: readonly string[];
}

/**
 * Revokes a key of the platform. In one fact: another key takes over, what readers trust is signed
 * again, and platform-signed consents that the key made since then end, because a token's bytes are
 * pinned in datasets and cannot be signed again. Right after it, acceptances are signed again.
 */
export async function revokePlatformKey(ctx: Context, revocation: KeyRevocation): Promise<Result<RevokedPlatformKey>> {
  const revoked = await writeFact(ctx, async (fact) => {
    const key = await revokeKey(fact, revocation);
    if (!key.ok) return key;
    const { row, since } = key.value;
    const ended =
      row.purpose === "consent"
        ? await endDoubtful(fact, { kid: row.kid, since, by: revocation.by })
        : { revoked_jtis: [], datasets: [] };
    const receiptIds =
      row.purpose === "receipt" ? await readReceiptsCountersignedWith(fact.trx, { kid: row.kid, since }) : [];
    return accept({ key: key.value, ...ended, receiptIds });
  });
  await ctx.signingKeys.reload();
  if (!revoked.ok) return revoked;
  const { row, since } = revoked.value.key;
  const acceptancesSignedAgain =
    row.purpose === "document" ? await signAcceptancesAgain(ctx, { kid: row.kid, since }) : 0;
  return accept({ ...revoked.value, acceptancesSignedAgain });
}

async function endDoubtful(
  fact: Fact,
  { kid, since, by }: { readonly kid: string; readonly since: number; readonly by: string },
): Promise<DoubtfulConsents> {
  const consents = await lockConsents(fact.trx, await readJtisSignedWith(fact.trx, { kid, since }));
  const jtis = consents.map((row) => row.jti);
  const touched = await readTouched(fact.trx, { jtis, contentIds: [] });
  const ended = await endConsents(fact, consents, {
    state: "revoked",
    by,
    reason: COMPROMISED_REASON,
    datasetsOf: (jti) => touched.byConsents([jti]),
  });
  await addToView(fact, ended);
  const datasetIds = touched.byConsents(jtis);
  await refreshDatasets(fact, datasetIds);
  const endedJtis = ended.map((row) => row.jti);
  const fresh = { jtis: endedJtis, contentIds: [] };
  await openCases(fact, (await readAffected(fact.trx, { ...fresh, fresh, datasetIds: [] })).models);
  const states = await readDatasetStates(fact.trx, datasetIds);
  return {
    revoked_jtis: endedJtis,
    datasets: [...states].map(([dataset_id, status]) => ({ dataset_id, status })),
  };
}
