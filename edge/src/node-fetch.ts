import { type Result, accept, checkPublicUrl, hostAndPort, isPublicAddress, refuse } from "@licet/protocol";
import type { LookupAddress } from "node:dns";
import { lookup } from "node:dns/promises";
import { once } from "node:events";
import { type IncomingMessage, request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import type { LookupFunction } from "node:net";
import type { FetchLimits, Fetched } from "./ports.ts";

const MAX_HEADER_BYTES = 16_384;

/** Opens URLs that strangers chose: the address that is connected to is the one that was checked; no redirect is followed, nothing decompressed. */
export async function fetchPublic(
  text: string,
  { headers, maxBytes, timeoutMs }: FetchLimits,
  allowedHosts: readonly string[],
): Promise<Result<Fetched>> {
  const target = checkPublicUrl(text, { allowedHosts });
  if (!target.ok) return target;
  const url = target.value;
  const isAllowed = allowedHosts.includes(hostAndPort(url));
  const send = url.protocol === "https:" ? httpsRequest : httpRequest;
  try {
    const request = send(url, {
      headers: { ...headers, "accept-encoding": "identity" },
      maxHeaderSize: MAX_HEADER_BYTES,
      signal: AbortSignal.timeout(timeoutMs),
      agent: false,
      ...(isAllowed ? {} : { lookup: publicLookup }),
    });
    request.end();
    const [response] = (await once(request, "response")) as [IncomingMessage];
    const body = await readBody(response, maxBytes);
    return body === undefined
      ? refuse("source_unavailable", `expected at most ${maxBytes} bytes of ${text}`)
      : accept({ status: response.statusCode ?? 0, headers: headersOf(response), text: body });
  } catch (error) {
    return refuse("source_unavailable", `${text}: ${error instanceof Error ? error.message : String(error)}`);
  }
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

/** A body in UTF-8, or undefined once it is over the limit. */
export async function readBody(message: IncomingMessage, maxBytes: number): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** Every line of every header, so that a header that came twice is seen to have come twice. */
export function headersOf({ rawHeaders }: IncomingMessage): Headers {
  const headers = new Headers();
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) headers.append(rawHeaders[at] ?? "", rawHeaders[at + 1] ?? "");
  return headers;
}
