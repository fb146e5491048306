import { canonicalize } from "@licet/protocol";
import { createHash } from "node:crypto";
import { once } from "node:events";
import type { Writable } from "node:stream";
import { sql } from "kysely";
import { ulid } from "ulid";
import { type Context, nowSeconds } from "../context.ts";
import type { Trx } from "../db/open-database.ts";
import { BACKUP_VERSION, type BackupEnd, type BackupHeader, ROW_END, ROW_START, backupLabel } from "./backup-format.ts";
import { readMigrations, readRows, readTables } from "./store.ts";

/** Whoever reads slower than this lets the snapshot go: it holds back what the database could clean up. */
const MAX_STALL_MS = 60_000;

/**
 * Writes all tables as they are at one instant, in constant memory: one read-only transaction, page
 * by page. Secrets stay sealed; the master key is not in it. The job queue is not in it either,
 * because jobs only wake workers.
 */
export async function writeBackup(
  ctx: Context,
  out: Writable,
  { engine, signal }: { readonly engine: string; readonly signal: AbortSignal },
): Promise<void> {
  await ctx.db
    .transaction()
    .setIsolationLevel("repeatable read")
    .execute(async (trx) => {
      await sql`set transaction read only`.execute(trx);
      await sql`set local statement_timeout = 0`.execute(trx);
      await sql`set local idle_in_transaction_session_timeout = 0`.execute(trx);
      await writeTables(ctx, trx, { out, engine, signal });
    });
}

interface Target {
  readonly out: Writable;
  readonly engine: string;
  /** Ends a backup that takes too long. */
  readonly signal: AbortSignal;
}

async function writeTables(ctx: Context, trx: Trx, { out, engine, signal }: Target): Promise<void> {
  const hash = createHash("sha256");
  const write = async (text: string): Promise<void> => {
    hash.update(text);
    await send(out, text);
  };
  const header: BackupHeader = {
    licet_backup: BACKUP_VERSION,
    backup_id: `bak_${ulid(ctx.clock.nowMs())}`,
    origin: ctx.origin,
    mode: ctx.config.mode,
    engine,
    taken_at: nowSeconds(ctx),
    migrations: (await readMigrations(trx)).map(({ name, sha256 }) => ({ name, sha256 })),
  };
  await write(`${JSON.stringify(header)}\n`);
  const rows: Record<string, number> = {};
  for (const table of await readTables(trx)) {
    rows[table.table] = 0;
    await write(`${JSON.stringify(table)}\n`);
    for await (const page of readRows(trx, table)) {
      signal.throwIfAborted();
      rows[table.table] = (rows[table.table] ?? 0) + page.length;
      await write(page.map((row) => `${ROW_START}${row}${ROW_END}\n`).join(""));
    }
  }
  const sha256 = hash.digest("hex");
  const seal = Buffer.from(ctx.sealer.seal(backupLabel(header.backup_id), sha256)).toString("base64url");
  const end: BackupEnd = { rows, sha256, seal };
  await send(out, `${canonicalize({ rows: end.rows, sha256, seal })}\n`);
  out.end();
}

async function send(out: Writable, text: string): Promise<void> {
  if (out.destroyed) throw new Error("the reader of the backup is gone");
  if (out.write(text)) return;
  await once(out, "drain", { signal: AbortSignal.timeout(MAX_STALL_MS) });
}
