import { KEY_HANDOVER_SECONDS, type Result, accept } from "@licet/protocol";
import type { Config } from "../config.ts";
import type { Context } from "../context.ts";
import { nowSeconds } from "../context.ts";
import { writeFact } from "../events/write-fact.ts";
import { PURPOSES } from "./create-key.ts";
import { type RotatedKey, rotateInFact } from "./rotate-keys.ts";
import { type SigningKeyRow, lockSigningKeys, readActiveKeys } from "./store.ts";

/** The actor of what the schedule does. */
export const BY_SCHEDULE = "schedule";

/** Hands over the keys that are old enough, or near their end, each to one of the same algorithm. */
export async function rotateDueKeys(ctx: Context): Promise<void> {
  if (dueKeys(ctx.config, await readActiveKeys(ctx.db), nowSeconds(ctx)).length === 0) return;
  const rotated = await writeFact<readonly RotatedKey[]>(ctx, async (fact) => {
    await lockSigningKeys(fact.trx);
    const done: RotatedKey[] = [];
    // Another server may have been faster.
    for (const { purpose, alg } of dueKeys(ctx.config, await readActiveKeys(fact.trx), fact.now)) {
      const purposes = PURPOSES.filter((known) => known === purpose);
      const keys = await rotateInFact(fact, { purposes, alg, by: BY_SCHEDULE });
      if (!keys.ok) return keys;
      done.push(...keys.value);
    }
    return accept(done);
  });
  await ctx.signingKeys.reload();
  logRotation(ctx, rotated);
}

function logRotation({ log }: Context, rotated: Result<readonly RotatedKey[]>): void {
  if (!rotated.ok) return log.error({ refusal: rotated.refusal }, "keys that are due could not be handed over");
  for (const { purpose, next, replaced } of rotated.value)
    log.info({ purpose, kid: next.kid, replaces: replaced.map((row) => row.kid) }, "a key was handed over by itself");
}

/** The newest keys of their purposes that are due. */
function dueKeys(
  { keyRotationSeconds }: Pick<Config, "keyRotationSeconds">,
  active: readonly SigningKeyRow[],
  now: number,
): readonly SigningKeyRow[] {
  return active.filter(
    (row) =>
      row.retire_at === null &&
      (row.not_after - KEY_HANDOVER_SECONDS <= now ||
        (keyRotationSeconds !== undefined && row.not_before + keyRotationSeconds <= now)),
  );
}
