import type { PurgeConfig, PurgeTarget } from "../purge-config.ts";

/** A cache as it is named everywhere, without secrets: `varnish:http://10.0.0.5:6081`. */
export function cacheName(target: PurgeTarget): string {
  switch (target.kind) {
    case "cloudflare":
      return `cloudflare:${target.zone}@${target.domain}`;
    case "fastly":
      return `fastly:${target.service}@${target.domain}`;
    case "varnish":
      return `varnish:${target.url.origin}`;
  }
}

export function edgeName(edge: URL): string {
  return `edge:${edge.origin}`;
}

/** Every cache and edge of a configuration. */
export function targetNames({ targets, edges }: PurgeConfig): readonly string[] {
  return [...targets.map(cacheName), ...edges.map(edgeName)];
}
