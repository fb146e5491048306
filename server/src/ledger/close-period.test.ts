import { sql } from "kysely";
import { expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  publishDataset,
  registerWork,
  uniqueId,
} from "../../../test/fixtures/actors.ts";
import { balanceOf, post } from "../../../test/fixtures/payouts.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";

const platform = await startPlatform();
const { operator, server, clock } = platform;
const creator = await enrolCreator(platform);
const work = await registerWork(platform, creator.creatorId);
await giveConsent(creator);

async function charge(owner: string, amountMicros: bigint): Promise<void> {
  await post(server, [
    {
      kind: "license_fee",
      reference: uniqueId("lic_"),
      currency: "USD",
      explanation: { charged_micros: String(amountMicros) },
      entries: [
        { account: { kind: "marketplace", owner: "mkt_close" }, amountMicros },
        { account: { kind: "pool", owner }, amountMicros: -amountMicros },
      ],
    },
  ]);
}

/** As a server leaves it that keeps no weights. */
async function forgetWeights(datasetId: string): Promise<void> {
  await server.ctx.db.transaction().execute(async (trx) => {
    await sql`alter table creator_weight disable trigger append_only`.execute(trx);
    await sql`delete from creator_weight where dataset_id = ${datasetId}`.execute(trx);
    await sql`alter table creator_weight enable trigger append_only`.execute(trx);
  });
}

test("a version that is published without weights gets them from the database", async () => {
  const { dataset_id, version } = await publishDataset(platform, [work]);
  await forgetWeights(dataset_id);
  const { db } = server.ctx;
  await db.transaction().execute(async (trx) => {
    const row = await trx
      .selectFrom("dataset_version")
      .selectAll()
      .where("dataset_id", "=", dataset_id)
      .executeTakeFirst();
    if (row === undefined) throw new Error("expected a version");
    // What a server of the version before does: lines, then the version, and no weights.
    await sql`insert into dataset_item (dataset_id, version, position, content_id, creator_id, jti, item, leaf_hash)
              select dataset_id, 2, position, content_id, creator_id, jti, item, leaf_hash
                from dataset_item where dataset_id = ${dataset_id} and version = ${version}`.execute(trx);
    await trx
      .insertInto("dataset_version")
      .values({ ...row, version: 2 })
      .execute();
  });
  const { rows: weights } =
    await sql`select version, items::text as items from creator_weight where dataset_id = ${dataset_id}`.execute(db);
  expect(weights).toEqual([{ version: 2, items: "1" }]);
});

test("a month is closed although weights of a version are missing; a pool that nobody can share out leaves it open", async () => {
  const one = await publishDataset(platform, [work]);
  await forgetWeights(one.dataset_id);
  await charge("nothing-known/1", 5n);
  await charge(`${one.dataset_id}/1`, 1_000n);
  clock.advance(40 * 86_400);
  const { periods } = expectStatus(await operator.get("/api/v1/ledger/periods"), 200).body;
  const first = periods.at(-1).period;
  const close = () => operator.post(`/api/v1/ledger/periods/${first}/close`);
  expect(await close()).toMatchObject({
    status: 409,
    body: { code: "period_incomplete", errors: [{ at: "nothing-known/1", code: "internal" }] },
  });
  const own = await balanceOf(operator, creator.creatorId, "USD");
  expect(BigInt(own.pending_micros)).toBeGreaterThan(0n);
  expect((await operator.get("/api/v1/ledger/periods")).body.periods.at(-1)).toMatchObject({ state: "open" });
  const transactions = await server.ctx.db.selectFrom("ledger_transaction").selectAll().orderBy("sequence").execute();
  const wrong = transactions.find(({ kind }) => kind === "license_fee");
  const path = `/api/v1/ledger/transactions/${wrong?.transaction_id}/reversal`;
  expectStatus(await operator.post(path, { reason: "there is no such version" }), 201);
  expectStatus(await close(), 200);
});
