import { type Result, accept, refuse, sha256Hex } from "@licet/protocol";
import { EmbeddedJWK, type JWTPayload, calculateJwkThumbprint, jwtVerify } from "jose";
import { createHash, createHmac, hkdfSync, timingSafeEqual } from "node:crypto";
import type { Context } from "../../context.ts";
import { nowSeconds } from "../../context.ts";
import { CLIENT_ALGORITHMS } from "./client-authentication.ts";
import { saveRecordOnce } from "./store.ts";

/** A proof's `iat` may be this far from our clock. */
const PROOF_SECONDS = 300;
const NONCE_STEP_SECONDS = 60;
/** The present nonce and this many before it are taken. */
const NONCE_STEPS = 5;
const MAX_PROOF_LENGTH = 4_096;
const MAX_JTI_LENGTH = 256;

/** What servers of one database agree on without a word: they share the secret, and the time. */
export interface DpopNonces {
  readonly current: () => string;
  readonly isTaken: (nonce: string) => boolean;
}

export function dpopNoncesOf(ctx: Pick<Context, "clock">, secret: string): DpopNonces {
  const key = Buffer.from(hkdfSync("sha256", secret, "", "licet/dpop-nonce", 32));
  const nonceAt = (step: number): string => createHmac("sha256", key).update(`${step}`).digest("base64url");
  const currentStep = (): number => Math.floor(nowSeconds(ctx) / NONCE_STEP_SECONDS);
  return {
    current: () => nonceAt(currentStep()),
    isTaken: (nonce) =>
      Array.from({ length: NONCE_STEPS + 1 }, (_, back) => nonceAt(currentStep() - back)).some((known) =>
        isSame(known, nonce),
      ),
  };
}

function isSame(known: string, given: string): boolean {
  const [a, b] = [Buffer.from(known), Buffer.from(given)];
  return a.length === b.length && timingSafeEqual(a, b);
}

export interface DpopRequest {
  readonly proof: string | undefined;
  readonly method: string;
  /** Every URL, without its query, under which the world can have sent this request. */
  readonly urls: readonly string[];
  readonly accessToken: string;
}

/**
 * Checks a DPoP proof at the API (RFC 9449 sections 4.3, 7 and 9), each used once. Answers the
 * thumbprint of the key it proves. Refuses `dpop_proof_invalid` and `dpop_nonce_required`.
 */
export async function checkDpopProof(
  ctx: Context,
  nonces: DpopNonces,
  { proof, method, urls, accessToken }: DpopRequest,
): Promise<Result<string>> {
  if (proof === undefined || proof.length > MAX_PROOF_LENGTH)
    return refuseProof(`expected a DPoP header with one proof of at most ${MAX_PROOF_LENGTH} characters`);
  const read = await readProof(ctx, proof);
  if (read === undefined)
    return refuseProof(
      `expected a JWT of typ dpop+jwt, signed by its own public key with ${CLIENT_ALGORITHMS.join(", ")}`,
    );
  const { payload, jkt } = read;
  const { jti, htm, htu, ath, iat, nonce } = payload;
  if (typeof jti !== "string" || jti === "" || jti.length > MAX_JTI_LENGTH)
    return refuseProof(`jti: expected 1 to ${MAX_JTI_LENGTH} characters`);
  if (htm !== method) return refuseProof(`htm: expected ${method}`);
  if (typeof htu !== "string" || !urls.some((url) => isSameUrl(url, htu)))
    return refuseProof(`htu: expected ${urls[0]}`);
  if (ath !== createHash("sha256").update(accessToken).digest("base64url"))
    return refuseProof("ath: expected the SHA-256 of the access token that comes with it");
  if (nonce === undefined) return refuse("dpop_nonce_required", "expected a proof with a nonce, got none");
  if (typeof nonce !== "string" || !nonces.isTaken(nonce))
    return refuse("dpop_nonce_required", "expected the present nonce, got another");
  if (iat === undefined || Math.abs(nowSeconds(ctx) - iat) > PROOF_SECONDS)
    return refuseProof(`iat: expected at most ${PROOF_SECONDS} seconds from now`);
  const isFirst = await saveRecordOnce(ctx.db, {
    model: "DpopProof",
    id: sha256Hex(`${jkt} ${jti}`),
    payload: "{}",
    expires_at: nowSeconds(ctx) + 2 * PROOF_SECONDS,
  });
  return isFirst ? accept(jkt) : refuseProof("jti: expected a new proof, got one that was used before");
}

function refuseProof(detail: string) {
  return refuse("dpop_proof_invalid", detail);
}

async function readProof(
  ctx: Context,
  proof: string,
): Promise<{ readonly payload: JWTPayload; readonly jkt: string } | undefined> {
  try {
    const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, {
      algorithms: [...CLIENT_ALGORITHMS],
      typ: "dpop+jwt",
      currentDate: new Date(ctx.clock.nowMs()),
      requiredClaims: ["iat"],
    });
    if (protectedHeader.jwk === undefined) return undefined;
    return { payload, jkt: await calculateJwkThumbprint(protectedHeader.jwk) };
  } catch {
    return undefined;
  }
}

/** RFC 9449 section 4.3: without query and fragment, after the normalisation of URLs. */
function isSameUrl(expected: string, got: string): boolean {
  const url = URL.parse(got);
  if (url === null) return false;
  url.search = "";
  url.hash = "";
  return url.href === new URL(expected).href;
}
