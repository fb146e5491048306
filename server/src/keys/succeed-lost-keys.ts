import type { Fact } from "../events/write-fact.ts";
import { type SigningPurpose, PURPOSES, createKey } from "./create-key.ts";
import { republishKeySet } from "./publish-key-set.ts";
import { type LostKey, restoreRetiredKey } from "./restore-key.ts";
import { keyBody, lockSigningKeys, readActiveKeys, updateSigningKey } from "./store.ts";

export interface LostKeys {
  readonly lost: readonly LostKey[];
  /** Keys whose revocation is still to be replayed, which gives them a successor. */
  readonly revokedKids: ReadonlySet<string>;
  readonly by: string;
}

/**
 * Keys that took over after the backup are lost, and those that they took over from must not sign
 * again: the lost ones are listed as retired, and another key signs at once for their purposes.
 */
export async function succeedLostKeys(fact: Fact, { lost, revokedKids, by }: LostKeys): Promise<void> {
  await lockSigningKeys(fact.trx);
  const changed: string[] = [];
  for (const key of lost.filter(({ kid }) => !revokedKids.has(kid))) {
    const restored = await restoreRetiredKey(fact, key);
    if (!restored.ok) continue;
    changed.push(restored.value.kid);
    fact.record({
      type: "key.retired",
      aggregate: restored.value.kid,
      body: { kid: restored.value.kid, purpose: key.purpose },
    });
  }
  const purposes = new Set(lost.map(({ purpose }) => purpose));
  for (const purpose of PURPOSES.filter((known) => purposes.has(known)))
    changed.push(...(await succeedPurpose(fact, purpose, { revokedKids, by })));
  await republishKeySet(fact, changed);
}

async function succeedPurpose(
  fact: Fact,
  purpose: SigningPurpose,
  { revokedKids, by }: Omit<LostKeys, "lost">,
): Promise<readonly string[]> {
  const replaced = (await readActiveKeys(fact.trx)).filter(
    (row) => row.purpose === purpose && !revokedKids.has(row.kid),
  );
  const newest = replaced.find((row) => row.retire_at === null);
  for (const row of replaced)
    await updateSigningKey(fact.trx, row.kid, { status: "retired", not_after: Math.min(fact.now, row.not_after) });
  if (newest === undefined) return replaced.map((row) => row.kid);
  const { alg } = newest;
  const next = await createKey(fact.ctx.sealer, fact.trx, { purpose, alg, now: fact.now, signsFrom: 0 });
  const replaces = replaced.map((row) => row.kid);
  fact.record({
    type: "key.rotated",
    aggregate: next.kid,
    body: { ...keyBody(next), alg, signs_from: fact.now, replaces, retire_at: fact.now, by },
  });
  return [...replaces, next.kid];
}
