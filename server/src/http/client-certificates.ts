import { X509Certificate } from "node:crypto";
import ipaddr from "ipaddr.js";

/** The certification authorities of LICET_MTLS_CA, and whether a certificate leads to one of them. */
export interface ClientCertificates {
  readonly hasAuthorities: boolean;
  readonly isCertified: (certificate: X509Certificate, chain: readonly X509Certificate[]) => boolean;
}

/** A chain of more certificates than this is not followed. */
const MAX_CHAIN = 4;
const MAX_CERTIFICATE_LENGTH = 12_288;
const CLIENT_AUTHENTICATION = "1.3.6.1.5.5.7.3.2";

export function clientCertificatesOf(authorities: readonly X509Certificate[], nowMs: () => number): ClientCertificates {
  return {
    hasAuthorities: authorities.length > 0,
    isCertified: (certificate, chain) =>
      mayIdentifyClients(certificate) &&
      leadsTo(certificate, chain.slice(0, MAX_CHAIN), { authorities, nowMs: nowMs() }),
  };
}

/** RFC 5280 section 4.2.1.12: an extended key usage that is there must name client authentication. */
function mayIdentifyClients({ keyUsage }: X509Certificate): boolean {
  return keyUsage === undefined || keyUsage.length === 0 || keyUsage.includes(CLIENT_AUTHENTICATION);
}

interface Trust {
  readonly authorities: readonly X509Certificate[];
  readonly nowMs: number;
}

/** Every step up consumes one of the chain, so that the search ends. */
function leadsTo(certificate: X509Certificate, chain: readonly X509Certificate[], trust: Trust): boolean {
  if (!isInForce(certificate, trust.nowMs)) return false;
  if (trust.authorities.some((authority) => isInForce(authority, trust.nowMs) && isIssuedBy(certificate, authority)))
    return true;
  return chain.some(
    (issuer) =>
      issuer.ca &&
      isIssuedBy(certificate, issuer) &&
      leadsTo(
        issuer,
        chain.filter((other) => other !== issuer),
        trust,
      ),
  );
}

function isInForce(certificate: X509Certificate, nowMs: number): boolean {
  return certificate.validFromDate.getTime() <= nowMs && nowMs <= certificate.validToDate.getTime();
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

/** RFC 9440: one structured-field byte sequence, and a list of them. Anything else counts as no certificate. */
export function readClientCert(
  header: string | undefined,
  chainHeader: string | undefined,
): { readonly certificate: X509Certificate; readonly chain: readonly X509Certificate[] } | undefined {
  const certificate = readByteSequence(header);
  if (certificate === undefined) return undefined;
  const chain = (chainHeader?.split(",") ?? []).map((item) => readByteSequence(item));
  return { certificate, chain: chain.filter((issuer) => issuer !== undefined) };
}

/** RFC 9651 section 3.3.5. */
function readByteSequence(text: string | undefined): X509Certificate | undefined {
  const base64 = /^\s*:([A-Za-z0-9+/]+={0,2}):\s*$/.exec(text ?? "")?.[1];
  if (base64 === undefined || base64.length > MAX_CERTIFICATE_LENGTH) return undefined;
  return parseCertificate(Buffer.from(base64, "base64"));
}

/** A DER or PEM certificate; undefined when it is none. */
export function parseCertificate(bytes: Uint8Array | string): X509Certificate | undefined {
  try {
    return new X509Certificate(bytes);
  } catch {
    return undefined;
  }
}

/** RFC 8705 section 2.1.2: what a client is registered with, in the words of its metadata. */
export type SubjectMember =
  | "tls_client_auth_subject_dn"
  | "tls_client_auth_san_dns"
  | "tls_client_auth_san_uri"
  | "tls_client_auth_san_ip"
  | "tls_client_auth_san_email";

export function subjectMatches(certificate: X509Certificate, member: SubjectMember, expected: string): boolean {
  switch (member) {
    case "tls_client_auth_subject_dn":
      return sameName(relativeNames(expected), nodeNames(certificate.subject));
    case "tls_client_auth_san_dns":
      return alternativeNames(certificate, "DNS").some((name) => name.toLowerCase() === expected.toLowerCase());
    case "tls_client_auth_san_uri":
      return alternativeNames(certificate, "URI").includes(expected);
    case "tls_client_auth_san_email":
      return alternativeNames(certificate, "email").includes(expected);
    case "tls_client_auth_san_ip":
      return alternativeNames(certificate, "IP Address").some((address) => sameAddress(address, expected));
  }
}

function sameAddress(address: string, expected: string): boolean {
  return (
    ipaddr.isValid(address) &&
    ipaddr.isValid(expected) &&
    ipaddr.parse(address).toNormalizedString() === ipaddr.parse(expected).toNormalizedString()
  );
}

/** Node writes a name that could be misread as a JSON text. */
function alternativeNames({ subjectAltName = "" }: X509Certificate, kind: string): readonly string[] {
  const entries = subjectAltName.matchAll(/(?:^|, )([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,]*)/g);
  return [...entries]
    .filter(([, found]) => found === kind)
    .map(([, , value = ""]) => (value.startsWith('"') ? String(JSON.parse(value)) : value));
}

/** RFC 4514 writes the most specific name first; attribute types are told apart without case. */
function relativeNames(text: string): readonly string[] {
  return splitUnescaped(text, ",").map(relativeName);
}

/** Node writes one name to a line, escaped as RFC 4514 asks, in the order of the certificate. */
function nodeNames(subject: string | undefined): readonly string[] {
  return (subject ?? "")
    .split("\n")
    .filter((line) => line !== "")
    .map(relativeName)
    .toReversed();
}

function relativeName(text: string): string {
  return splitUnescaped(text, "+")
    .map((part) => {
      const [type = "", ...value] = part.trim().split("=");
      return `${type.trim().toUpperCase()}=${value.join("=").trim()}`;
    })
    .sort()
    .join("+");
}

function splitUnescaped(text: string, separator: "," | "+"): readonly string[] {
  return text.match(separator === "," ? /(?:[^,\\]|\\.)+/g : /(?:[^+\\]|\\.)+/g) ?? [];
}

function sameName(expected: readonly string[], got: readonly string[]): boolean {
  return expected.length > 0 && expected.length === got.length && expected.every((name, index) => name === got[index]);
}
