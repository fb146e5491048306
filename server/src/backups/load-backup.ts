import { ConfigError } from "../config.ts";
import type { Trx } from "../db/open-database.ts";
import { type BackupTable, readBackup } from "./backup-format.ts";
import { createPartition, insertRows, moveSequences, readTables, withoutInsertTriggers } from "./store.ts";

/** Rows inserted at once: as many as there are, up to one of these. */
const BATCH_ROWS = 250;
const BATCH_CHARACTERS = 4_194_304;

const PARTITION_NAME = /^[a-z][a-z0-9_]{0,62}$/;
/** Ranges of whole numbers: nothing else can be written where a bound stands. */
const PARTITION_BOUND = /^FOR VALUES FROM \('?\d{1,18}'?\) TO \('?\d{1,18}'?\)$/;

/** Loads every row of a backup into the empty tables of this transaction. Throws a ConfigError on a backup that does not fit. */
export async function loadBackup(
  trx: Trx,
  path: string,
  onRows: (table: string, count: number) => void,
): Promise<number> {
  return withoutInsertTriggers(trx, () => loadRows(trx, path, onRows));
}

async function loadRows(trx: Trx, path: string, onRows: (table: string, count: number) => void): Promise<number> {
  const known = new Map((await readTables(trx)).map((table) => [table.table, table]));
  let table: BackupTable | undefined;
  let batch: string[] = [];
  let characters = 0;
  let total = 0;
  const flush = async (): Promise<void> => {
    if (table === undefined || batch.length === 0) return;
    await insertRows(trx, table, batch);
    total += batch.length;
    onRows(table.table, batch.length);
    batch = [];
    characters = 0;
  };
  for await (const line of readBackup(path)) {
    if (line.kind === "row") {
      batch.push(line.text);
      characters += line.text.length;
      if (batch.length >= BATCH_ROWS || characters >= BATCH_CHARACTERS) await flush();
    } else {
      await flush();
      if (line.kind === "table") table = await openTable(trx, path, line.table, known);
    }
  }
  await moveSequences(trx);
  return total;
}

async function openTable(
  trx: Trx,
  path: string,
  table: BackupTable,
  known: ReadonlyMap<string, BackupTable>,
): Promise<BackupTable> {
  const columns = known.get(table.table)?.columns ?? [];
  if (columns.join() !== table.columns.join())
    throw new ConfigError(
      `${path}: expected ${table.table} with the columns ${columns.join(", ") || "of no table here"}, got ${table.columns.join(", ")}`,
    );
  for (const partition of table.partitions) {
    if (!PARTITION_NAME.test(partition.name) || !PARTITION_BOUND.test(partition.bound))
      throw new ConfigError(`${path}: expected a range of whole numbers for ${partition.name}, got ${partition.bound}`);
    await createPartition(trx, table.table, partition);
  }
  return table;
}
