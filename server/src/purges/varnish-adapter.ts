import { isCacheTag } from "@licet/protocol";
import type { Outbound } from "../http/outbound.ts";
import { attemptError } from "../jobs/attempt-error.ts";
import type { VarnishTarget } from "../purge-config.ts";
import { type PurgeAdapter, type PurgeCall, type PurgeOutcome, quoteAnswer } from "./purge-port.ts";
import { cacheName } from "./target-names.ts";

/** Together shorter than the 8 KiB that Varnish takes for one header. */
const MAX_TAGS = 100;
/** What examples/varnish/licet.vcl answers with: any other web server that says 200 has forgotten nothing. */
const DONE_HEADER = "x-licet-purged";

/** Purges a Varnish that runs examples/varnish/licet.vcl: BAN by tags, PURGE by URL. */
export function varnishAdapterOf(outbound: Pick<Outbound, "send">, settings: VarnishTarget): PurgeAdapter {
  const { url: base } = settings;
  return {
    target: cacheName(settings),
    leg: "purge",
    limits: { tags: MAX_TAGS, urls: 1 },
    meter: undefined,
    mayHold: () => true,
    send: async (call) => (call.kind === "tags" ? ban(outbound, base, call) : purge(outbound, base, call)),
  };
}

/** The tags become part of an expression over there, so nothing but a tag is sent: it is refused as the cache would. */
async function ban(outbound: Pick<Outbound, "send">, base: URL, { items }: PurgeCall): Promise<PurgeOutcome> {
  const strange = items.find((tag) => !isCacheTag(tag));
  if (strange !== undefined)
    return {
      isConfirmed: false,
      status: 400,
      error: attemptError(`expected tags of lower-case letters, digits and hyphens, got ${strange}`),
    };
  return send(outbound, base.href, { method: "BAN", headers: { "x-licet-tags": items.join("|") } });
}

/** Varnish knows an object by its host and path. The path stays one: `//host/…`, resolved against the base, would lead to that host. */
async function purge(outbound: Pick<Outbound, "send">, base: URL, { items }: PurgeCall): Promise<PurgeOutcome> {
  const [url = ""] = items;
  const { host, pathname, search } = new URL(url);
  const at = new URL(base);
  at.pathname = pathname;
  at.search = search;
  return send(outbound, at.href, { method: "PURGE", headers: { host } });
}

async function send(
  outbound: Pick<Outbound, "send">,
  url: string,
  request: { readonly method: "BAN" | "PURGE"; readonly headers: Readonly<Record<string, string>> },
): Promise<PurgeOutcome> {
  const answer = await outbound.send(url, request);
  if (!answer.ok) return { isConfirmed: false, error: attemptError(answer.refusal.detail) };
  const { status, headers, body } = answer.value;
  if (status === 200 && headers.has(DONE_HEADER)) return { isConfirmed: true };
  return {
    isConfirmed: false,
    status,
    error: attemptError(
      status === 200
        ? `expected ${DONE_HEADER} from examples/varnish/licet.vcl, got an answer without it: is this the cache, and does it run that VCL?`
        : `expected 200, got ${quoteAnswer(status, body)}`,
    ),
  };
}
