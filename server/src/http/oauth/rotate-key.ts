import { type PrivateJwk, type Result, accept, generatePrivateJwk, thumbprint } from "@licet/protocol";
import type { Context } from "../../context.ts";
import { nowSeconds } from "../../context.ts";
import type { Db, Trx } from "../../db/open-database.ts";
import { type Fact, writeFact } from "../../events/write-fact.ts";
import { deleteOauthKeys, insertOauthKey, lockOauthKeys, readOauthKeys, retireOauthKeys } from "./store.ts";

/** Keys stay known for twice as long as the access tokens they signed live. */
const OVERLAP_SECONDS = 600;
const SIGNING_ALG = "EdDSA";
/** What the other servers are told, so that they read the keys again. */
export const OAUTH_NOTICE = "oauth";

export interface RotatedOauthKey {
  readonly purpose: "oauth";
  readonly kid: string;
  /** Seconds since the epoch. */
  readonly signsFrom: number;
  readonly replaces: readonly string[];
  readonly retiresAt: number;
}

/** A new key for access tokens, which signs at once: nobody but our own servers verifies them. */
export async function rotateOauthKey(ctx: Context, by: string): Promise<Result<RotatedOauthKey>> {
  return writeFact(ctx, async (fact) => {
    await lockOauthKeys(fact.trx);
    return accept(await rotateInFact(fact, by));
  });
}

async function rotateInFact({ ctx, trx, now, record }: Fact, by: string): Promise<RotatedOauthKey> {
  const retiresAt = now + OVERLAP_SECONDS;
  await deleteOauthKeys(trx, { retiredBefore: now });
  const before = (await readOauthKeys(trx)).filter((row) => row.retire_at === null).map((row) => row.kid);
  await retireOauthKeys(trx, before, retiresAt);
  const kid = await createOauthKey(ctx, trx, now);
  record({ type: "oauth-key.rotated", aggregate: kid, body: { kid, replaces: before, retire_at: retiresAt, by } });
  await ctx.notices.announce(trx, "signing-keys", [OAUTH_NOTICE]);
  return { purpose: "oauth", kid, signsFrom: now, replaces: before, retiresAt };
}

/** A new key once the one that signs is as old as `LICET_KEY_ROTATION_DAYS` says. It has no end of its own. */
export async function rotateDueOauthKey(ctx: Context, by: string): Promise<void> {
  const { keyRotationSeconds } = ctx.config;
  if (keyRotationSeconds === undefined) return;
  const isDue = async (db: Db | Trx) => {
    const [newest] = await readOauthKeys(db);
    return newest !== undefined && newest.created_at + keyRotationSeconds <= nowSeconds(ctx);
  };
  if (!(await isDue(ctx.db))) return;
  await writeFact(ctx, async (fact) => {
    await lockOauthKeys(fact.trx);
    // Another server may have been faster.
    if (await isDue(fact.trx)) await rotateInFact(fact, by);
    return accept(undefined);
  });
}

/** Forgets keys whose time is over, here and on the other servers: what they signed is not taken any more. */
export async function forgetRetiredOauthKeys(ctx: Context): Promise<void> {
  await ctx.db.transaction().execute(async (trx) => {
    const forgotten = await deleteOauthKeys(trx, { retiredBefore: nowSeconds(ctx) });
    if (forgotten > 0) await ctx.notices.announce(trx, "signing-keys", [OAUTH_NOTICE]);
  });
}

/** Makes a key of the OAuth server; sealed, as all private keys are. */
async function createOauthKey(ctx: Pick<Context, "sealer">, trx: Trx, now: number): Promise<string> {
  const jwk = await generatePrivateJwk(SIGNING_ALG);
  const kid = thumbprint(jwk);
  await insertOauthKey(trx, {
    kid,
    sealed_jwk: ctx.sealer.seal(`oauth_key/${kid}`, JSON.stringify(jwk)),
    created_at: now,
    retire_at: null,
  });
  return kid;
}

/** The OAuth server's own keys, the one that signs first; that one is made at first start, once, whoever starts. */
export async function loadOauthKeys(ctx: Context): Promise<readonly PrivateJwk[]> {
  const rows = await ctx.db.transaction().execute(async (trx) => {
    const known = await readOauthKeys(trx);
    if (known.length > 0) return known;
    await lockOauthKeys(trx);
    if ((await readOauthKeys(trx)).length === 0) await createOauthKey(ctx, trx, nowSeconds(ctx));
    return readOauthKeys(trx);
  });
  return rows.map((row) => JSON.parse(ctx.sealer.open(`oauth_key/${row.kid}`, row.sealed_jwk)));
}
