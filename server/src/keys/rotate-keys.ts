import { type Algorithm, type Result, accept, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { nowSeconds } from "../context.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { type SigningPurpose, createKey } from "./create-key.ts";
import { republishKeySet } from "./publish-key-set.ts";
import {
  type SigningKeyRow,
  keyBody,
  lockSigningKeys,
  readActiveKeys,
  readSigningKeys,
  updateSigningKey,
} from "./store.ts";

/**
 * A new key is published this long before it signs. Whoever keeps the key set for its `ttl_seconds`
 * (15), or whose clock is a little behind, knows the key when the first signature by it arrives.
 */
export const LEAD_SECONDS = 60;
/**
 * The old key stays active this long after it signed for the last time: longer than a status
 * document lives (5 minutes) and longer than a draft made for it can be accepted (15 minutes).
 */
export const OVERLAP_SECONDS = 1_200;
/** Keys of one purpose that are active at once. A rotation every few minutes is no rotation. */
const MAX_ACTIVE_KEYS = 8;
/** The key set is read whole by everybody; its readers refuse more than 1 000 keys. */
const MAX_KEYS = 900;

export interface Rotation {
  readonly purposes: readonly SigningPurpose[];
  readonly alg: Algorithm;
  readonly by: string;
}

/** What became of the keys of one purpose. */
export interface RotatedKey {
  readonly purpose: SigningPurpose;
  readonly next: SigningKeyRow;
  readonly replaced: readonly SigningKeyRow[];
}

/** Hands each purpose over to a new key, without a restart and without a moment in which something does not verify. Refuses `conflict`. */
export async function rotateKeys(ctx: Context, rotation: Rotation): Promise<Result<readonly RotatedKey[]>> {
  const rotated = await writeFact(ctx, async (fact) => {
    await lockSigningKeys(fact.trx);
    return rotateInFact(fact, rotation);
  });
  await ctx.signingKeys.reload();
  return rotated;
}

/** As {@link rotateKeys}, in a fact that holds the signing keys. */
export async function rotateInFact(fact: Fact, rotation: Rotation): Promise<Result<readonly RotatedKey[]>> {
  const count = (await readSigningKeys(fact.trx)).length;
  if (count + rotation.purposes.length > MAX_KEYS)
    return refuse("conflict", `expected fewer than ${MAX_KEYS} keys in the key set, got ${count}`);
  const done: RotatedKey[] = [];
  for (const purpose of rotation.purposes) {
    const keys = await rotateOne(fact, purpose, rotation);
    if (!keys.ok) return keys;
    done.push(keys.value);
  }
  await republishKeySet(
    fact,
    done.map(({ next }) => next.kid),
  );
  return accept(done);
}

async function rotateOne(fact: Fact, purpose: SigningPurpose, { alg, by }: Rotation): Promise<Result<RotatedKey>> {
  const active = (await readActiveKeys(fact.trx)).filter((row) => row.purpose === purpose);
  if (active.length >= MAX_ACTIVE_KEYS)
    return refuse(
      "conflict",
      `expected fewer than ${MAX_ACTIVE_KEYS} active keys for ${purpose}; wait until the ones that were handed over are retired`,
    );
  const signsFrom = fact.now + LEAD_SECONDS;
  const retireAt = signsFrom + OVERLAP_SECONDS;
  const replaced = active.filter((row) => row.retire_at === null);
  for (const row of replaced) await updateSigningKey(fact.trx, row.kid, { retire_at: retireAt });
  const next = await createKey(fact.ctx.sealer, fact.trx, { purpose, alg, now: fact.now, signsFrom });
  fact.record({
    type: "key.rotated",
    aggregate: next.kid,
    body: {
      ...keyBody(next),
      alg,
      signs_from: signsFrom,
      replaces: replaced.map((row) => row.kid),
      retire_at: retireAt,
      by,
    },
  });
  return accept({ purpose, next, replaced: replaced.map((row) => ({ ...row, retire_at: retireAt })) });
}

/**
 * Retires the keys whose overlap is over. By then no document that is trusted was signed by them: a
 * status document is signed again long before, and one that nobody read expired.
 */
export async function retireKeys(ctx: Context): Promise<void> {
  const isDue = (row: SigningKeyRow, now: number) => row.retire_at !== null && row.retire_at <= now;
  const now = nowSeconds(ctx);
  if (!(await readActiveKeys(ctx.db)).some((row) => isDue(row, now))) return;
  await writeFact(ctx, async (fact) => {
    await lockSigningKeys(fact.trx);
    const due = (await readActiveKeys(fact.trx)).filter((row) => isDue(row, fact.now));
    for (const row of due) {
      await updateSigningKey(fact.trx, row.kid, { status: "retired", not_after: Math.min(fact.now, row.not_after) });
      fact.record({ type: "key.retired", aggregate: row.kid, body: { kid: row.kid, purpose: row.purpose } });
    }
    if (due.length > 0)
      await republishKeySet(
        fact,
        due.map((row) => row.kid),
      );
    return accept(undefined);
  });
  await ctx.signingKeys.reload();
}
