/** Where traces go, and how many. */
export interface TracingConfig {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly serviceName: string;
  /** From 0 to 1. */
  readonly sampleRatio: number;
}

type Refuse = (name: string, sentence: string) => never;

/** OpenTelemetry's own names (its specification, "OpenTelemetry Protocol Exporter"); tracing is off without an endpoint. */
export function readTracing(
  env: Readonly<Record<string, string | undefined>>,
  refuse: Refuse,
): TracingConfig | undefined {
  const disabled = env["OTEL_SDK_DISABLED"]?.toLowerCase() === "true";
  const url = readUrl(env, refuse);
  if (url === undefined || disabled) return undefined;
  return {
    url,
    headers: readHeaders(env["OTEL_EXPORTER_OTLP_HEADERS"], refuse),
    serviceName: env["OTEL_SERVICE_NAME"] || "licet",
    sampleRatio: readRatio(env["OTEL_TRACES_SAMPLER_ARG"], refuse),
  };
}

function readUrl(env: Readonly<Record<string, string | undefined>>, refuse: Refuse): string | undefined {
  const [name, suffix] = env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]
    ? (["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", ""] as const)
    : (["OTEL_EXPORTER_OTLP_ENDPOINT", "/v1/traces"] as const);
  const text = env[name];
  if (text === undefined || text === "") return undefined;
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol))
    return refuse(name, `expected a URL such as http://127.0.0.1:4318, got ${text}`);
  return suffix === "" ? text : text.replace(/\/+$/, "") + suffix;
}

/** Values are secrets: no refusal repeats them. */
function readHeaders(text = "", refuse: Refuse): Readonly<Record<string, string>> {
  const pairs = text
    .split(",")
    .map((pair) => pair.trim())
    .filter((pair) => pair !== "");
  return Object.fromEntries(
    pairs.map((pair) => {
      const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+)=((?:[^%]|%[0-9A-Fa-f]{2})*)$/.exec(pair) ?? [];
      if (name === undefined || value === undefined)
        return refuse(
          "OTEL_EXPORTER_OTLP_HEADERS",
          "expected name=value pairs separated by commas, got something else",
        );
      return [name, decodeURIComponent(value)];
    }),
  );
}

function readRatio(text = "1", refuse: Refuse): number {
  const ratio = Number(text);
  if (text.trim() === "" || !(ratio >= 0 && ratio <= 1))
    return refuse("OTEL_TRACES_SAMPLER_ARG", `expected a number from 0 to 1, got ${text}`);
  return ratio;
}
