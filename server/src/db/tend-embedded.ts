import type { EmbeddedPool } from "./embedded-pool.ts";

/**
 * Does what a server of PostgreSQL does beside its work, and PGlite does not: counts anew what has
 * changed, so that plans are made for what is there, and gives back the room of what was deleted. The
 * thresholds are autovacuum's own (PostgreSQL 18, chapter 24.1.6). One
 * statement for each table, so that whoever waits for the one connection comes in between.
 */
export async function tendEmbedded(
  pool: Pick<EmbeddedPool, "forJobs" | "runScript">,
  signal: AbortSignal,
): Promise<void> {
  const { rows } = await pool.forJobs.executeSql(DUE_TABLES);
  for (const { statement } of rows) {
    if (signal.aborted) return;
    await pool.runScript(statement);
  }
}

const DUE_TABLES = `
  select case when dead > 50 + 0.2 * live then 'vacuum (analyze) ' else 'analyze ' end || name as statement
    from (select format('%I.%I', stat.schemaname, stat.relname) as name,
                 stat.n_dead_tup as dead, stat.n_mod_since_analyze as changed, greatest(class.reltuples, 0) as live
            from pg_stat_user_tables stat
            join pg_class class on class.oid = stat.relid) tables
   where dead > 50 + 0.2 * live or changed > 50 + 0.1 * live
   order by name`;
