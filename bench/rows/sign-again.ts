import { startServer } from "@licet/server";
import { generateKeyPairSync, sign } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { signDueDocuments } from "../../server/src/documents/sign-due.ts";
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

/**
 * The processor's time for signing all status documents again, by itself and with a folder of copies
 * to write them to. The server runs in this process, so that a clock can be moved.
 */
export async function measureSignAgain(settings: BenchSettings): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const postgresUrl of new Set([undefined, settings.postgresUrl]))
    for (const withCopies of [false, true]) rows.push(await measureOn({ ...settings, postgresUrl }, withCopies));
  return rows;
}

async function measureOn({ isQuick, postgresUrl, note }: BenchSettings, withCopies: boolean): Promise<Row> {
  const folder = await mkdtemp(join(tmpdir(), "licet-bench-"));
  const database = postgresUrl === undefined ? undefined : await createDatabase(postgresUrl);
  const clock = createTestClock();
  const copiesFolder = join(folder, "copies");
  const place = { dataFolder: folder, databaseUrl: database?.url };
  const config = configFor(place, withCopies ? { copiesFolder } : {});
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
    // Whoever looks shares the processor's time that is measured, so it looks for one.
    const isAnyOld = async (before: number): Promise<boolean> =>
      (await db
        .selectFrom("document")
        .select("path")
        .where("kind", "in", MEASURED)
        .where("checked_at", "<", before)
        .limit(1)
        .executeTakeFirst()) !== undefined;
    const samples = { ours: [] as number[], baseline: [] as number[] };
    for (let round = 0; round < (isQuick ? 1 : ROUNDS); round += 1) {
      const startedAt = process.cpuUsage();
      clock.advance(HALF_LIFE_SECONDS);
      const now = Math.floor(clock.nowMs() / 1_000);
      const untilMs = performance.now() + PATIENCE_MS;
      while (await isAnyOld(now)) {
        if (performance.now() > untilMs) throw new Error("expected all to be signed again within two minutes");
        // A server that keeps copies signs ahead by itself.
        if (withCopies) await sleep(POLL_MS);
        else await signDueDocuments(server.ctx, AbortSignal.timeout(PATIENCE_MS));
      }
      samples.ours.push(millisecondsSince(startedAt));
      const baselineAt = process.cpuUsage();
      signBare(datasets * DOCUMENTS_PER_DATASET);
      samples.baseline.push(millisecondsSince(baselineAt));
    }
    const ours = median(samples.ours);
    return {
      what: `signing ${digits(datasets * DOCUMENTS_PER_DATASET)} status documents again${withCopies ? ", with copies in a folder" : ""}, ${postgresUrl === undefined ? "PGlite" : "PostgreSQL"}`,
      budget: withCopies ? "–" : `< ${BUDGET_MS / 1_000} s of CPU`,
      ours: `${digits(ours / 1_000)} s`,
      baseline: `${digits(median(samples.baseline) / 1_000)} s`,
      ratio: ratioOf(samples).text,
      holds: withCopies ? undefined : ours < BUDGET_MS,
      how: `${withCopies ? "the sweep of a server that keeps copies in a folder, and their writing as far as it has come by then" : "the sweep alone"}, ${ROUNDS} rounds, median of the process's user and system time, which on PGlite holds the database; on PostgreSQL the database's own time is not in it. The baseline is as many bare Ed25519 signatures over ${TYPICAL_BYTES} bytes.`,
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
