/** An IP address as a number, with how many bits it has. */
interface Address {
  readonly bits: 32 | 128;
  readonly value: bigint;
}

interface AddressRange extends Address {
  readonly prefixLength: number;
}

const OCTET = /^(0|[1-9]\d{0,2})$/;
const GROUPS = 8;
const GROUP = /^[0-9a-f]{1,4}$/i;

/**
 * IPv4 that no stranger's URL may lead to: the IANA special-purpose registry (RFC 6890), multicast,
 * and the one metadata service that clouds run on an ordinary address.
 */
const CLOSED_IPV4 = [
  "0.0.0.0/8", // this network
  "10.0.0.0/8", // private
  "100.64.0.0/10", // carrier-grade NAT
  "127.0.0.0/8", // loopback
  "168.63.129.16/32", // the platform service of Azure
  "169.254.0.0/16", // link-local, and metadata
  "172.16.0.0/12", // private
  "192.0.0.0/24", // protocol assignments
  "192.0.2.0/24", // documentation
  "192.31.196.0/24", // AS112
  "192.52.193.0/24", // AMT
  "192.88.99.0/24", // 6to4 relays
  "192.168.0.0/16", // private
  "192.175.48.0/24", // AS112
  "198.18.0.0/15", // benchmarking
  "198.51.100.0/24", // documentation
  "203.0.113.0/24", // documentation
  "224.0.0.0/4", // multicast
  "240.0.0.0/4", // reserved, and broadcast
].map(rangeOf);

/** The only IPv6 that is routed to everybody: everything mapped, translated, local and multicast lies outside. */
const OPEN_IPV6 = rangeOf("2000::/3");

/** What is not everybody's inside it (IANA IPv6 special-purpose registry). */
const CLOSED_IPV6 = [
  "2001::/23", // protocol assignments: Teredo, ORCHID, benchmarking
  "2001:db8::/32", // documentation
  "2002::/16", // 6to4, which carries any IPv4
  "2620:4f:8000::/48", // AS112
  "3fff::/20", // documentation
].map(rangeOf);

/**
 * True for an IP address that belongs to the open Internet: not private, loopback, link-local,
 * metadata, carrier-grade NAT, multicast, reserved, documentation, and no IPv6 that stands for an
 * IPv4 (mapped, NAT64, 6to4, Teredo). Anything that is not one address in its plain spelling —
 * decimal without leading zeros; hexadecimal groups, without a zone — is not public.
 *
 * @example isPublicAddress("169.254.169.254") // → false
 */
export function isPublicAddress(text: string): boolean {
  const address = parseAddress(text);
  if (address === undefined) return false;
  if (address.bits === 32) return !CLOSED_IPV4.some((range) => isWithin(address, range));
  return isWithin(address, OPEN_IPV6) && !CLOSED_IPV6.some((range) => isWithin(address, range));
}

/** True for text that is an IPv4 or IPv6 address in its plain spelling, without brackets. */
export function isAddress(text: string): boolean {
  return parseAddress(text) !== undefined;
}

function isWithin(address: Address, { value, prefixLength, bits }: AddressRange): boolean {
  const hostBits = BigInt(bits - prefixLength);
  return address.bits === bits && address.value >> hostBits === value >> hostBits;
}

function rangeOf(text: string): AddressRange {
  const [start = "", length = ""] = text.split("/");
  const address = parseAddress(start);
  if (address === undefined) throw new TypeError(`expected a range such as 10.0.0.0/8, got ${text}`);
  return { ...address, prefixLength: Number(length) };
}

function parseAddress(text: string): Address | undefined {
  return text.includes(":") ? parseIpv6(text) : parseIpv4(text);
}

function parseIpv4(text: string): Address | undefined {
  const octets = text.split(".");
  if (octets.length !== 4 || !octets.every((octet) => OCTET.test(octet) && Number(octet) < 256)) return undefined;
  return { bits: 32, value: octets.reduce((value, octet) => (value << 8n) | BigInt(octet), 0n) };
}

function parseIpv6(text: string): Address | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [head = [], tail = []] = halves.map((half) => (half === "" ? [] : groupsOf(half)));
  const missing = GROUPS - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  const groups = [...head, ...Array.from({ length: missing }, () => "0"), ...tail];
  if (!groups.every((group) => GROUP.test(group))) return undefined;
  return { bits: 128, value: groups.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n) };
}

/** The groups of one half; an IPv4 tail (RFC 4291 section 2.2) is two of them. */
function groupsOf(half: string): readonly string[] {
  const groups = half.split(":");
  const tail = parseIpv4(groups.at(-1) ?? "");
  if (tail === undefined) return groups;
  return [...groups.slice(0, -1), (tail.value >> 16n).toString(16), (tail.value & 0xffffn).toString(16)];
}
