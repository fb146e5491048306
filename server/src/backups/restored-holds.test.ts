import { expect, test } from "vitest";
import { type Creator, enrolCreator, expectStatus, giveConsent, registerWork } from "../../../test/fixtures/actors.ts";
import { type Site, createSites, journalOf } from "../../../test/fixtures/backups.ts";
import { checkPlatform } from "../../../test/fixtures/check-platform.ts";
import { readStatusBit } from "../../../test/fixtures/status-bit.ts";

const sites = createSites();
const VALID = 0;
const SUSPENDED = 2;

interface Held {
  readonly jti: string;
  readonly creator: Creator;
}

async function change(site: Site, { jti, creator }: Held, steps: readonly string[]): Promise<void> {
  for (const step of steps) {
    const [side, verb] = step.split(" ");
    const caller = side === "platform" ? site.platform.operator : creator.caller;
    expectStatus(await caller.post(`/api/v1/consents/${jti}/${verb}`, { reason: "a dispute" }), 200);
  }
}

/** Suspending once more by the platform changes nothing about who else holds it. */
async function holdersOf({ platform }: Site, { jti }: Held): Promise<readonly string[]> {
  const { body } = expectStatus(await platform.operator.post(`/api/v1/consents/${jti}/suspend`, {}), 200);
  return body.held_by.map((hold: { holder: string }) => hold.holder);
}

test("a restore knows who holds what suspended: what was lifted before the backup, and who joined and left after it", async () => {
  const site = await sites.open(await sites.createDatabase());
  const creator = await enrolCreator(site.platform);
  const consents = [];
  for (let index = 0; index < 3; index += 1) {
    const work = await registerWork(site.platform, creator.creatorId);
    consents.push(await giveConsent(creator, { subject: `content:${work}` }));
  }
  const [before, across, after] = consents.map(({ jti }) => ({ jti, creator }));
  if (before === undefined || across === undefined || after === undefined) throw new Error("expected three consents");
  await change(site, before, ["platform suspend", "creator suspend", "platform resume", "creator resume"]);
  await change(site, across, ["platform suspend", "creator suspend"]);
  const path = await site.backUp();
  await change(site, across, ["creator resume"]);
  await change(site, after, ["platform suspend", "creator suspend", "platform resume"]);
  await site.stop();
  const database = await sites.createDatabase();
  const report = await sites.restore(site, { path, journals: [journalOf(site.database)], database });
  expect(report.replayed_facts).toBe(4);
  const back = await sites.open(database, { ...site, origin: site.platform.origin });
  const bits = await Promise.all(consents.map(({ claims }) => readStatusBit(back.platform, claims)));
  expect(bits).toEqual([VALID, SUSPENDED, SUSPENDED]);
  expect(await holdersOf(back, before)).toEqual(["platform"]);
  expect(await holdersOf(back, across)).toEqual(["platform"]);
  expect(await holdersOf(back, after)).toEqual(["creator", "platform"]);
  await checkPlatform({ hasCrashed: true, ...back.platform, now: () => Math.floor(back.clock.nowMs() / 1_000) });
  await back.stop();
});
