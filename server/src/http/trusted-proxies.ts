import ipaddr from "ipaddr.js";

/** The proxies whose word about the client is believed; see LICET_TRUSTED_PROXIES. */
export interface TrustedProxies {
  readonly isEmpty: boolean;
  readonly includes: (address: string) => boolean;
}

type Range = readonly [address: ipaddr.IPv4 | ipaddr.IPv6, prefixBits: number];

/** Throws a RangeError that names the first text which is neither an address nor a CIDR range. */
export function trustedProxiesOf(texts: readonly string[]): TrustedProxies {
  const ranges = texts.map(parseRange);
  return {
    isEmpty: ranges.length === 0,
    includes: (text) => {
      const address = parseAddress(text);
      return address !== undefined && ranges.some((range) => isWithin(address, range));
    },
  };
}

function parseRange(text: string): Range {
  if (ipaddr.isValidCIDR(text)) {
    const [address, bits] = ipaddr.parseCIDR(text);
    return [address, bits];
  }
  const address = parseAddress(text);
  if (address === undefined) throw new RangeError(text);
  return [address, address.kind() === "ipv4" ? 32 : 128];
}

/** `ipaddr.isValid` takes octal and short forms too, which proxies and people read differently. */
function parseAddress(text: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  const bare = text.replace(/%.*$/, "");
  if (bare.includes(":")) return ipaddr.IPv6.isValid(bare) ? ipaddr.process(bare) : undefined;
  return ipaddr.IPv4.isValidFourPartDecimal(bare) ? ipaddr.IPv4.parse(bare) : undefined;
}

function isWithin(address: ipaddr.IPv4 | ipaddr.IPv6, [base, bits]: Range): boolean {
  if (address instanceof ipaddr.IPv4 && base instanceof ipaddr.IPv4) return address.match(base, bits);
  return address instanceof ipaddr.IPv6 && base instanceof ipaddr.IPv6 && address.match(base, bits);
}

export interface Hop {
  /** Who holds the other end of the connection. */
  readonly peer: string;
  readonly forwarded: string | undefined;
  readonly xForwardedFor: string | undefined;
}

/**
 * The client's address: the right-most one that no trusted proxy stands at. A name in place of an
 * address (`unknown`, `_hidden`) ends the search at the proxy that wrote it. X-Forwarded-For wins
 * over Forwarded, because a proxy that writes the former may pass on a forged one of the latter.
 */
export function clientAddressOf({ peer, forwarded, xForwardedFor }: Hop, trusted: TrustedProxies): string {
  let client = plainAddress(peer) ?? peer;
  if (!trusted.includes(client)) return client;
  const before = xForwardedFor === undefined ? forwardedFor(forwarded ?? "") : xForwardedFor.split(",");
  for (const text of before.toReversed()) {
    const address = plainAddress(withoutPort(text.trim()));
    if (address === undefined) return client;
    client = address;
    if (!trusted.includes(client)) return client;
  }
  return client;
}

/** One spelling for each address: IPv4-mapped IPv6 as IPv4, IPv6 in lower case and short, no zone. */
export function plainAddress(text: string): string | undefined {
  return parseAddress(text)?.toString();
}

function withoutPort(text: string): string {
  const bracketed = /^\[([^\]]+)\](?::\d{1,5})?$/.exec(text)?.[1];
  if (bracketed !== undefined) return bracketed;
  return /^(\d+\.\d+\.\d+\.\d+):\d{1,5}$/.exec(text)?.[1] ?? text;
}

/** The `for` parameters of RFC 7239 section 4, in order; an element without one is an empty text. */
function forwardedFor(header: string): readonly string[] {
  if (header === "") return [];
  const elements = header.match(/(?:[^,"]|"(?:[^"\\]|\\.)*")+/g) ?? [];
  return elements.map((element) => {
    const value = /(?:^|;)\s*for=(?:"((?:[^"\\]|\\.)*)"|([^;\s]*))/i.exec(element);
    return (value?.[1] ?? value?.[2] ?? "").replaceAll(/\\(.)/g, "$1");
  });
}
