import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Creator,
  enrolCreator,
  expectStatus,
  giveConsent,
  publishDataset,
  registerWork,
} from "../../test/fixtures/actors.ts";
import { createCaller } from "../../test/fixtures/caller.ts";
import { fileOf, startChild } from "../../test/fixtures/child-process.ts";
import { copyDataset } from "../copy-dataset.ts";
import { inParallel } from "../in-parallel.ts";
import { type MeasuredPlatform, startMeasuredPlatform } from "../platform.ts";
import { type BenchSettings, type Row, byTurns, digits, median, quantile, ratioOf } from "../row.ts";

const DATASETS = 10_000;
const TOUCHED = 10;
const REVOCATIONS = 100;
const AT_ONCE = 4;
const BUDGET = { p50Ms: 25, p99Ms: 100 };
/** Status, manifest and status list of what is touched, and the revocation view. */
const DOCUMENTS = TOUCHED * 2 + 2;

/** Taking back one consent until 200, in a platform full of datasets. */
export async function measureRevoke(settings: BenchSettings): Promise<readonly Row[]> {
  const rows = [await measureOn({ ...settings, postgresUrl: undefined })];
  return settings.postgresUrl === undefined ? rows : [...rows, await measureOn(settings)];
}

async function measureOn(settings: BenchSettings): Promise<Row> {
  const platform = await startMeasuredPlatform(settings);
  const bare = await startBaseline(platform);
  try {
    const revocations = settings.isQuick ? 5 : REVOCATIONS;
    const datasets = settings.isQuick ? revocations * TOUCHED * 2 : DATASETS;
    const creator = await enrolCreator(platform);
    const jtis = await fill(platform, creator, { datasets, revocations, note: settings.note });
    const baseline = createCaller(bare.origin);
    const samples = await byTurns(
      revocations,
      async () => expectStatus(await creator.caller.post(`/api/v1/consents/${jtis.pop()}/revoke`, {}), 200),
      async () => expectStatus(await baseline.post("/", {}), 200),
    );
    const [p50, p99] = [median(samples.ours), quantile(samples.ours, 0.99)];
    return {
      what: `revoke, until 200, ${digits(datasets)} datasets, ${TOUCHED} touched, ${platform.engine}`,
      budget: `p50 < ${BUDGET.p50Ms} ms, p99 < ${BUDGET.p99Ms} ms`,
      ours: `p50 ${digits(p50)} ms, p99 ${digits(p99)} ms`,
      baseline: `p50 ${digits(median(samples.baseline))} ms, p99 ${digits(quantile(samples.baseline, 0.99))} ms`,
      ratio: ratioOf(samples).text,
      holds: p50 < BUDGET.p50Ms && p99 < BUDGET.p99Ms,
      how: `${revocations} revocations one after the other, each of one consent on which ${TOUCHED} datasets stand, over HTTP; the baseline is a bare \`node:http\` server that signs ${DOCUMENTS} documents and writes them, with three rows, in one transaction on the same engine. The datasets that are not touched are copies in the database of one that was published.`,
    };
  } finally {
    await bare.stop();
    await platform.stop();
  }
}

async function startBaseline(
  platform: MeasuredPlatform,
): Promise<{ readonly origin: string; readonly stop: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), "licet-baseline-"));
  const child = await startChild<{ readonly origin: string }>(fileOf("bench/baselines/one-transaction.ts"), {}, [
    String(DOCUMENTS),
    platform.databaseUrl ?? folder,
  ]);
  return {
    origin: child.ready.origin,
    stop: async () => {
      await child.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Datasets that are touched, each on its own consent, and enough others; answers the consents to take back. */
async function fill(
  platform: MeasuredPlatform,
  creator: Creator,
  {
    datasets,
    revocations,
    note,
  }: { readonly datasets: number; readonly revocations: number; readonly note: BenchSettings["note"] },
): Promise<string[]> {
  note(`  filling ${platform.engine} with ${datasets} datasets`);
  const jtis: string[] = [];
  const publish = (work: string) =>
    publishDataset(platform, [work], { name: `Collection ${randomBytes(6).toString("hex")}` });
  await inParallel(revocations, AT_ONCE, async () => {
    const work = await registerWork(platform, creator.creatorId);
    jtis.push((await giveConsent(creator, { subject: `content:${work}` })).jti);
    for (let count = 0; count < TOUCHED; count += 1) await publish(work);
  });
  const other = await enrolCreator(platform);
  await giveConsent(other);
  const { dataset_id } = await publish(await registerWork(platform, other.creatorId));
  await platform.whileStopped((db) => copyDataset(db, dataset_id, datasets - revocations * TOUCHED - 1));
  return jtis;
}
