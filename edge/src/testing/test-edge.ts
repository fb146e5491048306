import type { Settings } from "../config.ts";
import { SITE } from "./test-platform.ts";

/** A request as it is written on the wire: the target unchanged, each header line by itself. */
export interface Asking {
  readonly target?: string;
  readonly method?: string;
  readonly headers?: readonly (readonly [string, string])[];
  readonly body?: string;
  /** What Cloudflare says of a client certificate; in workerd alone. */
  readonly tlsClientAuth?: Readonly<Record<string, string>>;
}

export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

export interface TestEdge {
  readonly ask: (asking: Asking) => Promise<Answered>;
  /** Waits for what goes on after the answers. */
  readonly settle: () => Promise<void>;
  readonly close: () => Promise<void>;
}

/** True inside workerd, where the edge is the Worker; otherwise it is the proxy on Node. */
export const IN_WORKERD = globalThis.navigator?.userAgent === "Cloudflare-Workers";

/** Starts the edge that belongs to the runtime the test runs in, in front of `upstream`, as the site {@link SITE}. */
export async function startTestEdge(settings: Settings, upstream: string): Promise<TestEdge> {
  const host = IN_WORKERD ? await import("./worker-host.ts") : await import("./node-host.ts");
  return host.startHost(settings, { upstream, site: SITE });
}
