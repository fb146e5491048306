import { STATUS, sha256Hex } from "@licet/protocol";
import { expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  offerDataset,
  publishDataset,
  registerMarketplace,
  registerWork,
} from "../../../test/fixtures/actors.ts";
import { createSites, journalOf } from "../../../test/fixtures/backups.ts";
import { licenseDataset } from "../../../test/fixtures/licenses.ts";
import { readStatusBit } from "../../../test/fixtures/status-bit.ts";

const sites = createSites();

test("licenses that ended since the backup stay ended, renewed ones go on, and lost ones are refused", async () => {
  const site = await sites.open(await sites.createDatabase());
  const { platform } = site;
  const creator = await enrolCreator(platform);
  const work = await registerWork(platform, creator.creatorId);
  await giveConsent(creator);
  const { dataset_id } = await publishDataset(platform, [work]);
  const marketplace = await registerMarketplace(platform);
  await offerDataset(platform, dataset_id, marketplace);
  const license = (name: string) =>
    licenseDataset(platform, dataset_id, marketplace, {
      model: { model_id: name, fingerprint: sha256Hex(name) },
      term_days: 10,
    });
  const [kept, revoked, renewed] = [await license("kept"), await license("revoked"), await license("renewed")];
  const path = await site.backUp();
  const own = await marketplace.call();
  expectStatus(await own.post(`/api/v1/licenses/${revoked.license_id}/revoke`, { reason: "a private matter" }), 200);
  const { expires_at } = expectStatus(
    await own.post(`/api/v1/licenses/${renewed.license_id}/renew`, { term_days: 300 }),
    200,
  ).body;
  const lost = await license("lost");
  await site.stop();

  const database = await sites.createDatabase();
  const restored = await sites.restore(site, { path, journals: [journalOf(site.database)], database });
  expect(restored).toMatchObject({
    replayed: { "license.revoked": 1, "license.renewed": 1 },
    lost_licenses: { count: 1, named: [lost.license_id] },
  });
  const back = await sites.open(database, { ...site, origin: platform.origin });
  const bits = await Promise.all([kept, revoked, renewed, lost].map((row) => readStatusBit(back.platform, row)));
  expect(bits).toEqual([STATUS.valid, STATUS.revoked, STATUS.valid, STATUS.revoked]);
  const { licenses } = (await back.platform.operator.get(`/api/v1/licenses?dataset_id=${dataset_id}`)).body;
  expect(licenses).toMatchObject([
    { license_id: kept.license_id, state: "active" },
    {
      license_id: revoked.license_id,
      state: "revoked",
      reason: "kept_in_the_journal",
      ended_by: `marketplace:${marketplace.marketplaceId}`,
    },
    { license_id: renewed.license_id, state: "active", expires_at },
  ]);
});
