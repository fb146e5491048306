import {
  type PublicJwk,
  type Signer,
  canonicalBytes,
  encodeBase64url,
  sha256Bytes,
  signJwsInput,
} from "@licet/protocol";
import { epochSeconds } from "./clock.ts";

const JTI_BYTES = 16;

/**
 * A request for a work, and the license that opens it. `key` is the one that the license is bound to
 * (its `jkt`); a license that is bound to none is shown without.
 *
 * @example { token: license.token, url: "https://works.example/a/song.mp3", key: { jwk, signer } }
 */
export interface LicensePresentation {
  readonly token: string;
  /** The work's own address, wherever the request is sent to. */
  readonly url: string;
  readonly method?: string;
  readonly key?: { readonly jwk: PublicJwk; readonly signer: Signer };
}

/** The headers that show a license. @example { authorization: "License eyJ…", dpop: "eyJ…" } */
export interface LicenseHeaders {
  readonly authorization: string;
  readonly dpop?: string;
}

/**
 * Makes the headers that show a license for one request: `Authorization: License`, and with a key a
 * DPoP proof (RFC 9449) of it. A proof holds for this method and address, once, within a minute: make
 * a new one for each request, and for each time one is sent again.
 *
 * docs/wire-formats.md, "The edge".
 *
 * @example const work = await fetch(url, { headers: { ...(await presentLicense({ token, url, key })) } });
 */
export async function presentLicense(
  { token, url, method = "GET", key }: LicensePresentation,
  now: () => number = epochSeconds,
): Promise<LicenseHeaders> {
  const authorization = `License ${token}`;
  if (key === undefined) return { authorization };
  const header = { typ: "dpop+jwt", alg: key.signer.alg, jwk: { ...key.jwk } };
  const claims = {
    jti: encodeBase64url(crypto.getRandomValues(new Uint8Array(JTI_BYTES))),
    htm: method,
    htu: url.replace(/[?#].*$/s, ""),
    iat: now(),
    ath: encodeBase64url(sha256Bytes(token)),
  };
  const input = [header, claims].map((part) => encodeBase64url(canonicalBytes(part))).join(".");
  return { authorization, dpop: await signJwsInput(input, key.signer) };
}
