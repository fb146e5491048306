import { formatInstant } from "@licet/protocol";
import { pino } from "pino";
import { checkBackup, backupLabel, type BackupEnd, type BackupHeader } from "./backups/backup-format.ts";
import { loadBackup } from "./backups/load-backup.ts";
import { type JournalFact, readJournals } from "./backups/read-journal.ts";
import { type RestoreReport, replayJournal } from "./backups/replay-journal.ts";
import { findFilled, readMigrations, readTables } from "./backups/store.ts";
import { type Config, ConfigError } from "./config.ts";
import type { Clock, Context } from "./context.ts";
import { migrate } from "./db/migrate.ts";
import type { Notices } from "./db/notifications.ts";
import { type Database, type Trx, openDatabase } from "./db/open-database.ts";
import { savepointDb } from "./db/savepoint-db.ts";
import { readMasterKey } from "./db/master-key.ts";
import { sealerOf } from "./db/sealing.ts";
import type { Journal } from "./events/journal.ts";
import type { Jobs } from "./jobs/jobs.ts";
import { createContext } from "./start-server.ts";
import { sql } from "kysely";

export interface RestoreRequest {
  readonly path: string;
  /** The folders of every server's journal; none only when nothing is to be replayed. */
  readonly journals: readonly string[];
  /** Do everything, say what came of it, and leave the database as it was. */
  readonly isDryRun: boolean;
  readonly clock?: Clock;
  readonly onProgress?: (progress: { readonly table: string; readonly rows: number }) => void;
}

/**
 * Restores a backup into an empty database and replays the journals on top of it, in one
 * transaction: it is all there, with everything that was refused since, or there is nothing.
 * Throws a ConfigError on a backup, a journal, a key or a database that does not fit.
 */
export async function restoreBackup(config: Config, request: RestoreRequest): Promise<RestoreReport> {
  const log = pino({ level: config.logLevel, base: null }, pino.destination({ dest: 2, sync: true }));
  const { header, end } = await checkBackup(request.path);
  const fitting = fitConfig(config, header, request.path);
  checkSeal(fitting, header, end);
  const facts =
    request.journals.length === 0
      ? []
      : await readJournals(request.journals, { origin: header.origin, takenAt: header.taken_at });
  const database = await openDatabase(fitting, log);
  try {
    return await database.alone(async () => {
      await migrate(database);
      await refuseUnfit(database, header, request.path);
      return restoreInto(database, { config: fitting, request, header, facts, log });
    });
  } finally {
    await database.close();
  }
}

/** Everything signed names the origin and says whether it is a test, so both are what they were. */
function fitConfig(config: Config, header: BackupHeader, path: string): Config {
  if (config.origin !== "" && config.origin !== header.origin)
    throw new ConfigError(`LICET_ORIGIN: expected ${header.origin}, which ${path} was taken of, got ${config.origin}`);
  if (config.mode !== header.mode)
    throw new ConfigError(`LICET_MODE: expected ${header.mode}, in which ${path} was taken, got ${config.mode}`);
  return { ...config, origin: header.origin };
}

/** Only who holds the master key writes a backup that is restored; and with another key its secrets could not be opened. */
function checkSeal(config: Config, header: BackupHeader, end: BackupEnd): void {
  const sealer = sealerOf(readMasterKey(config, { isFirstStart: false }));
  const sealed = sealer.open(backupLabel(header.backup_id), Buffer.from(end.seal, "base64url"));
  if (sealed !== end.sha256) throw new ConfigError("the backup was altered: its seal is that of another one");
}

async function refuseUnfit({ db }: Database, header: BackupHeader, path: string): Promise<void> {
  const filled = await findFilled(db, await readTables(db));
  if (filled !== undefined)
    throw new ConfigError(`expected an empty database to restore into, got one with rows in ${filled}`);
  const here = await readMigrations(db);
  const other =
    header.migrations.find(({ name, sha256 }, place) => here[place]?.name !== name || here[place].sha256 !== sha256)
      ?.name ?? here[header.migrations.length]?.name;
  if (other !== undefined)
    throw new ConfigError(
      `${path}: expected a backup by this version of Licet, got one that differs in migration ${other}; restore it with the version that took it, then upgrade`,
    );
}

interface Restoring {
  readonly config: Config;
  readonly request: RestoreRequest;
  readonly header: BackupHeader;
  readonly facts: readonly JournalFact[];
  readonly log: Context["log"];
}

/** Carries the report of a dry run out of the transaction, which is thereby rolled back. */
class DryRun extends Error {
  readonly report: RestoreReport;
  constructor(report: RestoreReport) {
    super("a dry run");
    this.report = report;
  }
}

async function restoreInto(database: Database, restoring: Restoring): Promise<RestoreReport> {
  try {
    return await database.db.transaction().execute(async (trx) => {
      const report = await restoreInTransaction(database, trx, restoring);
      if (restoring.request.isDryRun) throw new DryRun(report);
      return report;
    });
  } catch (error) {
    if (error instanceof DryRun) return error.report;
    throw error;
  }
}

async function restoreInTransaction(
  database: Database,
  trx: Trx,
  { config, request, header, facts, log }: Restoring,
): Promise<RestoreReport> {
  for (const limit of ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"])
    await sql`set local ${sql.raw(limit)} = 0`.execute(trx);
  let rows = 0;
  await loadBackup(trx, request.path, (table, count) => {
    rows += count;
    request.onProgress?.({ table, rows });
  });
  const clock = request.clock ?? { nowMs: () => Date.now() };
  const inside = { ...database, db: savepointDb(trx) };
  const made = await createContext({ config, clock, database: inside, jobs: NO_JOBS, notices: NO_NOTICES, log });
  const ctx: Context = { ...made, journal: LATER };
  const report = await replayJournal(ctx, { facts, header, hasJournal: request.journals.length > 0 });
  await made.outbound.close();
  return { ...report, rows, taken_at: formatInstant(header.taken_at), is_dry_run: request.isDryRun };
}

/** Jobs wake workers, and there are none; what is to be done is in the database. */
const NO_JOBS: Jobs = {
  send: async () => undefined,
  work: async () => undefined,
  every: () => undefined,
  stop: async () => undefined,
};

/** Nobody else is on this database. */
const NO_NOTICES: Notices = {
  announce: async () => undefined,
  on: () => undefined,
  isCurrent: () => true,
  stop: async () => undefined,
};

/** What is replayed goes into the journal of the server that starts next, once it is committed. */
const LATER: Journal = {
  append: async () => undefined,
  sweep: async () => undefined,
  failingSinceMs: () => undefined,
  close: async () => undefined,
};
