import { expect, test } from "vitest";
import { expectStatus } from "../../../test/fixtures/actors.ts";
import { createSites, journalOf } from "../../../test/fixtures/backups.ts";
import { learnedFrom } from "../../../test/fixtures/remediations.ts";

const sites = createSites();

test("cases come back with the backup or with the revocation that opened them, and a lost compensation is named", async () => {
  const site = await sites.open(await sites.createDatabase());
  const { platform } = site;
  const [kept, late] = [await learnedFrom(platform), await learnedFrom(platform)];
  const revoke = async ({ creator, jti }: typeof kept): Promise<string> =>
    expectStatus(await creator.caller.post(`/api/v1/consents/${jti}/revoke`), 200).body.cannot_be_undone
      .remediation_ids[0];
  const keptId = await revoke(kept);
  const path = await site.backUp();
  await revoke(late);
  const cases = `/api/v1/remediations/${keptId}`;
  const offered = await (
    await kept.marketplace.call()
  ).post(`${cases}/offers`, { amount_micros: "5000000", currency: "USD", text: "Take it." });
  const { offer_id } = expectStatus(offered, 201).body;
  expectStatus(await kept.creator.caller.post(`${cases}/offers/${offer_id}/accept`), 200);
  await site.stop();

  const database = await sites.createDatabase();
  const restored = await sites.restore(site, { path, journals: [journalOf(site.database)], database });
  expect(restored).toMatchObject({
    replayed: { "consent.revoked": 1 },
    lost_compensations: {
      count: 1,
      named: [`${keptId}: 5000000 USD, ${kept.marketplace.marketplaceId} to ${kept.creator.creatorId}`],
    },
  });
  const back = await sites.open(database, { ...site, origin: platform.origin });
  const { remediations } = (await back.platform.operator.get("/api/v1/remediations")).body;
  expect(remediations).toMatchObject([
    { case_id: keptId, state: "open", creator_id: kept.creator.creatorId },
    { state: "open", creator_id: late.creator.creatorId, model_fingerprint: late.trained.fingerprint },
  ]);
});
