import autocannon from "autocannon";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expectStatus } from "../../test/fixtures/actors.ts";
import { makeAuthority, makeServerPair } from "../../test/fixtures/certificates.ts";
import { fileOf, startChild } from "../../test/fixtures/child-process.ts";
import { secureFetch } from "../../test/fixtures/secure-fetch.ts";
import { startMeasuredPlatform } from "../platform.ts";
import { type BenchSettings, type Row, digits, median, ratioOf } from "../row.ts";

const ROUNDS = 5;
const SECONDS_PER_ROUND = 3;
const CONNECTIONS = 10;
const BUDGET_PER_SECOND = 240;
const SCOPE = "datasets:read";

/** Access tokens by client credentials over TLS 1.3. */
export async function measureTokens(settings: BenchSettings): Promise<readonly Row[]> {
  const rows = [await measureOn({ ...settings, postgresUrl: undefined })];
  return settings.postgresUrl === undefined ? rows : [...rows, await measureOn(settings)];
}

async function measureOn(settings: BenchSettings): Promise<Row> {
  const folder = await mkdtemp(join(tmpdir(), "licet-bench-tls-"));
  const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  const authority = await makeAuthority();
  const pair = await makeServerPair(authority);
  await writeFile(cert, pair.cert);
  await writeFile(key, pair.key, { mode: 0o600 });
  const environment = { LICET_TLS_CERT: cert, LICET_TLS_KEY: key };
  const platform = await startMeasuredPlatform(settings, environment, secureFetch(authority));
  const bare = await startChild<{ readonly origin: string }>(fileOf("bench/baselines/bare-tokens.ts"), {}, [cert, key]);
  try {
    const client = { name: "bench", scopes: [SCOPE] };
    const { client_id, client_secret } = expectStatus(
      await platform.operator.post("/api/v1/clients", client),
      201,
    ).body;
    const authorization = `Basic ${Buffer.from(`${client_id}:${client_secret}`).toString("base64")}`;
    const rounds = settings.isQuick ? 1 : ROUNDS;
    const samples = { ours: [] as number[], baseline: [] as number[] };
    for (let round = 0; round < rounds; round += 1) {
      samples.ours.push(await tokensPerSecond(`${platform.origin}/oauth/token`, authorization, authority.cert));
      samples.baseline.push(await tokensPerSecond(bare.ready.origin, authorization, authority.cert));
    }
    const ours = median(samples.ours);
    return {
      what: `access tokens with TLS, ${platform.engine}`,
      budget: `≥ ${BUDGET_PER_SECOND}/s`,
      ours: `${digits(ours)}/s`,
      baseline: `${digits(median(samples.baseline))}/s`,
      ratio: ratioOf(samples).text,
      holds: ours >= BUDGET_PER_SECOND,
      how: `autocannon, ${CONNECTIONS} kept-alive connections, client_secret_basic, ${rounds} rounds of ${SECONDS_PER_ROUND} s by turns, medians; the baseline is a bare \`node:https\` server that signs a JWT for each request and checks nobody.`,
    };
  } finally {
    await bare.stop();
    await platform.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function tokensPerSecond(url: string, authorization: string, ca: string): Promise<number> {
  const result = await autocannon({
    url,
    method: "POST",
    connections: CONNECTIONS,
    duration: SECONDS_PER_ROUND,
    headers: { authorization, "content-type": "application/x-www-form-urlencoded" },
    body: `grant_type=client_credentials&scope=${encodeURIComponent(SCOPE)}`,
    tlsOptions: { ca },
  });
  if (result.non2xx > 0 || result.errors > 0)
    throw new Error(`${url}: expected 200 only, got ${result.non2xx} others and ${result.errors} errors`);
  return result.requests.average;
}
