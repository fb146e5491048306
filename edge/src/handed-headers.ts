import { type Framing, headerValues } from "./request-target.ts";

/**
 * Headers that are for one connection (RFC 9110 section 7.6.1), and `expect`, which was answered
 * here. What else `Connection` names stays: it could name what frames, routes or signs the request.
 */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  "connection",
  "expect",
  "http2-settings",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);
/** By these some sites take another address than the one that was judged. */
const OTHER_ADDRESS: ReadonlySet<string> = new Set(["x-original-url", "x-rewrite-url"]);

/** True for a header by which a site could take another address for the one that was asked for; no sender may set it. */
export function namesOtherAddress(name: string): boolean {
  return OTHER_ADDRESS.has(plainName(name));
}

/** True for what a proxy says of whoever sent a request: from anybody else it is a claim. */
export function saysWhoSent(name: string): boolean {
  const plain = plainName(name);
  return plain === "forwarded" || plain.startsWith("x-forwarded-");
}

/** Sites behind CGI and its heirs read `X_Name` as `X-Name`. */
function plainName(name: string): string {
  return name.toLowerCase().replaceAll("_", "-");
}

/** Who sent a request, as the edge sees it. */
export interface Sender {
  readonly address: string;
  /** True for a proxy that the operator trusts to say who is behind it. */
  readonly isTrusted: boolean;
}

export interface Handed {
  readonly url: URL;
  readonly framing: Framing;
  readonly sender: Sender;
  /** Names in lower case. */
  readonly removed: readonly string[];
}

/** The request's headers for the site: without what is for this connection or for the edge, framed anew, and with who sent it. */
export function headersForSite(rawHeaders: readonly string[], { url, framing, sender, removed }: Handed): string[] {
  const { address, isTrusted } = sender;
  const kept = keptHeaders(rawHeaders, (name) => {
    if (name === "host" || name === "content-length" || removed.includes(name)) return false;
    if (namesOtherAddress(name) || plainName(name) === "x-forwarded-for") return false;
    return isTrusted || !saysWhoSent(name);
  });
  const before = isTrusted ? headerValues(rawHeaders, "x-forwarded-for") : [];
  const isSaid = (name: string): boolean => isTrusted && headerValues(rawHeaders, name).length > 0;
  return [
    "host",
    url.host,
    ...kept,
    "x-forwarded-for",
    [...before, address].join(", "),
    ...(isSaid("x-forwarded-proto") ? [] : ["x-forwarded-proto", url.protocol.slice(0, -1)]),
    ...(isSaid("x-forwarded-host") ? [] : ["x-forwarded-host", url.host]),
    ...(framing.kind === "chunked" ? ["transfer-encoding", "chunked"] : []),
    ...(framing.kind === "length" ? ["content-length", String(framing.bytes)] : []),
  ];
}

/** Headers that say one more thing and take back none. */
export const STANDS_BESIDE: readonly string[] = ["link", "cache-tag"];

/** The site's headers for whoever asked: those that are added replace the site's of the same name, but those that stand beside it. */
export function headersOfAnswer(
  rawHeaders: readonly string[],
  added: readonly (readonly [string, string])[],
): string[] {
  const replaced = new Set(added.map(([name]) => name).filter((name) => !STANDS_BESIDE.includes(name)));
  return [...keptHeaders(rawHeaders, (name) => !replaced.has(name)), ...added.flat()];
}

function keptHeaders(rawHeaders: readonly string[], isKept: (name: string) => boolean): string[] {
  const kept: string[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const [name = "", value = ""] = rawHeaders.slice(at, at + 2);
    const lower = name.toLowerCase();
    if (!HOP_BY_HOP.has(lower) && isKept(lower)) kept.push(name, value);
  }
  return kept;
}

/** Whose share of the connections to the site a request takes: the sender's, or of whoever a trusted proxy says is behind it. */
export function clientOf(rawHeaders: readonly string[], { address, isTrusted }: Sender): string {
  const told = isTrusted ? headerValues(rawHeaders, "x-forwarded-for").join(",").split(",").at(-1)?.trim() : undefined;
  return told || address;
}
