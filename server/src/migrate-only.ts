import { pino } from "pino";
import type { Config } from "./config.ts";
import { migrate } from "./db/migrate.ts";
import { openDatabase } from "./db/open-database.ts";
import { startJobs } from "./jobs/jobs.ts";

/** Brings a database up to date, job queues included, without serving from it. */
export async function migrateOnly(config: Config): Promise<void> {
  const log = pino({ level: config.logLevel });
  const database = await openDatabase(config, log);
  try {
    await migrate(database);
    const jobs = await startJobs(database, log);
    await jobs.stop();
  } finally {
    await database.close();
  }
}
