import { describe, expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  fetchAccessToken,
  giveConsent,
  publishDataset,
  registerWork,
} from "../../../test/fixtures/actors.ts";
import { freePort, startPlatform } from "../../../test/fixtures/platform.ts";
import { engine } from "../../../test/fixtures/settings.ts";

const metricsPort = await freePort();
const platform = await startPlatform({ metricsPort });

async function readMetrics(): Promise<string> {
  const { text, headers } = expectStatus(await platform.operator.get("/metrics"), 200);
  expect(headers.get("content-type")).toContain("text/plain; version=0.0.4");
  return text;
}

/** The value of a series, by its name and labels as they are written. */
function valueOf(text: string, series: string): number | undefined {
  const line = text.split("\n").find((candidate) => candidate.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

async function waitForValue(series: string, isMet: (value: number | undefined) => boolean): Promise<void> {
  for (const until = Date.now() + 15_000; !isMet(valueOf(await readMetrics(), series));)
    if (Date.now() > until) throw new Error(`${series} is ${valueOf(await readMetrics(), series)}`);
}

describe("GET /metrics", () => {
  test("is for the operator and for clients with metrics:read, and for nobody else", async () => {
    expect((await platform.anonymous.get("/metrics")).status).toBe(401);
    const client = expectStatus(
      await platform.operator.post("/api/v1/clients", { name: "Prometheus", scopes: ["metrics:read"] }),
      201,
    ).body;
    const token = await fetchAccessToken(platform, {
      clientId: client.client_id,
      clientSecret: client.client_secret,
      scope: "metrics:read",
    });
    expect((await platform.as(token).get("/metrics")).status).toBe(200);
  });

  test("counts requests by template and status, never by path", async () => {
    const creator = await enrolCreator(platform);
    await platform.operator.get(`/api/v1/creators/${creator.creatorId}`);
    await platform.anonymous.get("/no/such/path-at-all");
    const series = 'licet_http_request_duration_seconds_count{method="GET",route="/api/v1/creators/{id}",status="200"}';
    await waitForValue(series, (value) => (value ?? 0) >= 1);
    const text = await readMetrics();
    expect(valueOf(text, 'licet_http_request_duration_seconds_count{method="GET",route="none",status="404"}')).toBe(1);
    expect(text).not.toContain(creator.creatorId);
    expect(text).not.toContain("path-at-all");
  });

  test("counts documents by kind and where they came from, and facts", async () => {
    const before = valueOf(await readMetrics(), 'licet_documents_served_total{kind="key-set",from="memory"}') ?? 0;
    await platform.anonymous.get("/.well-known/keys.json");
    await platform.anonymous.get("/.well-known/keys.json");
    const text = await readMetrics();
    const after = valueOf(text, 'licet_documents_served_total{kind="key-set",from="memory"}') ?? 0;
    expect(after - before).toBeGreaterThanOrEqual(1);
    expect(valueOf(text, 'licet_fact_duration_seconds_count{refusing="false"}')).toBeGreaterThan(0);
  });

  test("says how the database, the listener, the journal and the queues are", async () => {
    const text = await readMetrics();
    expect(valueOf(text, "licet_database_up")).toBe(1);
    expect(valueOf(text, "licet_listener_current")).toBe(1);
    expect(valueOf(text, "licet_journal_failing_seconds")).toBe(0);
    expect(valueOf(text, "licet_webhook_deliveries_waiting")).toBe(0);
    expect(valueOf(text, 'licet_events_unhandled{queue="fan-out"}')).toBeGreaterThanOrEqual(0);
    expect(valueOf(text, 'licet_signing_key_left_seconds{purpose="document"}')).toBeGreaterThan(0);
    expect(valueOf(text, 'licet_database_pool_connections{state="idle"}') !== undefined).toBe(engine === "postgres");
    expect(valueOf(text, "licet_feed_lag_seconds")).toBeGreaterThanOrEqual(0);
    expect(valueOf(text, "licet_content_status_lag_seconds")).toBe(0);
    expect(text).toContain("nodejs_eventloop_lag_seconds");
    expect(text).toContain("process_resident_memory_bytes");
  });

  test("says when each sweep was last done", async () => {
    const series = 'licet_sweep_last_done_timestamp_seconds{sweep="deliver webhooks"}';
    await waitForValue(series, (value) => (value ?? 0) > 0);
  });

  test("says how long a dataset has waited for the content statuses of its works", async () => {
    const { db } = platform.server.ctx;
    const creator = await enrolCreator(platform);
    const work = await registerWork(platform, creator.creatorId);
    await giveConsent(creator);
    const { dataset_id } = await publishDataset(platform, [work]);
    const isRendered = async () => {
      const rendered = await db.selectFrom("content_status").selectAll().where("content_id", "=", work).execute();
      const waiting = await db.selectFrom("content_status_order").selectAll().execute();
      return rendered.length === 1 && waiting.length === 0;
    };
    await expect.poll(isRendered, { timeout: 15_000 }).toBe(true);
    const nowMs = platform.clock.nowMs();
    const waiting = { dataset_id, ordered_at_ms: nowMs - 90_000, lease_until_ms: nowMs + 600_000 };
    await db.insertInto("content_status_order").values(waiting).execute();
    await waitForValue("licet_content_status_lag_seconds", (value) => (value ?? 0) >= 90);
    await db.deleteFrom("content_status_order").execute();
  });

  test("names every sweep from the start, and the one that tends the embedded database only where there is one", async () => {
    const text = await readMetrics();
    const runsOf = (sweep: string) =>
      valueOf(text, `licet_sweep_duration_seconds_count{sweep="${sweep}",outcome="failed"}`);
    expect(runsOf("pull receipts")).toBe(0);
    expect(runsOf("tend the embedded database")).toBe(engine === "pglite" ? 0 : undefined);
  });
});

describe("LICET_METRICS_PORT", () => {
  test("answers /metrics on this machine without a token, and nothing else", async () => {
    const answer = await fetch(`http://127.0.0.1:${metricsPort}/metrics`);
    expect(answer.status).toBe(200);
    expect(await answer.text()).toContain("licet_database_up 1");
    expect((await fetch(`http://127.0.0.1:${metricsPort}/healthz`)).status).toBe(404);
    expect((await fetch(`http://127.0.0.1:${metricsPort}/metrics`, { method: "POST" })).status).toBe(404);
  });
});
