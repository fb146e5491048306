import { type JsonObject, formatInstant, sha256Hex, signModelList } from "@licet/protocol";
import { describe, expect, test } from "vitest";
import {
  type RegisteredMarketplace,
  enrolCreator,
  expectStatus,
  offerDataset,
  registerMarketplace,
  uniqueId,
} from "../../../test/fixtures/actors.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { type Learned, learnedFrom, reportUse, trainOn } from "../../../test/fixtures/remediations.ts";
import { startSink } from "../../../test/fixtures/webhook-sink.ts";
import { readModelLists } from "./read-lists.ts";

const sink = await startSink();
const platform = await startPlatform({ allowedHosts: [sink.host] });
const { ctx } = platform.server;
const now = (): number => Math.floor(platform.clock.nowMs() / 1_000);
const MODELS = "/api/v1/models";
const LIST_PATH = "/.well-known/models.json";

async function fingerprints(caller: { get: (path: string) => Promise<{ body: JsonObject }> }, query = "") {
  const { models } = (await caller.get(`${MODELS}${query}`)).body;
  return Array.isArray(models) ? models.map((model) => Object(model).fingerprint) : [];
}

describe("a model", () => {
  test("shows the licenses, datasets, consents and receipts behind it, and since when a consent is over", async () => {
    const learned = await learnedFrom(platform, { license: "paid_training:1.0" });
    const { creator, jti, dataset, marketplace, trained } = learned;
    const path = `${MODELS}/${trained.fingerprint}`;
    expect((await platform.operator.get(path)).body).toMatchObject({
      fingerprint: trained.fingerprint,
      models: [{ marketplace_id: marketplace.marketplaceId, model_id: trained.model_id }],
      licenses: [{ license_id: trained.license_id, state: "active", scope: ["training"] }],
      licenses_count: 1,
      datasets: [{ dataset_id: dataset.dataset_id, versions: [1], receipts: "1" }],
      consents: { counts: { active: 1, revoked: 0 }, ended: [] },
      receipts: {
        count: "1",
        units: [{ unit: "tokens", count: "1200" }],
        charged: [{ currency: "USD", amount_micros: "120000" }],
      },
      bases: { models: [], complete: true },
      derived: { models: [], complete: true },
    });
    const { revoked_at } = expectStatus(await creator.caller.post(`/api/v1/consents/${jti}/revoke`), 200).body;
    const { consents, receipts } = (await platform.operator.get(path)).body;
    expect(consents).toMatchObject({
      counts: { active: 0, revoked: 1 },
      ended: [{ jti, creator_id: creator.creatorId, state: "revoked", since: revoked_at }],
    });
    expect((await platform.operator.get(consents.url)).body).toEqual({ consents: consents.ended, next: null });
    expect((await platform.operator.get(receipts.url)).body.receipts).toMatchObject([
      { receipt_id: trained.receipt_id, valid_for_future_training: false },
    ]);
  });

  test("was charged what was not taken back", async () => {
    const { dataset, marketplace, trained, creator } = await learnedFrom(platform);
    const model = { ...trained };
    const second = await reportUse(platform, marketplace, { dataset, model, usedAt: now() + 1 });
    const { accounts } = (await platform.operator.get(`/api/v1/ledger/accounts?owner=${marketplace.marketplaceId}`))
      .body;
    const { entries } = (await platform.operator.get(`/api/v1/ledger/accounts/${accounts[0].account_id}/entries`)).body;
    const charge = entries.find(({ reference }: { readonly reference: string }) => reference.endsWith(`/${second}`));
    const reversal = `/api/v1/ledger/transactions/${charge.transaction_id}/reversal`;
    expectStatus(await platform.operator.post(reversal, { reason: "counted twice" }), 201);
    for (const caller of [platform.operator, await marketplace.call(), creator.caller])
      expect((await caller.get(`${MODELS}/${trained.fingerprint}`)).body.receipts).toMatchObject({
        count: "2",
        charged: [{ currency: "USD", amount_micros: "120000" }],
      });
  });

  test("is its marketplace's, and of the creators whose works it learned from, and of nobody else", async () => {
    const { creator, work, jti, dataset, marketplace, trained } = await learnedFrom(platform);
    const path = `${MODELS}/${trained.fingerprint}`;
    const mkt = await marketplace.call();
    expect((await mkt.get(path)).body.consents).toMatchObject({ counts: { active: 1 } });
    expect((await mkt.get(path)).text).not.toContain(creator.creatorId);
    expect(await mkt.get(`${path}/consents`)).toMatchObject({ status: 403, body: { code: "forbidden" } });
    expect((await creator.caller.get(path)).status).toBe(200);
    for (const query of ["", `?dataset_id=${dataset.dataset_id}`, `?jti=${jti}`, `?content_id=${work}`])
      expect(await fingerprints(creator.caller, query)).toEqual([trained.fingerprint]);
    const rival = await (await registerMarketplace(platform)).call();
    const stranger = (await enrolCreator(platform)).caller;
    expect((await stranger.get(`${path}/consents`)).body.code).toBe("not_yours");
    for (const caller of [rival, stranger]) {
      expect(await caller.get(path)).toMatchObject({ status: 403, body: { code: "not_yours" } });
      expect(await fingerprints(caller, `?jti=${jti}`)).toEqual([]);
    }
    expect((await platform.operator.get(`${MODELS}/${"0".repeat(64)}`)).status).toBe(404);
    expect((await platform.operator.get(`${MODELS}/writer-7b`)).body.code).toBe("identifier_invalid");
  });

  test("shows what was made from it, level by level, as far as eight levels, and a circle ends", async () => {
    const { dataset, marketplace, trained } = await learnedFrom(platform);
    const chain = [trained.fingerprint];
    for (let level = 1; level <= 9; level += 1)
      chain.push(
        (await trainOn(platform, marketplace, dataset, { base_fingerprint: chain[level - 1] ?? "" })).fingerprint,
      );
    const derived = (await platform.operator.get(`${MODELS}/${chain[0]}`)).body.derived;
    expect(derived.complete).toBe(false);
    expect(derived.models.map((model: JsonObject) => [model["fingerprint"], model["level"]])).toEqual(
      chain.slice(1, 9).map((fingerprint, at) => [fingerprint, at + 1]),
    );
    const { bases } = (await platform.operator.get(`${MODELS}/${chain[2]}`)).body;
    expect(bases).toMatchObject({
      complete: true,
      models: [
        { base_fingerprint: chain[1], level: 1 },
        { base_fingerprint: chain[0], level: 2 },
      ],
    });
    const self = sha256Hex(uniqueId("self-"));
    await ctx.db
      .insertInto("listed_model")
      .values({
        marketplace_id: marketplace.marketplaceId,
        fingerprint: self,
        model_id: "ouroboros",
        base_fingerprint: self,
        published_at: 1,
        first_seen_at: 1,
        last_seen_at: 1,
      })
      .execute();
    expect((await platform.operator.get(`${MODELS}/${self}`)).body.derived).toMatchObject({
      complete: true,
      models: [{ level: 1 }],
    });
  });
});

describe("what receipts add up to", () => {
  test("is kept by the database as they come, and is what the receipts themselves say", async () => {
    const { dataset, marketplace } = await learnedFrom(platform);
    for (let at = 0; at < 2; at += 1) await trainOn(platform, marketplace, dataset);
    const { db } = ctx;
    const kept = await db
      .selectFrom("model_use")
      .select(["model_fingerprint", "receipts", "units", "charged_micros"])
      .execute();
    const receipts = await db
      .selectFrom("usage_receipt")
      .select(["model_fingerprint", "units", "charged_micros"])
      .execute();
    const counted = [...Map.groupBy(receipts, (row) => row.model_fingerprint)].map(([model_fingerprint, rows]) => ({
      model_fingerprint,
      receipts: String(rows.length),
      units: String(rows.reduce((sum, row) => sum + Number(row.units), 0)),
      charged_micros: String(rows.reduce((sum, row) => sum + BigInt(row.charged_micros), 0n)),
    }));
    const byName = (one: { model_fingerprint: string }, other: { model_fingerprint: string }) =>
      one.model_fingerprint < other.model_fingerprint ? -1 : 1;
    expect(kept.sort(byName)).toEqual(counted.sort(byName));
  });
});

describe("a list of models", () => {
  const listing: { marketplace?: RegisteredMarketplace; learned?: Learned } = {};
  const STRANGE = sha256Hex("nobody licensed this");

  async function listed(): Promise<{ marketplace: RegisteredMarketplace; learned: Learned }> {
    const learned = listing.learned ?? (await learnedFrom(platform));
    const marketplace = await registerMarketplace(platform, { base_url: sink.url("") });
    await offerDataset(platform, learned.dataset.dataset_id, marketplace);
    Object.assign(listing, { learned, marketplace });
    return { marketplace, learned };
  }

  /** Serves a list, and has it read as if a day had passed. */
  async function serve(list: object): Promise<void> {
    sink.reply(LIST_PATH, () => ({ status: 200, body: JSON.stringify(list) }));
    await ctx.db.updateTable("model_list").set({ next_at: 0 }).execute();
    await readModelLists(ctx);
  }

  const modelOf = (fingerprint: string, model_id = "m") => ({
    model_id,
    fingerprint,
    published_at: formatInstant(now()),
  });
  const signed = (marketplace: RegisteredMarketplace, models: ReturnType<typeof modelOf>[]) =>
    signModelList(
      { iss: marketplace.marketplaceId, models, checked_at: formatInstant(now() + 1) },
      marketplace.receiptSigner,
    );

  async function findings(marketplace: RegisteredMarketplace, query = ""): Promise<JsonObject> {
    return expectStatus(await (await marketplace.call()).get(`/api/v1/model-findings${query}`), 200).body;
  }

  test("tells of models that nobody licensed, and of licensed ones that it leaves out, until that is mended", async () => {
    const { marketplace, learned } = await listed();
    const { fingerprint, model_id } = await trainOn(platform, marketplace, learned.dataset);
    await serve(await signed(marketplace, [modelOf(STRANGE, "strange")]));
    await serve(await signed(marketplace, [modelOf(STRANGE, "strange")]));
    const found = (await findings(marketplace, "?resolved=false")) as { findings: JsonObject[]; lists: JsonObject[] };
    expect(
      found.findings.map(({ kind, ...finding }) => [kind, finding["fingerprint"], finding["model_id"]]).sort(),
    ).toEqual(
      [
        ["unlicensed", STRANGE, "strange"],
        ["unlisted", fingerprint, model_id],
      ].sort(),
    );
    expect(found.lists).toMatchObject([{ marketplace_id: marketplace.marketplaceId, models_count: 1 }]);
    const events = await ctx.db.selectFrom("event").select("type").where("aggregate", "=", STRANGE).execute();
    expect(events).toEqual([{ type: "model.unlicensed" }]);
    expect((await platform.operator.get(`${MODELS}/${STRANGE}`)).body.listed_by).toMatchObject([
      { marketplace_id: marketplace.marketplaceId, model_id: "strange" },
    ]);
    await serve(await signed(marketplace, [modelOf(STRANGE, "strange"), modelOf(fingerprint, model_id)]));
    const rest = (await findings(marketplace, "?resolved=false")) as { findings: JsonObject[] };
    expect(rest.findings).toMatchObject([{ kind: "unlicensed" }]);
    const rival = await (await registerMarketplace(platform)).call();
    expect(await rival.get(`/api/v1/model-findings?marketplace_id=${marketplace.marketplaceId}`)).toMatchObject({
      status: 403,
      body: { code: "not_yours" },
    });
  });

  test("forgets what is no longer on it, and takes a license only for what it allows and while it is in force", async () => {
    const { marketplace, learned } = await listed();
    const [made, read, over] = [
      await trainOn(platform, marketplace, learned.dataset),
      await trainOn(platform, marketplace, learned.dataset),
      await trainOn(platform, marketplace, learned.dataset),
    ];
    const update = (fingerprint: string, changes: { scope: string } | { expires_at: number }) =>
      ctx.db.updateTable("license").set(changes).where("model_fingerprint", "=", fingerprint).execute();
    // Licenses as another offer, or another day, would have made them.
    await update(read.fingerprint, { scope: "inference search" });
    await update(over.fingerprint, { expires_at: now() - 1 });
    const models = [made, read, over].map(({ fingerprint, model_id }) => modelOf(fingerprint, model_id));
    const unlicensed = async () => {
      const { findings: rows } = await findings(marketplace, "?resolved=false&kind=unlicensed");
      return (rows as JsonObject[]).map((row) => row["fingerprint"]).sort();
    };
    await serve(await signed(marketplace, models));
    expect(await unlicensed()).toEqual([read.fingerprint, over.fingerprint].sort());
    await serve(await signed(marketplace, models.slice(0, 2)));
    expect(await unlicensed()).toEqual([read.fingerprint]);
  });

  test("that cannot be believed or read changes nothing, and the operator reads why", async () => {
    const { marketplace } = await listed();
    const stranger = await registerMarketplace(platform);
    const good = await signed(marketplace, []);
    const cases: readonly (readonly [string, () => Promise<void>])[] = [
      [
        "receipt_key_unknown",
        async () => serve(await signed({ ...stranger, marketplaceId: marketplace.marketplaceId }, [])),
      ],
      ["model_list_invalid", async () => serve(await signed(stranger, []))],
      ["signature_invalid", () => serve({ ...good, models: [modelOf(STRANGE)] })],
      ["model_list_invalid", () => serve({ models: [] })],
      [
        "source_too_large",
        async () => {
          await serve({ ...good, note: "x".repeat(9_000_000) });
        },
      ],
      [
        "source_unavailable",
        async () => {
          sink.reply(LIST_PATH, () => ({ status: 302, headers: { location: "http://127.0.0.1:1/" } }));
          await ctx.db.updateTable("model_list").set({ next_at: 0 }).execute();
          await readModelLists(ctx);
        },
      ],
    ];
    for (const [code, attempt] of cases) {
      await attempt();
      const { body } = await platform.operator.get(
        `/api/v1/model-findings?marketplace_id=${marketplace.marketplaceId}`,
      );
      expect(body.lists).toMatchObject([{ last_error: expect.stringMatching(new RegExp(`^${code}: `)) }]);
      expect(body.findings).toEqual([]);
    }
  });

  test("is read once in its time, however many servers look", async () => {
    await listed();
    sink.reply(LIST_PATH, () => ({ status: 404 }));
    const before = sink.received(LIST_PATH).length;
    await ctx.db.updateTable("model_list").set({ next_at: 0 }).execute();
    const marketplaces = await ctx.db
      .selectFrom("marketplace")
      .select("marketplace_id")
      .where("base_url", "=", sink.url(""))
      .execute();
    await Promise.all([readModelLists(ctx), readModelLists(ctx)]);
    await readModelLists(ctx);
    expect(sink.received(LIST_PATH)).toHaveLength(before + marketplaces.length);
  });
});
