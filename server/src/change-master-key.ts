import { randomBytes } from "node:crypto";
import { pino } from "pino";
import { sql } from "kysely";
import { type Config, ConfigError } from "./config.ts";
import { migrate } from "./db/migrate.ts";
import { BOOT_LOCK_HOLDER, type Database, type Db, type Trx, openDatabase } from "./db/open-database.ts";
import { resealAll } from "./db/sealed-columns.ts";
import { type Sealer, sealerOf } from "./db/sealing.ts";
import {
  masterKeyPath,
  promoteNextKey,
  readKeyFile,
  readMasterKey,
  settleMasterKey,
  writeKeyFile,
  writeNextKey,
} from "./db/master-key.ts";
import { hasSigningKeys } from "./keys/load-signing-keys.ts";
import { opensKeys } from "./keys/open-keys.ts";

const KEY_BYTES = 32;

/** What changing the master key did, without the key. */
export interface MasterKeyChange {
  /** Values that were opened with the old key and sealed with the new one. */
  readonly sealed: number;
  /** The file that holds the new key; null when it came from the environment. */
  readonly key_file: string | null;
  /** True when the server finds the new key by itself; otherwise LICET_MASTER_KEY is to be changed before the next start. */
  readonly in_place: boolean;
}

/**
 * Seals everything anew under another master key, while no server runs. One transaction: after a
 * crash everything is under the old key or everything under the new one, and the next start finds
 * out which. Throws a {@link ConfigError} on what cannot be meant.
 */
export async function changeMasterKey(
  config: Config,
  onProgress: (sealed: number) => void = () => undefined,
): Promise<MasterKeyChange> {
  const log = pino({ level: config.logLevel, base: null }, pino.destination({ dest: 2, sync: true }));
  const database = await openDatabase(config, log);
  try {
    await migrate(database);
    // A server that starts meanwhile would take the key that is to come for one that a crash left.
    return await database.alone(() => changeInDatabase(database, config, onProgress));
  } finally {
    await database.close();
  }
}

async function changeInDatabase(
  { db, engine }: Database,
  config: Config,
  onProgress: (sealed: number) => void,
): Promise<MasterKeyChange> {
  if (!(await hasSigningKeys(db)))
    throw new ConfigError("expected a database that a server was started on, found nothing sealed in this one");
  await settleMasterKey(config, (key) => opensKeys(db, sealerOf(key)));
  const from = sealerOf(readMasterKey(config, { isFirstStart: false }));
  const next = nextKey(config);
  const sealed = await reseal(db, { from, to: sealerOf(next.key), isShared: engine === "postgres", onProgress });
  if (next.inPlace) promoteNextKey(config);
  return { sealed, key_file: next.path, in_place: next.inPlace };
}

interface NextKey {
  readonly key: Uint8Array;
  readonly path: string | null;
  readonly inPlace: boolean;
}

/** The new key: given, or made. It is on disk before anything is sealed with it. */
function nextKey(config: Config): NextKey {
  const given = config.newMasterKey;
  if (config.masterKey === undefined) {
    const file = config.newMasterKeyPath;
    const key = given ?? (file === undefined ? new Uint8Array(randomBytes(KEY_BYTES)) : readKeyFile(file));
    writeNextKey(config, key);
    return { key, path: masterKeyPath(config), inPlace: true };
  }
  if (given !== undefined) return { key: given, path: null, inPlace: false };
  const path = config.newMasterKeyPath;
  if (path === undefined)
    throw new ConfigError(
      "LICET_NEW_MASTER_KEY: expected the new key, or LICET_NEW_MASTER_KEY_FILE, since the old one comes from LICET_MASTER_KEY, got neither",
    );
  return { key: writeKeyFile(path), path, inPlace: false };
}

async function reseal(
  db: Db,
  parts: {
    readonly from: Sealer;
    readonly to: Sealer;
    readonly isShared: boolean;
    readonly onProgress: (sealed: number) => void;
  },
): Promise<number> {
  return db.transaction().execute(async (trx) => {
    if (parts.isShared) await refuseWhileServed(trx);
    const sealed = await resealAll(trx, parts);
    if (parts.isShared) await refuseWhileServed(trx);
    return sealed;
  });
}

/**
 * A server that runs holds the old key in memory and would go on sealing with it. Our own lock is a
 * connection that proves nothing; a server has others.
 */
async function refuseWhileServed(trx: Trx): Promise<void> {
  const { rows } = await sql<{ others: number }>`
    select count(*)::int as others from pg_stat_activity
    where datname = current_database() and application_name like 'licet%' and application_name <> ${BOOT_LOCK_HOLDER}
      and pid <> pg_backend_pid()`.execute(trx);
  const others = rows[0]?.others ?? 0;
  if (others > 0)
    throw new ConfigError(
      `DATABASE_URL: expected no server on this database while the master key is changed, found ${others} open connections; stop every server first`,
    );
}
