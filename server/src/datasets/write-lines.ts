import type { Context } from "../context.ts";
import type { Trx } from "../db/open-database.ts";
import type { VersionPlan } from "./plan-version.ts";
import { deleteUnpublished } from "./store.ts";
import {
  type Build,
  LINE_BATCH,
  beginBuild,
  deleteBuild,
  deleteSomeLines,
  holdBuild,
  insertConsents,
  insertItems,
  keepCreatorWeights,
  readAbandonedBuilds,
} from "./version-store.ts";

/** Longer than a batch of lines, or the commit of a version, can take. */
const LEASE_MS = 30_000;
const WAIT_MS = 100;
/** How long a publication waits for another one of the same dataset. */
const MAX_WAITS = 600;
/** Builds looked after in one sweep. */
const MAX_ABANDONED = 20;

/** Takes the writing of a version's lines for one publication; undefined when another one does not come to an end. */
export async function takeBuild(ctx: Context, build: Build): Promise<Build | undefined> {
  for (let wait = 0; wait < MAX_WAITS; wait += 1) {
    const nowMs = ctx.clock.nowMs();
    if (await beginBuild(ctx.db, build, { nowMs, leaseUntilMs: nowMs + LEASE_MS })) return build;
    await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
  }
  return undefined;
}

/**
 * Writes the lines of a version before it is published, a few at a time, so that others have their
 * turn between. False when somebody else took the build over meanwhile.
 */
export async function writeLines(ctx: Context, build: Build, { items, consents }: VersionPlan): Promise<boolean> {
  if (!(await deleteLines(ctx, build))) return false;
  for (let at = 0; at < Math.max(items.length, consents.length); at += LINE_BATCH) {
    const isHeld = await inBuild(ctx, build, async (trx) => {
      await insertItems(trx, build, items.slice(at, at + LINE_BATCH));
      await insertConsents(trx, build, consents.slice(at, at + LINE_BATCH));
      return true;
    });
    if (isHeld !== true) return false;
  }
  const isKept = await inBuild(ctx, build, async (trx) => {
    await keepCreatorWeights(trx, build);
    return true;
  });
  return isKept === true;
}

/** Holds the build of a publication to the commit; false when it is no longer its own. */
export async function keepBuild(ctx: Context, trx: Trx, build: Build): Promise<boolean> {
  return holdBuild(trx, build, ctx.clock.nowMs() + LEASE_MS);
}

/** Deletes what was written of a version that is not to be published after all; and the dataset, if it was made for nothing else. */
export async function dropBuild(ctx: Context, build: Build): Promise<void> {
  if (!(await deleteLines(ctx, build))) return;
  await deleteBuild(ctx.db, build);
  await ctx.db.transaction().execute((trx) => deleteUnpublished(trx, build.dataset_id));
}

/** Deletes what servers that are gone had written of versions they never published. */
export async function dropAbandonedBuilds(ctx: Context): Promise<void> {
  const nowMs = ctx.clock.nowMs();
  for (const build of await readAbandonedBuilds(ctx.db, nowMs, MAX_ABANDONED)) {
    if (await beginBuild(ctx.db, build, { nowMs, leaseUntilMs: nowMs + LEASE_MS })) await dropBuild(ctx, build);
  }
}

/** What an earlier build of the same version left behind. */
async function deleteLines(ctx: Context, build: Build): Promise<boolean> {
  for (;;) {
    const areLeft = await inBuild(ctx, build, (trx) => deleteSomeLines(trx, build));
    if (areLeft !== true) return areLeft === false;
  }
}

/** Undefined when the build is no longer ours: then nothing is done. */
async function inBuild(ctx: Context, build: Build, work: (trx: Trx) => Promise<boolean>): Promise<boolean | undefined> {
  return ctx.db.transaction().execute(async (trx) => ((await keepBuild(ctx, trx, build)) ? work(trx) : undefined));
}
