import { parseJsonObject, verifyKeySet } from "@licet/protocol";
import { type Edge, type EdgePorts, createEdge, readEdgeConfig } from "@licet/edge";
import autocannon from "autocannon";
import { compactVerify, decodeProtectedHeader, importJWK } from "jose";
import { randomUUID } from "node:crypto";
import { memoryDocuments } from "../../edge/src/memory.ts";
import { fileOf, startChild } from "../../test/fixtures/child-process.ts";
import { type BenchSettings, type Row, byTurns, digits, median, quantile, ratioOf } from "../row.ts";
import { type LicensedWork, type PropagationStage, SITE, openStage } from "./propagation-stage.ts";

const ROUNDS = 11;
const CONNECTIONS = 20;
const SECONDS_PER_ROUND = 2;
const WORKS = 10;
const DECISIONS = 2_000;
const MICROSECONDS = 1_000;
const PERSON = { "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0" };

interface Asking {
  readonly who: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** The edge on Node beside a bare proxy in front of the same site, and what a decision alone takes. */
export async function measureEdge(settings: BenchSettings): Promise<readonly Row[]> {
  const stage = await openStage(
    { ...settings, postgresUrl: undefined },
    { host: "Node", mishap: "none" },
    { works: WORKS, endpoints: 1, ttlSeconds: undefined },
  );
  try {
    const [work] = stage.works;
    if (work === undefined) throw new Error("expected works, got none");
    const askings: readonly Asking[] = [
      { who: "a person's request", headers: PERSON },
      { who: "a licensed request", headers: { authorization: work.authorization } },
    ];
    const rows: Row[] = [];
    for (const asking of askings) rows.push(await measureRequests(settings, stage, { work, asking }));
    for (const asking of askings) rows.push(await measureDecision(settings, stage, { work, asking }));
    return rows;
  } finally {
    await stage.stop();
  }
}

interface Asked {
  readonly work: LicensedWork;
  readonly asking: Asking;
}

async function measureRequests(
  { isQuick }: BenchSettings,
  stage: PropagationStage,
  { work, asking: { who, headers } }: Asked,
): Promise<Row> {
  const bare = await startChild<{ readonly origin: string }>(fileOf("bench/baselines/bare-proxy.ts"), {}, [stage.site]);
  try {
    const samples = { ours: [] as number[], baseline: [] as number[] };
    const rounds = isQuick ? 1 : ROUNDS;
    for (const origin of [stage.edge, bare.ready.origin]) await requestsPerSecond(origin + work.path, headers);
    for (let round = 0; round < rounds; round += 1) {
      samples.ours.push(await requestsPerSecond(stage.edge + work.path, headers));
      samples.baseline.push(await requestsPerSecond(bare.ready.origin + work.path, headers));
    }
    return {
      what: `${who} through the edge on Node`,
      budget: "–",
      ours: `${digits(median(samples.ours))}/s`,
      baseline: `${digits(median(samples.baseline))}/s`,
      ratio: ratioOf(samples).text,
      holds: undefined,
      how: `autocannon, ${CONNECTIONS} connections, ${rounds} rounds of ${SECONDS_PER_ROUND} s by turns after one to warm up; the baseline is a bare \`node:http\` proxy in front of the same site, which sends a small page.`,
    };
  } finally {
    await bare.stop();
  }
}

async function requestsPerSecond(url: string, headers: Readonly<Record<string, string>>): Promise<number> {
  const result = await autocannon({ url, headers, connections: CONNECTIONS, duration: SECONDS_PER_ROUND });
  if (result.non2xx > 0 || result.errors > 0)
    throw new Error(`${url}: expected 200 only, got ${result.non2xx} others and ${result.errors} errors`);
  return result.requests.average;
}

async function measureDecision(
  { isQuick }: BenchSettings,
  { platform }: PropagationStage,
  { work, asking: { who, headers } }: Asked,
): Promise<Row> {
  const edge = edgeOf(platform.origin);
  const request = { method: "GET", url: SITE + work.path, headers: new Headers(headers) };
  const ours = async (): Promise<void> => {
    const verdict = await edge.decide(request);
    if (verdict.kind !== "pass") throw new Error(`expected a pass, got ${verdict.response.status}`);
  };
  const bare = headers["authorization"] === undefined ? undefined : await signatureAlone(platform, work);
  const decisions = isQuick ? DECISIONS / 10 : DECISIONS;
  const nothing = async (): Promise<void> => undefined;
  await byTurns(decisions / 10, ours, bare ?? nothing);
  const samples = await byTurns(decisions, ours, bare ?? nothing);
  const micros = (times: readonly number[], share: number): string =>
    `${digits(quantile(times, share) * MICROSECONDS)} µs`;
  return {
    what: `deciding about ${who}`,
    budget: "–",
    ours: `${micros(samples.ours, 0.5)}, p99 ${micros(samples.ours, 0.99)}`,
    baseline: bare === undefined ? "–" : micros(samples.baseline, 0.5),
    ratio: bare === undefined ? "–" : ratioOf(samples).text,
    holds: undefined,
    how: `\`edge.decide\` in process, ${decisions} decisions one after the other, median, with every document held${bare === undefined ? "; who shows nothing costs a few looks at headers" : "; the baseline is bare `jose.compactVerify` of the same license"}.`,
  };
}

/** The edge alone, with the platform's documents in memory. */
function edgeOf(origin: string): Edge {
  const ports: EdgePorts = {
    nowMs: Date.now,
    randomId: randomUUID,
    fetch: (url, init) => fetch(url, init),
    fetchPublic: () => Promise.reject(new Error("expected no directory to be asked for")),
    documents: memoryDocuments(),
    directories: memoryDocuments(),
    memory: undefined,
    isFirstUse: async () => true,
    defer: (work) => void work.catch(() => undefined),
    log: () => undefined,
  };
  return createEdge(readEdgeConfig({ LICET_ORIGIN: origin }), ports);
}

async function signatureAlone(
  { origin, anonymous }: PropagationStage["platform"],
  { authorization }: LicensedWork,
): Promise<() => Promise<void>> {
  const token = authorization.slice("License ".length);
  const { kid } = decodeProtectedHeader(token);
  const document = parseJsonObject((await anonymous.get("/.well-known/keys.json")).text);
  const set = document.ok ? await verifyKeySet(document.value, origin, Math.floor(Date.now() / 1_000)) : document;
  if (!set.ok) throw new Error(set.refusal.detail);
  const found = set.value.keys.find((candidate) => candidate.kid === kid);
  if (found === undefined) throw new Error(`expected the key ${kid} in the key set`);
  const key = await importJWK({ ...found.jwk, alg: found.alg }, found.alg);
  return async () => void (await compactVerify(token, key));
}
