import { hostAndPort } from "@licet/protocol";
import type { Context } from "../context.ts";
import { type Outbound, createOutbound } from "../http/outbound.ts";
import type { PurgeConfig, PurgeTarget } from "../purge-config.ts";
import { cloudflareAdapterOf } from "./cloudflare-adapter.ts";
import { edgeAdapterOf } from "./edge-adapter.ts";
import { fastlyAdapterOf } from "./fastly-adapter.ts";
import type { PurgeAdapter } from "./purge-port.ts";
import { varnishAdapterOf } from "./varnish-adapter.ts";

export interface Targets {
  readonly adapters: readonly PurgeAdapter[];
  readonly close: () => Promise<void>;
}

/**
 * The caches and edges of the configuration. They have a way out of their own: the operator named
 * their hosts, which may be private, and nobody else's URLs may lead there.
 */
export function createTargets(ctx: Context): Targets {
  const { purges, allowedHosts } = ctx.config;
  const outbound = createOutbound({ allowedHosts: [...allowedHosts, ...hostsOf(purges)], tracing: ctx.tracing });
  return {
    adapters: [
      ...purges.targets.map((target) => cacheAdapterOf(outbound, target)),
      ...purges.edges.map((edge) => edgeAdapterOf(ctx, outbound, edge)),
    ],
    close: () => outbound.close(),
  };
}

export function cacheAdapterOf(outbound: Outbound, target: PurgeTarget): PurgeAdapter {
  switch (target.kind) {
    case "cloudflare":
      return cloudflareAdapterOf(outbound, target);
    case "fastly":
      return fastlyAdapterOf(outbound, target);
    case "varnish":
      return varnishAdapterOf(outbound, target);
  }
}

/** The hosts that the operator named, as an outbound allowance. */
export function hostsOf({ targets, edges }: PurgeConfig): readonly string[] {
  return [...targets.map((target) => (target.kind === "varnish" ? target.url : target.api)), ...edges].map(hostAndPort);
}
