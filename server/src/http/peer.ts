import type { X509Certificate } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { type ClientCertificates, readClientCert } from "./client-certificates.ts";
import { type TrustedProxies, clientAddressOf, plainAddress } from "./trusted-proxies.ts";

/** Who is at the other end, as far as the transport shows. */
export interface Peer {
  /** The client's IP address, also when proxies that we trust stand in between. */
  readonly address: string;
  /** The certificate the client proved to own: in our own TLS, or to a proxy that we trust (RFC 9440). */
  readonly certificate: X509Certificate | undefined;
  /** Whether that certificate leads to a certification authority of LICET_MTLS_CA. */
  readonly isCertified: boolean;
}

export interface PeerRules {
  readonly proxies: TrustedProxies;
  readonly certificates: ClientCertificates;
}

const peers = new WeakMap<IncomingMessage, Peer>();
const UNKNOWN: Peer = { address: "", certificate: undefined, isCertified: false };

/** Headers that say something about the connection, so that only a proxy may write them. */
const PROXY_HEADER = /^(client-cert(-chain)?|forwarded|x-forwarded(-.*)?|x-real-ip)$/i;
const NOTHING_SAID: ReadonlyMap<string, string> = new Map();

/** Who sent this request. Known from the moment the front door has seen it. */
export function peerOf(request: IncomingMessage): Peer {
  return peers.get(request) ?? remotes.get(request.socket)?.alone ?? UNKNOWN;
}

/** Has a request that stands in for another come from the same peer. */
export function sharePeer(request: IncomingMessage, standIn: IncomingMessage): void {
  peers.set(standIn, peerOf(request));
}

/**
 * Reads what a trusted proxy says about the client, and removes it from the request, as it removes
 * what anybody else says: nothing behind this reads such a header again. Comes before everything,
 * because `headers` is made from `rawHeaders` when it is first asked for.
 */
export function identifyPeer(request: IncomingMessage, { proxies, certificates }: PeerRules): void {
  const said = stripProxyHeaders(request);
  const remote = remoteOf(request.socket, proxies);
  const { isProxy } = remote;
  if (!isProxy && !(request.socket instanceof TLSSocket)) return;
  const address = isProxy
    ? clientAddressOf(
        { peer: remote.address, forwarded: said.get("forwarded"), xForwardedFor: said.get("x-forwarded-for") },
        proxies,
      )
    : remote.address;
  const own = request.socket instanceof TLSSocket ? request.socket.getPeerX509Certificate() : undefined;
  if (own !== undefined) {
    const isCertified = request.socket instanceof TLSSocket && request.socket.authorized;
    peers.set(request, { address, certificate: own, isCertified: certificates.hasAuthorities && isCertified });
    return;
  }
  const passedOn = isProxy ? readClientCert(said.get("client-cert"), said.get("client-cert-chain")) : undefined;
  peers.set(request, {
    address,
    certificate: passedOn?.certificate,
    isCertified: passedOn !== undefined && certificates.isCertified(passedOn.certificate, passedOn.chain),
  });
}

interface Remote {
  readonly address: string;
  readonly isProxy: boolean;
  /** The peer of every request on a connection that shows no more than where it comes from. */
  readonly alone: Peer;
}

const remotes = new WeakMap<Socket, Remote>();

/** Who holds the other end; it stays the same for as long as the connection does. */
function remoteOf(socket: Socket, proxies: TrustedProxies): Remote {
  const known = remotes.get(socket);
  if (known !== undefined) return known;
  const text = socket.remoteAddress ?? "";
  const address = plainAddress(text) ?? text;
  const remote = { address, isProxy: proxies.includes(text), alone: { ...UNKNOWN, address } };
  remotes.set(socket, remote);
  return remote;
}

/** Repeated headers are one list (RFC 9110 section 5.3). Most requests say nothing of the kind, and are left as they are. */
function stripProxyHeaders(request: IncomingMessage): ReadonlyMap<string, string> {
  const { rawHeaders } = request;
  if (!rawHeaders.some((text, index) => index % 2 === 0 && PROXY_HEADER.test(text))) return NOTHING_SAID;
  const said = new Map<string, string>();
  const kept: string[] = [];
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? "";
    const value = rawHeaders[index + 1] ?? "";
    if (PROXY_HEADER.test(name)) {
      const before = said.get(name.toLowerCase());
      said.set(name.toLowerCase(), before === undefined ? value : `${before}, ${value}`);
    } else kept.push(name, value);
  }
  request.rawHeaders = kept;
  return said;
}
