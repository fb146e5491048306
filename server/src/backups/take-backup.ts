import { type Result, accept, refuse } from "@licet/protocol";
import { randomBytes } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { PassThrough, type Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import type { Context } from "../context.ts";
import { writeBackup } from "./write-backup.ts";

/**
 * The embedded database has one connection, so nothing else is written while it is read: for this
 * long at most. Public documents are answered from memory meanwhile.
 */
const MAX_HOLD_MS = 30_000;
/** A backup of PostgreSQL that is not done by then never will be. */
const MAX_BACKUP_MS = 24 * 3_600_000;
const UNFINISHED = /^backup-[0-9a-f]{16}\.tmp$/;

/** One at a time: two would only slow each other down. */
const busy = new WeakSet<Context>();

/** A backup of everything, as a stream of gzip. Refuses `conflict` while another one is taken, and `unavailable`. */
export async function takeBackup(ctx: Context): Promise<Result<Readable>> {
  if (busy.has(ctx)) return refuse("conflict", "another backup is being taken; wait for its end");
  busy.add(ctx);
  try {
    const backup = ctx.config.databaseUrl === undefined ? await spoolBackup(ctx) : accept(streamBackup(ctx));
    if (!backup.ok) busy.delete(ctx);
    else backup.value.once("close", () => busy.delete(ctx));
    return backup;
  } catch (error) {
    busy.delete(ctx);
    throw error;
  }
}

/** PostgreSQL serves others meanwhile, so the reader may take its time. */
function streamBackup(ctx: Context): Readable {
  const gzip = createGzip();
  const out = new PassThrough();
  const sending = pipeline(gzip, out);
  const signal = AbortSignal.timeout(MAX_BACKUP_MS);
  const writing = writeBackup(ctx, gzip, { engine: "postgres", signal });
  Promise.all([writing, sending]).catch((error: unknown) => {
    ctx.log.error({ error: String(error) }, "a backup was given up");
    gzip.destroy();
    out.destroy(error instanceof Error ? error : new Error(String(error)));
  });
  return out;
}

/** Written to a file at the disk's pace first: however slow the reader is, the database is free again. */
async function spoolBackup(ctx: Context): Promise<Result<Readable>> {
  const { dataFolder } = ctx.config;
  await mkdir(dataFolder, { recursive: true, mode: 0o700 });
  for (const name of await readdir(dataFolder)) if (UNFINISHED.test(name)) await rm(join(dataFolder, name));
  const path = join(dataFolder, `backup-${randomBytes(8).toString("hex")}.tmp`);
  const gzip = createGzip();
  const signal = AbortSignal.timeout(MAX_HOLD_MS);
  const saving = pipeline(gzip, createWriteStream(path, { mode: 0o600, flags: "wx" }));
  try {
    await Promise.all([writeBackup(ctx, gzip, { engine: "pglite", signal }), saving]);
  } catch (error) {
    gzip.destroy();
    await saving.catch(() => undefined);
    await rm(path, { force: true });
    if (!signal.aborted) throw error;
    return refuse(
      "unavailable",
      `the embedded database is too large to be backed up while it serves (more than ${MAX_HOLD_MS / 1_000} s): move to PostgreSQL`,
    );
  }
  const backup = createReadStream(path);
  backup.once("close", () => {
    rm(path, { force: true }).catch((error: unknown) =>
      ctx.log.warn({ path, error: String(error) }, "a backup's file"),
    );
  });
  return accept(backup);
}
