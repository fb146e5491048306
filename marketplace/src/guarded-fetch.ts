import { checkPublicUrl, hostAndPort, isPublicAddress } from "@licet/protocol";
import type { Fetch } from "@licet/sdk";
import type { LookupAddress } from "node:dns";
import { lookup } from "node:dns/promises";
import { type IncomingMessage, request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import type { LookupFunction } from "node:net";

const MAX_HEADER_BYTES = 16_384;

/**
 * A `fetch` for URLs that strangers chose, such as the canonical URLs of a dataset's works: https on
 * the open Internet, or an exact `host:port` that the operator allows. The address that is connected
 * to is the one that was checked; no redirect is followed, nothing is decompressed. Rejects with a
 * TypeError that says why, as every fetch does.
 */
export function guardedFetch(allowedHosts: readonly string[]): Fetch {
  return async (text, { method = "GET", headers, signal }) => {
    const target = checkPublicUrl(text, { allowedHosts });
    if (!target.ok) throw new TypeError(target.refusal.detail);
    const url = target.value;
    const isAllowed = allowedHosts.includes(hostAndPort(url));
    const send = url.protocol === "https:" ? httpsRequest : httpRequest;
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const request = send(url, {
        method,
        headers: Object.fromEntries(new Headers(headers)),
        maxHeaderSize: MAX_HEADER_BYTES,
        ...(signal instanceof AbortSignal ? { signal } : {}),
        ...(isAllowed ? {} : { lookup: publicLookup }),
      });
      request.once("response", resolve);
      request.on("error", reject);
      request.end();
    });
    return toResponse(response);
  };
}

const publicLookup: LookupFunction = (name, options, settle) => {
  publicAddresses(name).then(
    ([first, ...others]) =>
      options.all === true ? settle(null, [first, ...others]) : settle(null, first.address, first.family),
    (error: unknown) => settle(error instanceof Error ? error : new Error(String(error)), []),
  );
};

/** One forbidden address among several forbids the name, since the next try could reach it. */
async function publicAddresses(name: string): Promise<readonly [LookupAddress, ...LookupAddress[]]> {
  const [first, ...others] = await lookup(name, { all: true, verbatim: true });
  if (first === undefined) throw new Error(`${name} has no address`);
  const forbidden = [first, ...others].find(({ address }) => !isPublicAddress(address));
  if (forbidden !== undefined)
    throw new Error(`expected a host on the open Internet; ${name} has the address ${forbidden.address}`);
  return [first, ...others];
}

const WITHOUT_BODY: readonly number[] = [204, 205, 304];

function toResponse(incoming: IncomingMessage): Response {
  const headers = Object.entries(incoming.headersDistinct).flatMap(([name, values = []]) =>
    values.map((value): [string, string] => [name, value]),
  );
  const { statusCode: status = 502 } = incoming;
  if (!WITHOUT_BODY.includes(status)) return new Response(bodyOf(incoming), { status, headers });
  incoming.resume();
  return new Response(null, { status, headers });
}

/** The body as it comes, read no faster than it is taken. */
function bodyOf(incoming: IncomingMessage): ReadableStream<Uint8Array<ArrayBuffer>> {
  const chunks: AsyncIterator<Uint8Array<ArrayBuffer>> = incoming[Symbol.asyncIterator]();
  return new ReadableStream({
    pull: async (controller) => {
      const next = await chunks.next();
      if (next.done === true) controller.close();
      else controller.enqueue(next.value);
    },
    cancel: () => void incoming.destroy(),
  });
}
