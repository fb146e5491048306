import autocannon from "autocannon";
import { enrolCreator, giveConsent, publishDataset, registerWork } from "../../test/fixtures/actors.ts";
import { fileOf, startChild } from "../../test/fixtures/child-process.ts";
import { startMeasuredPlatform } from "../platform.ts";
import { type BenchSettings, type Row, digits, median, ratioOf } from "../row.ts";

const ROUNDS = 11;
const CONNECTIONS = 20;
const SECONDS_PER_ROUND = 2;
const BUDGET = 0.85;

/** Reading a dataset's status from the server against a bare node:http server that sends the same bytes. */
export async function measureServeStatus({ isQuick }: BenchSettings): Promise<readonly Row[]> {
  const platform = await startMeasuredPlatform({ postgresUrl: undefined });
  try {
    const creator = await enrolCreator(platform);
    const work = await registerWork(platform, creator.creatorId);
    await giveConsent(creator);
    const { dataset_id } = await publishDataset(platform, [work]);
    const path = `/.well-known/dataset-status/${dataset_id}`;
    const { text } = await platform.anonymous.get(path);
    const bare = await startChild<{ readonly origin: string }>(fileOf("bench/baselines/same-bytes.ts"), {}, [
      Buffer.from(text).toString("base64"),
    ]);
    const samples = { ours: [] as number[], baseline: [] as number[] };
    const rounds = isQuick ? 1 : ROUNDS;
    for (const origin of [platform.origin, bare.ready.origin]) await requestsPerSecond(origin + path);
    for (let round = 0; round < rounds; round += 1) {
      samples.ours.push(await requestsPerSecond(platform.origin + path));
      samples.baseline.push(await requestsPerSecond(bare.ready.origin + path));
    }
    await bare.stop();
    const ratio = ratioOf(samples);
    return [
      {
        what: "dataset status from the Node server",
        budget: `≥ ${BUDGET} × a bare \`node:http\` server sending the same bytes`,
        ours: `${digits(median(samples.ours))}/s`,
        baseline: `${digits(median(samples.baseline))}/s`,
        ratio: ratio.text,
        holds: ratio.median >= BUDGET,
        how: `autocannon, ${CONNECTIONS} connections, ${rounds} rounds of ${SECONDS_PER_ROUND} s by turns after one to warm up, medians, and the median of the rounds' ratios; each server in a process of its own, ${text.length} bytes.`,
      },
    ];
  } finally {
    await platform.stop();
  }
}

async function requestsPerSecond(url: string): Promise<number> {
  const result = await autocannon({ url, connections: CONNECTIONS, duration: SECONDS_PER_ROUND });
  if (result.non2xx > 0 || result.errors > 0)
    throw new Error(`${url}: expected 200 only, got ${result.non2xx} others and ${result.errors} errors`);
  return result.requests.average;
}
