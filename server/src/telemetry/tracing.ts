import type { TracingConfig } from "../config.ts";

/** What may be said about a span: names, numbers and outcomes, never a token, a body, a path or who it was about. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean>>;

/** Something that takes time. */
export interface SpanStart {
  readonly name: string;
  readonly kind?: "server" | "client" | "internal";
  readonly attributes?: SpanAttributes;
  /** `traceparent` of somebody we trust (W3C Trace Context). */
  readonly traceparent?: string | undefined;
}

/** A span that runs. All of it does nothing while tracing is off. */
export interface RunningSpan {
  readonly name: (name: string) => void;
  readonly note: (attributes: SpanAttributes) => void;
  /** Says what kind of failure it was; the text of an error may hold what must not leave. */
  readonly fail: (errorType: string) => void;
  readonly end: () => void;
}

/** Traces (OpenTelemetry). Spans that are started inside the work of another are its children. */
export interface Tracing {
  readonly isOn: boolean;
  /** Does work in a span, which ends with it. */
  readonly within: <T>(start: SpanStart, work: (span: RunningSpan) => Promise<T>) => Promise<T>;
  /** Starts a span that `end` ends, and does work in it that goes on after it returns. */
  readonly begin: (start: SpanStart, work: (span: RunningSpan) => void) => void;
  /** A span that ends elsewhere; undefined outside of every other span. */
  readonly child: (start: SpanStart) => RunningSpan | undefined;
  /** Sends what is left, for as long as the exporter waits at most. */
  readonly stop: () => Promise<void>;
}

const NOTHING: RunningSpan = {
  name: () => undefined,
  note: () => undefined,
  fail: () => undefined,
  end: () => undefined,
};

export const NO_TRACING: Tracing = {
  isOn: false,
  within: (_start, work) => work(NOTHING),
  begin: (_start, work) => work(NOTHING),
  child: () => undefined,
  stop: async () => undefined,
};

/** Tracing to the collector that the configuration names, or none: then the library for it is not loaded either. */
export async function createTracing(config: TracingConfig | undefined): Promise<Tracing> {
  if (config === undefined) return NO_TRACING;
  const { exportTraces } = await import("./export-traces.ts");
  return exportTraces(config);
}
