import { type Result, accept, refuse } from "@licet/protocol";

/** What is sent to an address that somebody else chose. */
export interface OutboundRequest {
  readonly method: "GET" | "POST";
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface OutboundResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
}

export type OutboundFetch = (url: string, request: OutboundRequest) => Promise<Result<OutboundResponse>>;

const TIMEOUT_MS = 10_000;
const MAX_RESPONSE_BYTES = 65_536;

/**
 * The one way out: every request this server makes goes through here. Only https, or a host that
 * the operator allowed; no redirects; limits on time and size.
 */
export function createOutbound(allowedHosts: readonly string[]): OutboundFetch {
  return async (url, request) => {
    const target = checkOutboundUrl(url, allowedHosts);
    if (!target.ok) return target;
    try {
      const response = await fetch(target.value, {
        ...request,
        redirect: "manual",
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      return accept({ status: response.status, headers: response.headers, body: await readLimited(response) });
    } catch (error) {
      return refuse("unavailable", `${target.value.host} did not answer: ${reasonOf(error)}`);
    }
  };
}

/** Refuses (`input_invalid`) an address that the server would never call, already when it is registered. */
export function checkOutboundUrl(url: string, allowedHosts: readonly string[]): Result<URL> {
  if (!URL.canParse(url)) return refuse("input_invalid", "expected an absolute URL");
  const target = new URL(url);
  const host = `${target.hostname}:${target.port || (target.protocol === "https:" ? "443" : "80")}`;
  if (target.username !== "" || target.password !== "")
    return refuse("input_invalid", "expected a URL without user name and password");
  if (target.protocol !== "https:" && !(target.protocol === "http:" && allowedHosts.includes(host))) {
    return refuse(
      "input_invalid",
      `expected https, or a host named in LICET_ALLOW_HOSTS, got ${target.protocol}//${host}`,
    );
  }
  return accept(target);
}

async function readLimited(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    if (length > MAX_RESPONSE_BYTES) break;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}
