import { startServer } from "@licet/server";
import { generateKeyPairSync, sign } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { enrolCreator, giveConsent, publishDataset, registerWork } from "../../test/fixtures/actors.ts";
import { createCaller } from "../../test/fixtures/caller.ts";
import { configFor } from "../../test/fixtures/databases.ts";
import { createTestClock } from "../../test/fixtures/test-clock.ts";
import { copyDataset } from "../copy-dataset.ts";
import { createDatabase } from "../platform.ts";
import { type BenchSettings, type Row, digits, median, ratioOf } from "../row.ts";

const DATASETS = 5_000;
/** Each dataset has its status and its manifest. */
const DOCUMENTS_PER_DATASET = 2;
/** Others, such as content statuses, are good for longer than the half-life of these. */
const MEASURED = ["dataset-status", "current-manifest"];
const ROUNDS = 3;
const HALF_LIFE_SECONDS = 151;
const BUDGET_MS = 2_000;
const POLL_MS = 100;
const PATIENCE_MS = 120_000;
const TYPICAL_BYTES = 1_500;

/** The processor's time for signing all status documents again. The server runs in this process, so that a clock can be moved. */
export async function measureSignAgain(settings: BenchSettings): Promise<readonly Row[]> {
  const rows = [await measureOn({ ...settings, postgresUrl: undefined })];
  return settings.postgresUrl === undefined ? rows : [...rows, await measureOn(settings)];
}

async function measureOn({ isQuick, postgresUrl, note }: BenchSettings): Promise<Row> {
  const folder = await mkdtemp(join(tmpdir(), "licet-bench-"));
  const database = postgresUrl === undefined ? undefined : await createDatabase(postgresUrl);
  const clock = createTestClock();
  const copiesFolder = join(folder, "copies");
  const config = configFor({ dataFolder: folder, databaseUrl: database?.url }, { copiesFolder });
  const server = await startServer({ config, clock });
  try {
    const { origin } = server;
    const operator = createCaller(origin, server.bootstrapToken);
    const platform = { origin, operator, clock, as: (token: string) => createCaller(origin, token) };
    const datasets = isQuick ? 50 : DATASETS;
    note(`  filling ${postgresUrl === undefined ? "PGlite" : "PostgreSQL"} with ${datasets} datasets`);
    const creator = await enrolCreator(platform);
    await giveConsent(creator);
    const work = await registerWork(platform, creator.creatorId);
    const { dataset_id } = await publishDataset(platform, [work]);
    const { db } = server.ctx;
    await copyDataset(db, dataset_id, datasets - 1);
    const countOld = async (before: number): Promise<number> =>
      (
        await db
          .selectFrom("document")
          .select("path")
          .where("kind", "in", MEASURED)
          .where("checked_at", "<", before)
          .execute()
      ).length;
    const samples = { ours: [] as number[], baseline: [] as number[] };
    for (let round = 0; round < (isQuick ? 1 : ROUNDS); round += 1) {
      const startedAt = process.cpuUsage();
      clock.advance(HALF_LIFE_SECONDS);
      const now = Math.floor(clock.nowMs() / 1_000);
      const untilMs = performance.now() + PATIENCE_MS;
      for (let old = await countOld(now); old > 0; old = await countOld(now)) {
        if (performance.now() > untilMs) throw new Error(`expected all to be signed again, ${old} were not`);
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
      samples.ours.push(millisecondsSince(startedAt));
      const baselineAt = process.cpuUsage();
      signBare(datasets * DOCUMENTS_PER_DATASET);
      samples.baseline.push(millisecondsSince(baselineAt));
    }
    const ours = median(samples.ours);
    return {
      what: `signing ${digits(datasets * DOCUMENTS_PER_DATASET)} status documents again, ${postgresUrl === undefined ? "PGlite" : "PostgreSQL"}`,
      budget: `< ${BUDGET_MS / 1_000} s of CPU`,
      ours: `${digits(ours / 1_000)} s`,
      baseline: `${digits(median(samples.baseline) / 1_000)} s`,
      ratio: ratioOf(samples).text,
      holds: ours < BUDGET_MS,
      how: `the sweep of a server that keeps copies in a folder, ${ROUNDS} rounds, median of the process's user and system time, which holds the writing of the copies and, on PGlite, the database; on PostgreSQL the database's own time is not in it. The baseline is as many bare Ed25519 signatures over ${TYPICAL_BYTES} bytes.`,
    };
  } finally {
    await server.stop();
    await database?.drop();
    await rm(folder, { recursive: true, force: true });
  }
}

function millisecondsSince(startedAt: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(startedAt);
  return (user + system) / 1_000;
}

function signBare(count: number): void {
  const { privateKey } = generateKeyPairSync("ed25519");
  const bytes = Buffer.alloc(TYPICAL_BYTES, "x");
  for (let index = 0; index < count; index += 1) sign(null, bytes, privateKey);
}
