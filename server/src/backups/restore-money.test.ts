import { expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  publishDataset,
  registerMarketplace,
  registerWork,
  uniqueId,
} from "../../../test/fixtures/actors.ts";
import { createSites, journalOf } from "../../../test/fixtures/backups.ts";
import { setPolicy } from "../../../test/fixtures/licenses.ts";
import { post } from "../../../test/fixtures/payouts.ts";

const sites = createSites();
const DAY = 86_400;

test("payments, corrections, closed months, invoices and policies since the backup are named, and a person decides about licenses", async () => {
  const site = await sites.open(await sites.createDatabase());
  const { platform } = site;
  const creator = await enrolCreator(platform);
  const work = await registerWork(platform, creator.creatorId);
  await giveConsent(creator);
  const [closed, calm] = [await publishDataset(platform, [work]), await publishDataset(platform, [work])];
  for (const { dataset_id } of [closed, calm]) expectStatus(await setPolicy(platform, dataset_id), 200);
  const { marketplaceId } = await registerMarketplace(platform);
  const pool = `${closed.dataset_id}/1`;
  await post(platform.server, [
    {
      kind: "usage_charge",
      reference: uniqueId("r_"),
      currency: "USD",
      explanation: {},
      entries: [
        { account: { kind: "marketplace", owner: marketplaceId }, amountMicros: 90n },
        { account: { kind: "pool", owner: pool }, amountMicros: -90n },
      ],
    },
  ]);
  const path = await site.backUp();

  const { operator } = platform;
  const period = new Date(site.clock.nowMs()).toISOString().slice(0, 7);
  const paid = { amount_micros: "40", currency: "USD", reference: "bank-1" };
  const { transaction_id } = expectStatus(
    await operator.post(`/api/v1/marketplaces/${marketplaceId}/payments`, paid),
    201,
  ).body;
  const reversal = `/api/v1/ledger/transactions/${transaction_id}/reversal`;
  expectStatus(await operator.post(reversal, { reason: "booked twice" }), 201);
  expectStatus(await setPolicy(platform, closed.dataset_id, { mode: "manual" }), 200);
  site.clock.advance(33 * DAY);
  expectStatus(await operator.post(`/api/v1/ledger/periods/${period}/close`), 200);
  const readInvoices = async () => (await operator.get("/api/v1/invoices")).body.invoices;
  await expect.poll(readInvoices, { timeout: 30_000 }).toHaveLength(1);
  const [invoice] = await readInvoices();
  await site.stop();

  const database = await sites.createDatabase();
  const report = await sites.restore(site, { path, journals: [journalOf(site.database)], database });
  expect(report.lost_money).toEqual({
    count: 6,
    named: [
      `payment.recorded ${marketplaceId}: 40 USD`,
      `ledger.reversed ${transaction_id}`,
      `license-policy.changed ${closed.dataset_id}`,
      `pool.split ${pool}: 90 USD`,
      `period.closed ${period}`,
      `invoice.issued ${invoice.invoice_id}: ${invoice.number} 90 USD`,
    ],
  });
  const back = await sites.open(database, { ...site, origin: platform.origin });
  const modeOf = async (datasetId: string) =>
    (await back.platform.operator.get(`/api/v1/datasets/${datasetId}/license-policy`)).body;
  expect(await modeOf(closed.dataset_id)).toMatchObject({ mode: "manual", updated_by: "restore" });
  expect(await modeOf(calm.dataset_id)).toMatchObject({ mode: "automatic" });

  // The lost invoice was sent under its number, so the month's next ones are counted in another series.
  expectStatus(await back.platform.operator.post(`/api/v1/ledger/periods/${period}/close`), 200);
  const readNumbers = async () =>
    (await back.platform.operator.get("/api/v1/invoices")).body.invoices.map(
      (row: { readonly number: string }) => row.number,
    );
  await expect.poll(readNumbers, { timeout: 30_000 }).toHaveLength(1);
  const [number] = await readNumbers();
  expect(invoice.number).toBe(`${period}-0001`);
  expect(number).toMatch(new RegExp(`^${period}-R\\d{16}-0001$`));
});
