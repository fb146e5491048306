import autocannon from "autocannon";
import { enrolCreator, giveConsent, publishDataset, registerWork } from "../../test/fixtures/actors.ts";
import { fileOf, startChild } from "../../test/fixtures/child-process.ts";
import { startNginx } from "../nginx.ts";
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
    const nginx = await startNginx(path, text);
    try {
      const others = nginx === undefined ? [] : [nginx.origin];
      const origins = [platform.origin, bare.ready.origin, ...others];
      const samples = origins.map((): number[] => []);
      const rounds = isQuick ? 1 : ROUNDS;
      for (const origin of origins) await requestsPerSecond(origin + path);
      for (let round = 0; round < rounds; round += 1)
        for (const [index, origin] of origins.entries()) samples[index]?.push(await requestsPerSecond(origin + path));
      return [rowOf(samples, { rounds, bytes: text.length })];
    } finally {
      await nginx?.stop();
      await bare.stop();
    }
  } finally {
    await platform.stop();
  }
}

function rowOf(
  [ours = [], baseline = [], nginx]: readonly (readonly number[])[],
  { rounds, bytes }: { readonly rounds: number; readonly bytes: number },
): Row {
  const ratio = ratioOf({ ours, baseline });
  const beside =
    nginx === undefined
      ? "nginx was not there to be measured beside them."
      : "nginx serves the same bytes from a file with one worker process, `open_file_cache` and the same headers; its ratio is in the same way.";
  return {
    what: "dataset status from the Node server",
    budget: `≥ ${BUDGET} × a bare \`node:http\` server sending the same bytes`,
    ours: `${digits(median(ours))}/s`,
    baseline: `${digits(median(baseline))}/s; nginx ${nginx === undefined ? "not installed" : `${digits(median(nginx))}/s`}`,
    ratio: `${ratio.text}${nginx === undefined ? "" : `; to nginx ${ratioOf({ ours, baseline: nginx }).text}`}`,
    holds: ratio.median >= BUDGET,
    how: `autocannon, ${CONNECTIONS} connections, ${rounds} rounds of ${SECONDS_PER_ROUND} s by turns after one to warm up, medians, and the median of the rounds' ratios; each server in a process of its own, ${bytes} bytes. ${beside}`,
  };
}

async function requestsPerSecond(url: string): Promise<number> {
  const result = await autocannon({ url, connections: CONNECTIONS, duration: SECONDS_PER_ROUND });
  if (result.non2xx > 0 || result.errors > 0)
    throw new Error(`${url}: expected 200 only, got ${result.non2xx} others and ${result.errors} errors`);
  return result.requests.average;
}
