import { afterEach, describe, expect, test } from "vitest";
import {
  type Consent,
  type Creator,
  enrolCreator,
  expectStatus,
  giveConsent,
  offerDataset,
  publishDataset,
  registerMarketplace,
  registerWork,
} from "./fixtures/actors.ts";
import { checkPlatform } from "./fixtures/check-platform.ts";
import { startFurtherServer, startPlatform } from "./fixtures/platform.ts";
import { engine } from "./fixtures/settings.ts";
import { startSink } from "./fixtures/webhook-sink.ts";

/** Rounds of facts written to both servers at once. */
const ROUNDS = 4;
const CONSENTS_PER_ROUND = 4;

describe.skipIf(engine === "pglite")("two servers on one PostgreSQL (the embedded database takes one)", async () => {
  if (engine === "pglite") return;
  const sink = await startSink();
  const first = await startPlatform({ allowedHosts: [sink.host] });
  const second = await startFurtherServer(first, { allowedHosts: [sink.host] });
  const { operator, anonymous, clock } = first;
  const ana = await enrolCreator(first);

  afterEach(() =>
    checkPlatform({
      origin: first.origin,
      operatorToken: first.operatorToken,
      operator,
      anonymous,
      now: () => Math.floor(clock.nowMs() / 1_000),
      furtherAddresses: [second.address],
    }),
  );

  /** A work with a consent of its own. */
  async function prepareWork(creator: Creator): Promise<Consent & { readonly work: string }> {
    const work = await registerWork(first, creator.creatorId);
    return { ...(await giveConsent(creator, { subject: `content:${work}` })), work };
  }

  async function readListed(anyone: typeof anonymous): Promise<readonly string[]> {
    const { body } = await anyone.get("/.well-known/consent-revocations.json");
    return body.revocations.map((entry: { readonly jti: string }) => entry.jti);
  }

  test("have one key set, one operator's token and one set of terms between them", async () => {
    expect(second.server.bootstrapToken).toBeUndefined();
    for (const path of ["/.well-known/keys.json", "/terms/paid_training/1.0", "/oauth/jwks"])
      expect((await second.anonymous.get(path)).text).toBe((await anonymous.get(path)).text);
    expectStatus(await second.operator.get("/api/v1/creators"), 200);
  });

  test("tell each other of every fact: what one answered with 200, the other's memory says", async () => {
    const given = await prepareWork(ana);
    const { dataset_id } = await publishDataset(first, [given.work]);
    const path = `/.well-known/dataset-status/${dataset_id}`;
    await expect.poll(async () => (await second.anonymous.get(path)).body.status, { interval: 5 }).toBe("active");
    expect(await readListed(second.anonymous)).not.toContain(given.jti);
    expectStatus(await ana.caller.post(`/api/v1/consents/${given.jti}/revoke`, {}), 200);
    await expect.poll(async () => (await second.anonymous.get(path)).body.status, { interval: 5 }).toBe("revoked");
    await expect.poll(() => readListed(second.anonymous), { interval: 5 }).toContain(given.jti);
  });

  test("publish and revoke at once, deliver each message in order, and agree", async () => {
    const marketplace = await registerMarketplace(first, { webhook_url: sink.url("/hook") });
    const { work } = await prepareWork(ana);
    const { dataset_id } = await publishDataset(first, [work]);
    await offerDataset(first, dataset_id, marketplace);
    const revoked: string[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const works = await Promise.all(Array.from({ length: CONSENTS_PER_ROUND }, () => prepareWork(ana)));
      expectStatus(await publishOn(round, dataset_id, [work, ...works.map((entry) => entry.work)]), 201);
      const facts = works.map(({ jti }, index) =>
        (index % 2 === 0 ? ana.caller : second.as(ana.token)).post(`/api/v1/consents/${jti}/revoke`, {}),
      );
      const publishing = publishOn(round + 1, `${dataset_id}-${round}`, [work]);
      for (const answer of await Promise.all(facts)) expectStatus(answer, 200);
      expectStatus(await publishing, 201);
      revoked.push(...works.map(({ jti }) => jti));
      for (const anyone of [anonymous, second.anonymous])
        await expect.poll(() => readListed(anyone), { interval: 10 }).toEqual(expect.arrayContaining(revoked));
    }
    const told = (): readonly string[] => sink.received("/hook").map(({ body }) => JSON.parse(body).jti);
    await expect.poll(told, { timeout: 30_000, interval: 20 }).toEqual(expect.arrayContaining(revoked));
  });

  async function publishOn(round: number, dataset_id: string, works: readonly string[]) {
    return (round % 2 === 0 ? operator : second.operator).post("/api/v1/datasets", {
      name: "Sample collection",
      dataset_id,
      content_items: works.map((content_id) => ({ content_id })),
      pricing: { model_use: "per-token:0.0001" },
    });
  }

  test("sign with the new key on both once one of them handed a purpose over", async () => {
    const { body } = expectStatus(await operator.post("/api/v1/keys/rotations", { purposes: ["document"] }), 201);
    const [{ kid, signs_from }] = body.rotated;
    clock.advance(Math.max(0, Date.parse(signs_from) - clock.nowMs()) / 1_000 + 1);
    const given = await prepareWork(ana);
    expectStatus(await second.as(ana.token).post(`/api/v1/consents/${given.jti}/revoke`, {}), 200);
    for (const anyone of [anonymous, second.anonymous]) {
      const signers = async (): Promise<readonly string[]> =>
        (await anyone.get("/.well-known/consent-revocations.json")).body.signatures.map(
          (signature: { readonly key_id: string }) => signature.key_id,
        );
      await expect.poll(signers, { interval: 10 }).toEqual([kid]);
    }
  });

  test("end a consent that expires once and not twice", async () => {
    const { jti, claims } = await prepareWork(ana);
    clock.advance(claims.exp - Math.floor(clock.nowMs() / 1_000) + 120);
    await expect.poll(() => typesOf(jti), { timeout: 30_000, interval: 20 }).toContain("consent.expired");
    expect((await typesOf(jti)).filter((type) => type === "consent.expired")).toHaveLength(1);
  });

  async function typesOf(aggregate: string): Promise<readonly string[]> {
    const { db } = first.server.ctx;
    const rows = await db.selectFrom("event").select("type").where("aggregate", "=", aggregate).execute();
    return rows.map((row) => row.type);
  }
});
