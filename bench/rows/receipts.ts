import { createHash, generateKeyPairSync, sign, verify } from "node:crypto";
import { registerMarketplace } from "../../test/fixtures/actors.ts";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  offerDataset,
  publishDataset,
  registerWork,
} from "../../test/fixtures/actors.ts";
import { receiptContent, signAnyReceipt } from "../../test/fixtures/receipts.ts";
import { inParallel } from "../in-parallel.ts";
import { startMeasuredPlatform } from "../platform.ts";
import { type BenchSettings, type Row, digits, median, millisecondsOf } from "../row.ts";

const ROUNDS = 5;
const RECEIPTS_PER_ROUND = 500;
const AT_ONCE = 16;
const BUDGET_PER_SECOND = 2_000;

/** Receipts verified, countersigned and stored. */
export async function measureReceipts(settings: BenchSettings): Promise<readonly Row[]> {
  const rows = [await measureOn({ ...settings, postgresUrl: undefined })];
  return settings.postgresUrl === undefined ? rows : [...rows, await measureOn(settings)];
}

async function measureOn(settings: BenchSettings): Promise<Row> {
  const platform = await startMeasuredPlatform(settings);
  try {
    const creator = await enrolCreator(platform);
    const work = await registerWork(platform, creator.creatorId);
    await giveConsent(creator);
    const dataset = await publishDataset(platform, [work]);
    const marketplace = await registerMarketplace(platform);
    await offerDataset(platform, dataset.dataset_id, marketplace);
    const caller = await marketplace.call();
    const count = settings.isQuick ? 20 : RECEIPTS_PER_ROUND;
    const rounds = settings.isQuick ? 1 : ROUNDS;
    const samples = { ours: [] as number[], baseline: [] as number[] };
    for (let round = 0; round < rounds; round += 1) {
      const receipts = await Promise.all(
        Array.from({ length: count }, () =>
          signAnyReceipt(receiptContent(platform, marketplace, dataset), marketplace.receiptSigner),
        ),
      );
      samples.ours.push(
        await millisecondsOf(() =>
          inParallel(count, AT_ONCE, async (index) =>
            expectStatus(await caller.post("/api/v1/usage-receipts", receipts[index]), 201),
          ),
        ),
      );
      samples.baseline.push(
        await millisecondsOf(async () => verifyAndSign(receipts.map((receipt) => JSON.stringify(receipt)))),
      );
    }
    const perSecond = (times: readonly number[]): number => (count / median(times)) * 1_000;
    const ours = perSecond(samples.ours);
    return {
      what: `receipts verified, countersigned and stored, one by one, ${platform.engine}`,
      budget: `≥ ${digits(BUDGET_PER_SECOND)}/s in the ledger, on PostgreSQL`,
      ours: `${digits(ours)}/s`,
      baseline: `${digits(perSecond(samples.baseline))}/s`,
      ratio: digits(ours / perSecond(samples.baseline)),
      holds: ours >= BUDGET_PER_SECOND,
      how: `${rounds} rounds of ${count}, ${AT_ONCE} at once, over HTTP, medians; no ledger yet. The baseline is the arithmetic alone: SHA-256, one Ed25519 verification and one signature each, no HTTP, no database.`,
    };
  } finally {
    await platform.stop();
  }
}

function verifyAndSign(bodies: readonly string[]): void {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  for (const body of bodies) {
    const bytes = createHash("sha256").update(body).digest();
    const signature = sign(null, bytes, privateKey);
    if (!verify(null, bytes, publicKey, signature)) throw new Error("expected a signature that verifies");
  }
}
