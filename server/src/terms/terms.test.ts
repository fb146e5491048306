import { sha256Hex, verifyDocument, verifyKeySet } from "@licet/protocol";
import { describe, expect, test } from "vitest";
import { enrolCreator } from "../../../test/fixtures/actors.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { publishBuiltInTerms } from "./publish-terms.ts";

const platform = await startPlatform();

describe("the terms of a license", () => {
  test.each([
    ["/terms/paid_training/1.0", "en"],
    ["/terms/paid_training/1.0/en", "en"],
    ["/terms/paid_training/1.0/de", "de"],
  ])("at %s are a signed document in %s that never changes", async (path, language) => {
    const answer = await platform.anonymous.get(path);
    expect(answer).toMatchObject({ status: 200, body: { type: "terms", license: "paid_training:1.0", language } });
    expect(answer.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
    expect(answer.body.sha256).toBe(sha256Hex(answer.body.text));
    const now = Math.floor(platform.clock.nowMs() / 1_000);
    const keys = await verifyKeySet(
      (await platform.anonymous.get("/.well-known/keys.json")).body,
      platform.origin,
      now,
    );
    if (!keys.ok) throw new Error(keys.refusal.detail);
    expect(await verifyDocument(answer.body, { type: "terms", keys: keys.value, madeAt: now })).toMatchObject({
      ok: true,
    });
  });

  test.each([
    "/terms/paid_training/2.0",
    "/terms/paid_training/1.0/fr",
    "/terms/other/1.0",
    "/terms/paid_training",
    "/terms/paid_training/1.0/en/x",
    "/terms/paid_training/1.0/EN",
  ])("are not at %s", async (path) => {
    expect((await platform.anonymous.get(path)).status).toBe(404);
  });

  test("say what they promise, where they promise something", async () => {
    for (const language of ["en", "de"])
      expect((await platform.anonymous.get(`/terms/paid_training/1.1/${language}`)).body).toMatchObject({
        license: "paid_training:1.1",
        promises: ["remediation"],
      });
    expect((await platform.anonymous.get("/terms/paid_training/1.0")).body).not.toHaveProperty("promises");
  });

  test("are what a creator reads at the end of a draft", async () => {
    const ana = await enrolCreator(platform);
    const { body } = await ana.caller.post("/api/v1/consents/drafts", {
      subject: `creator:${ana.creatorId}`,
      scope: ["training"],
    });
    const { text } = (await platform.anonymous.get("/terms/paid_training/1.0")).body;
    expect(body.text.endsWith(`${text}\n`)).toBe(true);
  });

  test("are published once, however often the server starts", async () => {
    const before = (await platform.anonymous.get("/terms/paid_training/1.0")).text;
    await publishBuiltInTerms(platform.server.ctx);
    expect((await platform.anonymous.get("/terms/paid_training/1.0")).text).toBe(before);
    const events = await platform.server.ctx.db
      .selectFrom("event")
      .select("aggregate")
      .where("type", "=", "terms.published")
      .execute();
    expect(events.map((event) => event.aggregate).sort()).toEqual([
      "paid_training:1.0/de",
      "paid_training:1.0/en",
      "paid_training:1.1/de",
      "paid_training:1.1/en",
    ]);
  });

  test("cannot be changed, not even in the database", async () => {
    const { db } = platform.server.ctx;
    await expect(db.updateTable("terms").set({ body: "Everything is allowed." }).execute()).rejects.toThrow(
      "append-only",
    );
    await expect(db.deleteFrom("terms").execute()).rejects.toThrow("append-only");
  });
});
