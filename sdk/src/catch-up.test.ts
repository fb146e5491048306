import { type ReceivedEvent, parseJsonObject } from "@licet/protocol";
import { beforeEach, describe, expect, it } from "vitest";
import { catchUp } from "./catch-up.ts";
import { type LicetClient, createClient } from "./client.ts";
import { type SamplePlatform, createSamplePlatform } from "./testing/sample-platform.ts";

const ORIGIN = "https://platform.example";
const NOW = 1_768_737_900;

let platform: SamplePlatform;
let client: LicetClient;

beforeEach(async () => {
  platform = await createSamplePlatform({ origin: ORIGIN, now: () => NOW });
  client = createClient({ origin: ORIGIN, ...platform.credentials, fetch: platform.fetch, now: () => NOW });
});

function keep(count: number, members = {}): void {
  for (let index = 0; index < count; index += 1) {
    const sequence = platform.feed.length + 1;
    const body = parseJsonObject(platform.webhook({ change: "resumed", sequence }).body);
    if (body.ok) platform.feed.push({ ...body.value, ...members });
  }
}

describe("catching up", () => {
  it("reads every event once, over all pages, and answers where to go on", async () => {
    const events: ReceivedEvent[] = [];
    const onEvent = (event: ReceivedEvent): void => void events.push(event);
    keep(5);
    expect(await catchUp(client, { onEvent })).toEqual({ ok: true, value: "5" });
    expect(events.map((event) => event.event_id)).toEqual(["evt_1", "evt_2", "evt_3", "evt_4", "evt_5"]);
    keep(1);
    expect(await catchUp(client, { after: "5", onEvent })).toEqual({ ok: true, value: "6" });
    expect(events.at(-1)).toMatchObject({ event_id: "evt_6", change: "resumed", sequence: 6 });
    expect(await catchUp(client, { after: "6", onEvent })).toEqual({ ok: true, value: "6" });
    expect(events).toHaveLength(6);
  });

  it("hands on what comes with an event that it does not know", async () => {
    keep(1, { later: "than this sdk" });
    const page = await client.listEvents();
    expect(page.ok && JSON.parse(page.value.entries[0]?.body ?? "")).toMatchObject({ later: "than this sdk" });
  });

  it("passes over the marketplace's own licenses and invoices, which no webhook of a dataset tells", async () => {
    const at = "2026-01-18T12:05:00Z";
    const event = { position: "4", event_id: "evt_4", type: "license.issued", at, aggregate: "lic_1", body: {} };
    platform.answers.set("/api/v1/events", () => Response.json({ events: [event], next: null, up_to: "4" }));
    const events: ReceivedEvent[] = [];
    expect(await catchUp(client, { onEvent: (one) => void events.push(one) })).toEqual({ ok: true, value: "4" });
    expect(events).toEqual([]);
  });

  it("refuses a platform in test mode unless it is allowed", async () => {
    keep(1, { test: true });
    const onEvent = (): void => undefined;
    expect(await catchUp(client, { onEvent })).toMatchObject({ ok: false, refusal: { code: "test_document" } });
    expect(await catchUp(client, { onEvent, allowTest: true })).toEqual({ ok: true, value: "1" });
  });

  it.each([
    ["no page", { events: 1, next: null, up_to: "1" }],
    ["no position", { events: [], next: null }],
    ["no webhook", { events: [{ position: "1", at: "2026-01-18T12:05:00Z", webhook: {} }], next: null, up_to: "1" }],
    ["no cursor", { events: [], next: 7, up_to: "1" }],
  ])("refuses an answer that is %s", async (_what, body) => {
    platform.answers.set("/api/v1/events", () => Response.json(body));
    const caughtUp = await catchUp(client, { onEvent: () => undefined });
    expect(caughtUp.ok ? undefined : caughtUp.refusal.code).toMatch(/^(document|webhook)_invalid$/);
  });

  it("answers why when the platform does not", async () => {
    platform.answers.set("/api/v1/events", () => new Response(null, { status: 500 }));
    expect(await catchUp(client, { onEvent: () => undefined })).toMatchObject({
      ok: false,
      refusal: { code: "internal" },
    });
  });

  it("throws what the caller throws", async () => {
    keep(1);
    const onEvent = (): never => {
      throw new Error("the store is full");
    };
    await expect(catchUp(client, { onEvent })).rejects.toThrow("the store is full");
  });
});
