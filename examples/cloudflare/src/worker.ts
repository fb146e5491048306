import edge from "@licet/edge/worker";
import type { Purge } from "./purge-api.ts";
import { PURGE_PATH } from "./purge-path.ts";

/*
 * The edge's Worker as it is deployed, with what a zone of Cloudflare's has around it and workerd on
 * this machine lacks: the site's own domain in front, and a cache that is purged by tags.
 */

type Env = Parameters<typeof edge.fetch>[1];
type Context = Parameters<typeof edge.fetch>[2];

/** Which URLs the cache holds under a tag. Tags are compared without regard to case. */
const urlsByTag = new Map<string, Set<string>>();

// oxlint-disable-next-line typescript/unbound-method -- it is called on the cache that is asked
const put = Cache.prototype.put;
Cache.prototype.put = async function (request: RequestInfo | URL, response: Response): Promise<void> {
  const url = typeof request === "string" ? request : request instanceof URL ? request.href : request.url;
  for (const tag of (response.headers.get("cache-tag") ?? "").toLowerCase().split(",")) {
    const urls = urlsByTag.get(tag) ?? new Set<string>();
    urlsByTag.set(tag, urls.add(url));
  }
  await put.call(this, request, response);
};

async function purge({ tags, files }: Purge): Promise<void> {
  const cache = (caches as CacheStorage & { readonly default: Cache }).default;
  const urls = new Set(files);
  for (const tag of tags) {
    for (const url of urlsByTag.get(tag.toLowerCase()) ?? []) urls.add(url);
    urlsByTag.delete(tag.toLowerCase());
  }
  await Promise.all([...urls].map((url) => cache.delete(url)));
}

export default {
  async fetch(request: Request, env: Env, context: Context): Promise<Response> {
    const { pathname, search } = new URL(request.url);
    if (pathname === PURGE_PATH) {
      if (request.headers.get("authorization") !== `Bearer ${env["SIMULATED_PURGE_TOKEN"]}`)
        return new Response(null, { status: 403 });
      await purge(await request.json());
      return new Response(null, { status: 204 });
    }
    return edge.fetch(new Request(`${env["SIMULATED_SITE"]}${pathname}${search}`, request), env, context);
  },
};
