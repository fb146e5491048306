import type { JsonObject } from "@licet/protocol";
import { createHash, generateKeyPairSync, randomBytes, sign, verify } from "node:crypto";
import pg from "pg";
import {
  type RegisteredMarketplace,
  enrolCreator,
  expectStatus,
  giveConsent,
  offerDataset,
  publishDataset,
  registerMarketplace,
  registerWork,
} from "../../test/fixtures/actors.ts";
import {
  type LicensedDataset,
  licenseFor,
  linesOf,
  postBatch,
  receiptContent,
  signAnyReceipt,
} from "../../test/fixtures/receipts.ts";
import { inParallel } from "../in-parallel.ts";
import { type MeasuredPlatform, createDatabase, startMeasuredPlatform } from "../platform.ts";
import { type BenchSettings, type Row, digits, median, millisecondsOf } from "../row.ts";

const AT_ONCE = 16;
const BUDGET_PER_SECOND = 2_000;

/** How receipts are handed in: so many in one request, so many requests in a round. */
interface Way {
  readonly size: number;
  readonly requests: number;
  readonly rounds: number;
}

const WAYS: readonly Way[] = [
  { size: 1, requests: 500, rounds: 5 },
  { size: 100, requests: 20, rounds: 5 },
  { size: 10_000, requests: 1, rounds: 3 },
];
const QUICK_WAYS: readonly Way[] = [
  { size: 1, requests: 10, rounds: 1 },
  { size: 20, requests: 2, rounds: 1 },
];

/** Receipts verified, countersigned, stored and charged, one by one and in batches. */
export async function measureReceipts(settings: BenchSettings): Promise<readonly Row[]> {
  const rows = await measureOn({ ...settings, postgresUrl: undefined });
  return settings.postgresUrl === undefined ? rows : [...rows, ...(await measureOn(settings))];
}

interface Reporting {
  readonly platform: MeasuredPlatform;
  readonly marketplace: RegisteredMarketplace;
  readonly dataset: LicensedDataset;
}

async function measureOn(settings: BenchSettings): Promise<readonly Row[]> {
  const platform = await startMeasuredPlatform(settings);
  try {
    const creator = await enrolCreator(platform);
    const work = await registerWork(platform, creator.creatorId);
    await giveConsent(creator);
    const published = await publishDataset(platform, [work]);
    const marketplace = await registerMarketplace(platform);
    await offerDataset(platform, published.dataset_id, marketplace);
    const reporting = { platform, marketplace, dataset: await licenseFor(platform, marketplace, published) };
    const rows: Row[] = [];
    let perSecond = 0;
    for (const way of settings.isQuick ? QUICK_WAYS : WAYS) {
      settings.note(`receipts in batches of ${way.size}, ${platform.engine}`);
      const measured = await measureWay(reporting, way);
      perSecond = measured.perSecond;
      rows.push(measured.row);
    }
    if (settings.postgresUrl !== undefined)
      rows.push(await measureTransfers(settings, settings.postgresUrl, perSecond));
    return rows;
  } finally {
    await platform.stop();
  }
}

async function measureWay(reporting: Reporting, way: Way): Promise<{ readonly row: Row; readonly perSecond: number }> {
  const { size, requests, rounds } = way;
  const count = size * requests;
  const samples = { ours: [] as number[], baseline: [] as number[] };
  for (let round = 0; round < rounds; round += 1) {
    const receipts = await makeReceipts(reporting, count);
    samples.ours.push(await millisecondsOf(() => handIn(reporting.marketplace, receipts, way)));
    const bodies = receipts.map((receipt) => JSON.stringify(receipt));
    samples.baseline.push(await millisecondsOf(async () => verifyAndSign(bodies)));
  }
  const rate = (times: readonly number[]): number => (count / median(times)) * 1_000;
  const ours = rate(samples.ours);
  const { engine } = reporting.platform;
  const row: Row = {
    what: `receipts verified, countersigned, stored and charged, ${size === 1 ? "one by one" : `in batches of ${digits(size)}`}, ${engine}`,
    budget: `≥ ${digits(BUDGET_PER_SECOND)}/s in the ledger, on PostgreSQL, in batches of 10,000`,
    ours: `${digits(ours)}/s`,
    baseline: `${digits(rate(samples.baseline))}/s`,
    ratio: digits(ours / rate(samples.baseline)),
    holds: engine === "PostgreSQL" && size === 10_000 ? ours >= BUDGET_PER_SECOND : undefined,
    how: `${rounds} rounds of ${digits(count)}, ${Math.min(AT_ONCE, requests)} requests at once, over HTTP, medians, all under one license. The baseline is the arithmetic alone: SHA-256, one Ed25519 verification and one signature each, no HTTP, no database.`,
  };
  return { row, perSecond: ours };
}

async function makeReceipts({ platform, marketplace, dataset }: Reporting, count: number): Promise<JsonObject[]> {
  const receipts: JsonObject[] = [];
  await inParallel(count, AT_ONCE, async () => {
    receipts.push(await signAnyReceipt(receiptContent(platform, marketplace, dataset), marketplace.receiptSigner));
  });
  return receipts;
}

async function handIn(
  marketplace: RegisteredMarketplace,
  receipts: readonly JsonObject[],
  { size, requests }: Way,
): Promise<void> {
  const caller = await marketplace.call();
  await inParallel(requests, AT_ONCE, async (index) => {
    const part = receipts.slice(index * size, (index + 1) * size);
    if (size === 1) {
      expectStatus(await caller.post("/api/v1/usage-receipts", part[0]), 201);
      return;
    }
    const lines = linesOf(expectStatus(await postBatch(marketplace, part), 200));
    const wrong = lines.find((line) => line.status !== "accepted");
    if (lines.length !== size || wrong !== undefined)
      throw new Error(`expected ${size} accepted lines, got ${lines.length}, ${JSON.stringify(wrong)}`);
  });
}

function verifyAndSign(bodies: readonly string[]): void {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  for (const body of bodies) {
    const bytes = createHash("sha256").update(body).digest();
    const signature = sign(null, bytes, privateKey);
    if (!verify(null, bytes, publicKey, signature)) throw new Error("expected a signature that verifies");
  }
}

const TRANSFERS = 2_000;

/** Each receipt is one transfer of two entries; the baseline is a transaction of two inserts, and nothing else. */
async function measureTransfers(settings: BenchSettings, url: string, perSecond: number): Promise<Row> {
  const database = await createDatabase(url);
  const pool = new pg.Pool({ connectionString: database.url, max: AT_ONCE });
  try {
    await pool.query(
      "create table bare_entry (id text primary key, account bigint not null, amount numeric(38, 0) not null)",
    );
    const count = settings.isQuick ? 50 : TRANSFERS;
    const times: number[] = [];
    for (let round = 0; round < 3; round += 1)
      times.push(await millisecondsOf(() => inParallel(count, AT_ONCE, () => transferBare(pool))));
    const baseline = (count / median(times)) * 1_000;
    return {
      what: "ledger transfers, as receipts in batches cause them, PostgreSQL",
      budget: "a number beside a bare transaction of two inserts",
      ours: `${digits(perSecond)}/s`,
      baseline: `${digits(baseline)}/s`,
      ratio: digits(perSecond / baseline),
      holds: undefined,
      how: `Ours is the row above: each receipt is one transfer of two entries, with its receipt, event and balances, ${digits(500)} in a transaction. The baseline is ${digits(count)} transactions of two inserts each, ${AT_ONCE} at once, median of 3 rounds.`,
    };
  } finally {
    await pool.end();
    await database.drop();
  }
}

async function transferBare(pool: pg.Pool): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query("begin");
    for (const amount of [1, -1])
      await client.query("insert into bare_entry values ($1, $2, $3)", [
        randomBytes(16).toString("hex"),
        amount,
        amount,
      ]);
    await client.query("commit");
  } finally {
    client.release();
  }
}
