import { describe, expect, test } from "vitest";
import { enrolCreator } from "../../../test/fixtures/actors.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { startSink } from "../../../test/fixtures/webhook-sink.ts";
import { trustedProxiesOf } from "../http/trusted-proxies.ts";

interface SentSpan {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly attributes: readonly { readonly key: string }[];
}

/** What a collector was sent, once the server has stopped and with it the last export. */
const collector = await startSink();

function spans(): readonly SentSpan[] {
  return collector
    .received("/v1/traces")
    .flatMap(({ body }) => JSON.parse(body).resourceSpans)
    .flatMap((resource) => resource.scopeSpans)
    .flatMap((scope) => scope.spans);
}

const tracing = {
  url: collector.url("/v1/traces"),
  headers: { "x-collector-key": "k" },
  serviceName: "licet-test",
  sampleRatio: 1,
};
const TRACE = "0af7651916cd43dd8448eb211c80319c";
const traceparent = `00-${TRACE}-b7ad6b7169203331-01`;

describe("traces", () => {
  test("tell of requests, facts and transactions, without tokens, bodies, paths or people", async () => {
    const platform = await startPlatform({ tracing, trustedProxies: trustedProxiesOf(["127.0.0.1"]) });
    const creator = await enrolCreator(platform);
    await platform.operator.send("GET", "/readyz", { headers: { traceparent } });
    await platform.server.stop();

    const sent = spans();
    const enrolment = sent.find(({ name }) => name === "POST /api/v1/creators");
    const fact = sent.find(({ name, parentSpanId }) => name === "fact" && parentSpanId === enrolment?.spanId);
    const transaction = sent.find(({ name, parentSpanId }) => name === "transaction" && parentSpanId === fact?.spanId);
    expect(transaction?.traceId).toBe(enrolment?.traceId);
    expect(enrolment?.attributes.map(({ key }) => key)).toEqual(
      expect.arrayContaining(["http.request.method", "http.route", "http.response.status_code"]),
    );
    expect(sent.find(({ name }) => name === "GET /readyz")?.traceId).toBe(TRACE);

    const everything = collector
      .received("/v1/traces")
      .map(({ body }) => body)
      .join("");
    expect(everything).not.toContain(platform.operatorToken);
    expect(everything).not.toContain(creator.creatorId);
    expect(everything).toContain("licet-test");
    expect(collector.received("/v1/traces")[0]?.headers["x-collector-key"]).toBe("k");
  });

  test("are not joined to those of somebody who is no trusted proxy", async () => {
    const platform = await startPlatform({ tracing });
    const before = spans().length;
    await platform.anonymous.get("/healthz", { traceparent });
    await platform.server.stop();
    const sent = spans().slice(before);
    expect(sent.some(({ name }) => name === "GET /healthz")).toBe(true);
    expect(sent.some(({ traceId }) => traceId === TRACE)).toBe(false);
  });

  test("that nobody takes keep nobody waiting", async () => {
    collector.reply("/v1/traces", () => "hang");
    const platform = await startPlatform({ tracing });
    expect((await platform.anonymous.get("/healthz")).status).toBe(200);
    collector.letGo();
  });
});
