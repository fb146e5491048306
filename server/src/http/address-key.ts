import ipaddr from "ipaddr.js";

/** The groups of an IPv6 address that name a network: whoever has one address usually has its whole /64. */
const NETWORK_GROUPS = 4;

/** What strangers are counted by: an IPv4 address, or the /64 of an IPv6 address. */
export function addressKey(address: string): string {
  const bare = address.replace(/%.*$/, "");
  if (!ipaddr.isValid(bare)) return "unknown";
  const parsed = ipaddr.process(bare);
  return parsed instanceof ipaddr.IPv6
    ? parsed.parts
        .slice(0, NETWORK_GROUPS)
        .map((part) => part.toString(16))
        .join(":")
    : parsed.toString();
}
