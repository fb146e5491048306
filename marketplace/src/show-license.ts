import { LICENSE_TYP, type Result, accept, parseCompactJws, refuse } from "@licet/protocol";
import { type LicenseHeaders, presentLicense } from "@licet/sdk";
import type { MarketplaceContext } from "./context.ts";

export interface LicenseShowing {
  readonly token: string;
  readonly url: string;
  readonly method: "GET" | "HEAD";
}

/**
 * The headers by which a crawler of ours shows a license for one request. The license's key is the one
 * that signs receipts, so it stays here and crawlers ask. Signed are proofs alone that this license
 * needs: whether it holds is for the site to say. Refuses what is no license token, and
 * `license_key_mismatch` and `license_audience_wrong`.
 */
export async function showLicense(
  { receiptSigner, receiptJwk, now }: MarketplaceContext,
  { token, url, method }: LicenseShowing,
): Promise<Result<LicenseHeaders>> {
  const jws = parseCompactJws(token, LICENSE_TYP);
  if (!jws.ok) return jws;
  const { aud, cnf } = jws.value.payload;
  const { origin } = new URL(url);
  if (!Array.isArray(aud) || !aud.includes(origin))
    return refuse("license_audience_wrong", `expected a license for works at ${origin}, got one for others`);
  if (cnf === undefined) return accept(await presentLicense({ token, url, method }, now));
  if (keyOf(cnf) !== receiptSigner.kid)
    return refuse("license_key_mismatch", `expected a license that is bound to ${receiptSigner.kid}, got another`);
  return accept(await presentLicense({ token, url, method, key: { jwk: receiptJwk, signer: receiptSigner } }, now));
}

function keyOf(cnf: unknown): unknown {
  return typeof cnf === "object" && cnf !== null && "jkt" in cnf ? cnf.jkt : undefined;
}
