import { ROOT_CONTEXT, type Span, SpanKind, SpanStatusCode, TraceFlags, trace } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  BatchSpanProcessor,
  NodeTracerProvider,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
} from "@opentelemetry/sdk-trace-node";
import { AsyncLocalStorage } from "node:async_hooks";
import type { TracingConfig } from "../config.ts";
import type { RunningSpan, SpanStart, Tracing } from "./tracing.ts";

const KINDS = { server: SpanKind.SERVER, client: SpanKind.CLIENT, internal: SpanKind.INTERNAL };
/** Spans that wait for the collector; beyond it they are dropped, since nothing waits for a trace. */
const MAX_QUEUED = 4_096;
const EXPORT_TIMEOUT_MS = 5_000;

/** Tracing to the collector that the configuration names. */
export function exportTraces(config: TracingConfig): Tracing {
  const exporter = new OTLPTraceExporter({
    url: config.url,
    headers: { ...config.headers },
    timeoutMillis: EXPORT_TIMEOUT_MS,
  });
  const provider = new NodeTracerProvider({
    resource: resourceFromAttributes({ "service.name": config.serviceName }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(config.sampleRatio) }),
    spanProcessors: [
      new BatchSpanProcessor(exporter, { maxQueueSize: MAX_QUEUED, exportTimeoutMillis: EXPORT_TIMEOUT_MS }),
    ],
  });
  const tracer = provider.getTracer("licet");
  // Not the API's global one: two servers in one process do not share their traces.
  const current = new AsyncLocalStorage<Span>();

  function start({ name, kind = "internal", attributes = {}, traceparent }: SpanStart): Span {
    const parent = current.getStore();
    const context = parent === undefined ? contextOf(traceparent) : trace.setSpan(ROOT_CONTEXT, parent);
    return tracer.startSpan(name, { kind: KINDS[kind], attributes: { ...attributes } }, context);
  }

  return {
    isOn: true,
    within: async (spanStart, work) => {
      const span = start(spanStart);
      const running = runningOf(span);
      try {
        return await current.run(span, () => work(running));
      } catch (error) {
        running.fail(error instanceof Error ? error.name : "unknown");
        throw error;
      } finally {
        span.end();
      }
    },
    begin: (spanStart, work) => {
      const span = start(spanStart);
      current.run(span, () => work(runningOf(span)));
    },
    child: (spanStart) => (current.getStore() === undefined ? undefined : runningOf(start(spanStart))),
    stop: () => provider.shutdown().catch(() => undefined),
  };
}

function runningOf(span: Span): RunningSpan {
  return {
    name: (name) => void span.updateName(name),
    note: (attributes) => void span.setAttributes({ ...attributes }),
    fail: (errorType) => {
      span.setStatus({ code: SpanStatusCode.ERROR });
      span.setAttribute("error.type", errorType);
    },
    end: () => span.end(),
  };
}

/** W3C Trace Context, section 3.2.2: version, trace id, parent id, flags; later versions may add more. */
const TRACEPARENT = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

function contextOf(traceparent: string | undefined) {
  const [, version, traceId, spanId, flags = "", more] = TRACEPARENT.exec(traceparent ?? "") ?? [];
  if (traceId === undefined || spanId === undefined || (version === "00" && more !== undefined)) return ROOT_CONTEXT;
  const traceFlags = Number.parseInt(flags, 16) & TraceFlags.SAMPLED;
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags, isRemote: true });
}
