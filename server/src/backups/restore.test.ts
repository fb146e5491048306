import { STATUS } from "@licet/protocol";
import { beforeAll, describe, expect, test } from "vitest";
import {
  type Consent,
  type Creator,
  enrolCreator,
  expectStatus,
  giveConsent,
  publishDataset,
  registerMarketplace,
  registerWork,
} from "../../../test/fixtures/actors.ts";
import { type Site, createSites, journalOf } from "../../../test/fixtures/backups.ts";
import { checkPlatform } from "../../../test/fixtures/check-platform.ts";
import { createClient, verifyDataset } from "../../../test/fixtures/sdk.ts";
import { engine, postgresUrl } from "../../../test/fixtures/settings.ts";
import { readStatusBit } from "../../../test/fixtures/status-bit.ts";

const sites = createSites();

interface Scene {
  readonly creator: Creator;
  readonly works: readonly string[];
  readonly consents: readonly Consent[];
  readonly datasetId: string;
}

/** A dataset of works, each under a consent of its own. */
async function setScene({ platform }: Site, count: number): Promise<Scene> {
  const creator = await enrolCreator(platform);
  const works: string[] = [];
  const consents: Consent[] = [];
  for (let index = 0; index < count; index += 1) {
    const work = await registerWork(platform, creator.creatorId);
    works.push(work);
    consents.push(await giveConsent(creator, { subject: `content:${work}` }));
  }
  const { dataset_id } = await publishDataset(platform, works);
  return { creator, works, consents, datasetId: dataset_id };
}

function at<T>(list: readonly T[], index: number): T {
  const value = list[index];
  if (value === undefined) throw new Error(`expected an entry ${index}`);
  return value;
}

async function inspect({ platform }: Site): Promise<void> {
  await checkPlatform({ hasCrashed: true, ...platform, now: () => Math.floor(platform.clock.nowMs() / 1_000) });
}

async function revoke(creator: Creator, jti: string): Promise<void> {
  expectStatus(await creator.caller.post(`/api/v1/consents/${jti}/revoke`), 200);
}

async function change({ platform }: Site, { jti }: Consent, verb: "suspend" | "resume"): Promise<void> {
  expectStatus(await platform.operator.post(`/api/v1/consents/${jti}/${verb}`, { reason: "a dispute" }), 200);
}

function publicPaths(datasetId: string): readonly string[] {
  return [
    "/.well-known/keys.json",
    "/.well-known/consent-revocations.json",
    `/.well-known/dataset-status/${datasetId}`,
    `/datasets/${datasetId}/manifest.json`,
  ];
}

async function readSeqs({ platform }: Site, paths: readonly string[]): Promise<readonly number[]> {
  return Promise.all(paths.map(async (path) => Number(expectStatus(await platform.anonymous.get(path), 200).body.seq)));
}

async function readBits(site: Site, consents: readonly Consent[]): Promise<readonly number[]> {
  return Promise.all(consents.map((consent) => readStatusBit(site.platform, consent.claims)));
}

const { revoked, valid, suspended } = STATUS;

describe("a restore of a backup, after much was refused", () => {
  let site: Site;
  let back: Site;
  let scene: Scene;
  let path: string;
  let seqs: readonly number[];
  let late: Consent;
  let lateRevoked: Consent;
  let lostDatasetId: string;
  let clientId: string;
  let position: string;

  beforeAll(async () => {
    site = await sites.open(await sites.createDatabase());
    scene = await setScene(site, 5);
    const { creator, consents, works } = scene;
    clientId = (await registerMarketplace(site.platform)).clientId;
    await revoke(creator, at(consents, 0).jti);
    await change(site, at(consents, 3), "suspend");
    path = await site.backUp();
    await revoke(creator, at(consents, 1).jti);
    expectStatus(
      await creator.caller.post(`/api/v1/creators/${creator.creatorId}/revocations`, { content_id: at(works, 2) }),
      200,
    );
    await change(site, at(consents, 3), "resume");
    await change(site, at(consents, 4), "suspend");
    expectStatus(await site.platform.operator.post(`/api/v1/clients/${clientId}/suspend`), 200);
    late = await giveConsent(creator, { subject: `content:${at(works, 3)}` });
    lateRevoked = await giveConsent(creator, { subject: `content:${at(works, 4)}` });
    await revoke(creator, lateRevoked.jti);
    await publishDataset(site.platform, [at(works, 3)], { dataset_id: scene.datasetId });
    lostDatasetId = (await publishDataset(site.platform, [at(works, 3)])).dataset_id;
    seqs = await readSeqs(site, publicPaths(scene.datasetId));
    await site.platform.server.ctx.sequencer.run();
    position = expectStatus(await site.platform.operator.get("/api/v1/events?after=latest"), 200).body.up_to;
    await site.stop();
  });

  test("tells what it would do in a dry run, does it, and does it in an empty database only", async () => {
    const database = await sites.createDatabase();
    const journals = [journalOf(site.database)];
    const dry = await sites.restore(site, { path, journals, database, isDryRun: true });
    const wet = await sites.restore(site, { path, journals, database });
    expect({ ...wet, is_dry_run: true }).toEqual(dry);
    expect(wet).toMatchObject({
      is_dry_run: false,
      has_journal: true,
      replayed: {
        "consent.revoked": 3,
        "content.withdrawn": 1,
        "consent.resumed": 1,
        "consent.suspended": 1,
        "client.suspended": 1,
      },
      lost_consents: { count: 2 },
      lost_datasets: { count: 2, named: [`${scene.datasetId}, version 2`, `${lostDatasetId}, version 1`] },
      held_payouts: { count: 0, named: [] },
    });
    await expect(sites.restore(site, { path, journals, database })).rejects.toThrow(
      /^expected an empty database to restore into, got one with rows in /,
    );
    back = await sites.open(database, { ...site, origin: site.platform.origin });
  });

  test("tells whoever follows the events what it wrote again, above every position that was read", async () => {
    await back.platform.server.ctx.sequencer.run();
    const { body } = expectStatus(await back.platform.operator.get(`/api/v1/events?after=${position}`), 200);
    const told = body.events.filter((event: { readonly type: string }) => event.type === "consent.revoked");
    expect(told.map((event: { readonly aggregate: string }) => event.aggregate).sort()).toEqual(
      [at(scene.consents, 1).jti, at(scene.consents, 2).jti].sort(),
    );
  });

  test("leaves refused what was refused, in every document, under a higher seq", async () => {
    const { consents, datasetId } = scene;
    expect(await readBits(back, [...consents, late, lateRevoked])).toEqual([
      revoked,
      revoked,
      revoked,
      valid,
      suspended,
      revoked,
      revoked,
    ]);
    const { body } = await back.platform.anonymous.get("/.well-known/consent-revocations.json");
    const listed = body.revocations.map((entry: { jti: string }) => entry.jti);
    const gone = [at(consents, 0), at(consents, 1), at(consents, 2), late, lateRevoked];
    expect(listed.toSorted()).toEqual(gone.map(({ jti }) => jti).sort());
    const status = await back.platform.anonymous.get(`/.well-known/dataset-status/${datasetId}`);
    expect(status.body).toMatchObject({ status: "partially_revoked", withdrawn_items_count: 4 });
    const after = await readSeqs(back, publicPaths(datasetId));
    for (const [index, seq] of after.entries()) expect(seq).toBeGreaterThan(at(seqs, index));
    const client = createClient({ origin: back.platform.origin, token: back.platform.operatorToken });
    const now = () => Math.floor(back.clock.nowMs() / 1_000);
    const verified = await verifyDataset(`${back.platform.origin}/datasets/${datasetId}/manifest.json`, {
      client,
      now,
    });
    expect(verified.checks.filter((check) => check.outcome === "failed")).toEqual([]);
    await inspect(back);
  });

  test("gives nothing out again: no session, no client, no index, no version", async () => {
    const { creator, consents, works, datasetId } = scene;
    expect((await creator.caller.get(`/api/v1/creators/${creator.creatorId}`)).status).toBe(401);
    expect((await back.platform.as(site.platform.operatorToken).get("/api/v1/creators")).status).toBe(401);
    const client = await back.platform.operator.get(`/api/v1/clients/${clientId}`);
    expect(client.body.state).toBe("suspended");
    const again = await enrolCreator(back.platform);
    const work = await registerWork(back.platform, again.creatorId);
    const consent = await giveConsent(again, { subject: `content:${work}` });
    expect(consent.claims.status.status_list.uri).not.toBe(at(consents, 0).claims.status.status_list.uri);
    const next = await publishDataset(back.platform, [at(works, 3)], { dataset_id: datasetId });
    const lost = await publishDataset(back.platform, [at(works, 3)], { dataset_id: lostDatasetId });
    expect([next.version, lost.version]).toEqual([3, 2]);
    await inspect(back);
  });

  test("and another restore, of a newer or of the same backup, lifts nothing that was suspended since", async () => {
    const consent = at(scene.consents, 3);
    await change(back, consent, "suspend");
    const newer = await back.backUp();
    const views = publicPaths(scene.datasetId).slice(0, 2);
    let before = await readSeqs(back, views);
    await back.stop();
    for (const backup of [newer, path]) {
      const database = await sites.createDatabase();
      const journals = [journalOf(site.database), journalOf(back.database)];
      await sites.restore(site, { path: backup, journals, database });
      const last = await sites.open(database, { ...site, origin: site.platform.origin });
      expect(await readBits(last, [...scene.consents, lateRevoked])).toEqual([
        revoked,
        revoked,
        revoked,
        suspended,
        suspended,
        revoked,
      ]);
      const after = await readSeqs(last, views);
      for (const [index, seq] of after.entries()) expect(seq).toBeGreaterThan(at(before, index));
      before = after;
      await inspect(last);
      await last.stop();
    }
  });
});

interface ListedKey {
  readonly kid: string;
  readonly purpose: string;
  readonly status: string;
  readonly not_after: string;
}

async function readKeys({ platform }: Site): Promise<readonly ListedKey[]> {
  return expectStatus(await platform.anonymous.get("/.well-known/keys.json"), 200).body.keys;
}

describe("a restore of a backup that is older than a key", () => {
  test("lists the key as revoked when it was, and has another one sign", async () => {
    const site = await sites.open(await sites.createDatabase());
    const { platform } = site;
    const before = (await readKeys(site)).find((key) => key.purpose === "document" && key.status === "active");
    const path = await site.backUp();
    const { rotated } = expectStatus(
      await platform.operator.post("/api/v1/keys/rotations", { purposes: ["document"] }),
      201,
    ).body;
    const lost: string = rotated[0].kid;
    const ended = [before?.kid ?? "", lost];
    for (const kid of ended) expectStatus(await platform.operator.post(`/api/v1/keys/${kid}/revoke`, {}), 200);
    const listed = (await readKeys(site)).filter((key) => ended.includes(key.kid));
    await site.stop();
    const database = await sites.createDatabase();
    const report = await sites.restore(site, { path, journals: [journalOf(site.database)], database });
    expect(report.replayed).toMatchObject({ "key.revoked": 2 });
    const back = await sites.open(database, { ...site, origin: platform.origin });
    const keys = await readKeys(back);
    expect(keys).toEqual(expect.arrayContaining([...listed]));
    expect(listed.map((key) => key.status)).toEqual(["revoked", "revoked"]);
    const active = keys.filter((key) => key.purpose === "document" && key.status === "active");
    expect(active.map((key) => ended.includes(key.kid))).toEqual([false]);
    await inspect(back);
    await back.stop();
  });
});

/** The other engine is at hand only where there is a PostgreSQL server. */
describe.skipIf(engine === "pglite" || postgresUrl === undefined)("a restore into the other engine", () => {
  test("works from PostgreSQL into the embedded database, and back", async () => {
    const site = await sites.open(await sites.createDatabase());
    const { creator, consents } = await setScene(site, 2);
    const path = await site.backUp();
    await revoke(creator, at(consents, 0).jti);
    await site.stop();
    const embedded = await sites.createDatabase("pglite");
    await sites.restore(site, { path, journals: [journalOf(site.database)], database: embedded });
    const back = await sites.open(embedded, { ...site, origin: site.platform.origin });
    expect(await readBits(back, consents)).toEqual([revoked, valid]);
    await inspect(back);
    const again = await back.backUp();
    await back.stop();
    const database = await sites.createDatabase();
    const journals = [journalOf(site.database), journalOf(embedded)];
    await sites.restore(site, { path: again, journals, database });
    const home = await sites.open(database, { ...site, origin: site.platform.origin });
    expect(await readBits(home, consents)).toEqual([revoked, valid]);
    await inspect(home);
  });
});
