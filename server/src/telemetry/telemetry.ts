import type { Config } from "../config.ts";
import { type Metrics, createMetrics } from "./metrics.ts";
import { type Tracing, createTracing } from "./tracing.ts";

/** What the server says about its own work: numbers for whoever asks, traces for the collector. */
export interface Telemetry {
  readonly metrics: Metrics;
  readonly tracing: Tracing;
}

export async function createTelemetry({ tracing }: Pick<Config, "tracing">): Promise<Telemetry> {
  return { metrics: createMetrics(), tracing: await createTracing(tracing) };
}
