import { sql } from "kysely";
import type { Db, Trx } from "./open-database.ts";
import type { Sealer } from "./sealing.ts";

interface SealedColumn {
  readonly table: string;
  readonly column: string;
  /** What names a row, in the order in which the rows are gone through. */
  readonly keys: readonly string[];
  /** What is sealed, as its owner says when opening it. */
  readonly labelOf: (keys: readonly string[]) => string;
}

/** Every column that holds something sealed. A test compares it with the tables. */
export const SEALED_COLUMNS: readonly SealedColumn[] = [
  { table: "signing_key", column: "sealed_jwk", keys: ["kid"], labelOf: ([kid]) => `signing_key/${kid}` },
  { table: "oauth_key", column: "sealed_jwk", keys: ["kid"], labelOf: ([kid]) => `oauth_key/${kid}` },
  { table: "oauth_client", column: "sealed_secret", keys: ["client_id"], labelOf: ([id]) => `oauth_client/${id}` },
  { table: "oauth_client", column: "old_sealed_secret", keys: ["client_id"], labelOf: ([id]) => `oauth_client/${id}` },
  {
    table: "marketplace",
    column: "sealed_platform_token",
    keys: ["marketplace_id"],
    labelOf: ([id]) => `marketplace/${id}/platform_token`,
  },
  {
    table: "webhook_endpoint",
    column: "sealed_secret",
    keys: ["endpoint_id"],
    labelOf: ([id]) => `webhook_endpoint/${id}`,
  },
  {
    table: "webhook_old_secret",
    column: "sealed_secret",
    keys: ["endpoint_id", "replaced_at_ms"],
    labelOf: ([id]) => `webhook_endpoint/${id}`,
  },
  { table: "upstream", column: "sealed_secret", keys: ["upstream_id"], labelOf: ([id]) => `upstream/${id}` },
  { table: "upstream", column: "old_sealed_secret", keys: ["upstream_id"], labelOf: ([id]) => `upstream/${id}` },
  {
    table: "payout_details",
    column: "sealed_details",
    keys: ["creator_id", "currency"],
    labelOf: ([id, currency]) => `payout_details/${id}/${currency}`,
  },
  { table: "payout", column: "sealed_destination", keys: ["payout_id"], labelOf: ([id]) => `payout/${id}` },
  {
    table: "idempotency_key",
    column: "sealed_answer",
    keys: ["caller", "route", "key"],
    labelOf: ([caller, route, key]) => `idempotency_key/${caller}/${route}/${key}`,
  },
];

/** Rows in memory at once. */
const BATCH = 500;

export interface Resealing {
  readonly from: Sealer;
  readonly to: Sealer;
  /** Called now and then with the number of values that were sealed anew so far. */
  readonly onProgress?: (sealed: number) => void;
}

/** Opens every sealed value and seals it anew, in one transaction. Answers how many there were. */
export async function resealAll(trx: Trx, { from, to, onProgress = () => undefined }: Resealing): Promise<number> {
  let sealed = 0;
  for (const column of SEALED_COLUMNS) {
    // Nobody adds a value under the old key behind our back.
    await sql`lock table ${sql.table(column.table)} in exclusive mode`.execute(trx);
    for (let rows = await readBatch(trx, column, []); rows.length > 0;) {
      for (const row of rows) {
        const label = column.labelOf(row.keys);
        await sql`update ${sql.table(column.table)} set ${sql.ref(column.column)} = ${to.seal(label, from.open(label, row.sealed))}
          where ${sql.ref(column.column)} = ${row.sealed}`.execute(trx);
      }
      sealed += rows.length;
      onProgress(sealed);
      rows = await readBatch(trx, column, rows.at(-1)?.keys ?? []);
    }
  }
  return sealed;
}

interface SealedRow {
  readonly keys: readonly string[];
  readonly sealed: Uint8Array;
}

async function readBatch(
  db: Db | Trx,
  { table, column, keys }: SealedColumn,
  after: readonly string[],
): Promise<readonly SealedRow[]> {
  const names = sql.join(keys.map((key) => sql`${sql.ref(key)}::text`));
  const later = after.length === 0 ? sql`true` : sql`row(${names}) > row(${sql.join(after)})`;
  const { rows } = await sql<SealedRow>`select array[${names}] as keys, ${sql.ref(column)} as sealed
    from ${sql.table(table)} where ${sql.ref(column)} is not null and ${later} order by ${names} limit ${BATCH}`.execute(
    db,
  );
  return rows;
}
