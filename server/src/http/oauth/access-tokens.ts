import { type Result, accept, refuse } from "@licet/protocol";
import { type JWTPayload, type JWTVerifyGetKey, jwtVerify } from "jose";
import type { X509Certificate } from "node:crypto";
import { createHash } from "node:crypto";
import type { Context } from "../../context.ts";
import type { Principal } from "../principal.ts";
import { type DpopNonces, checkDpopProof } from "./dpop.ts";
import { findClient } from "./store.ts";

/** What came with an access token, and what it may have to match. */
export interface PresentedToken {
  readonly scheme: "bearer" | "dpop";
  readonly token: string;
  readonly proof: string | undefined;
  readonly method: string;
  readonly path: string;
  readonly certificate: X509Certificate | undefined;
}

export interface AccessTokenCheck {
  readonly issuer: string;
  readonly algorithm: string;
  readonly verificationKeys: JWTVerifyGetKey;
  readonly nonces: DpopNonces;
  /** Under which origins the API is reached. */
  readonly origins: readonly string[];
}

/**
 * RFC 9068 section 4, with what the token is bound to (RFC 8705 section 3, RFC 9449 section 7). The
 * client's present state decides, not what the token remembers of it. Refuses `token_invalid`,
 * `token_unbound`, `dpop_proof_invalid` and `dpop_nonce_required`.
 */
export async function verifyAccessToken(
  ctx: Context,
  presented: PresentedToken,
  check: AccessTokenCheck,
): Promise<Result<Principal>> {
  const payload = await readClaims(ctx, presented.token, check);
  if (payload === undefined) return refuseToken();
  const bound = await checkBinding(ctx, payload, { presented, check });
  return bound.ok ? principalOf(ctx, payload) : bound;
}

function refuseToken() {
  return refuse("token_invalid", "expected a token that is in force, got one that is unknown or has expired");
}

async function readClaims(
  ctx: Context,
  token: string,
  { issuer, algorithm, verificationKeys }: AccessTokenCheck,
): Promise<JWTPayload | undefined> {
  return jwtVerify(token, verificationKeys, {
    issuer,
    audience: ctx.origin,
    typ: "at+jwt",
    algorithms: [algorithm],
    currentDate: new Date(ctx.clock.nowMs()),
    requiredClaims: ["exp", "client_id"],
  }).then(
    (verified) => verified.payload,
    () => undefined,
  );
}

interface Presentation {
  readonly presented: PresentedToken;
  readonly check: AccessTokenCheck;
}

async function checkBinding(
  ctx: Context,
  payload: JWTPayload,
  { presented, check }: Presentation,
): Promise<Result<true>> {
  const { jkt, thumbprint } = confirmationOf(payload);
  if (thumbprint !== undefined && thumbprint !== thumbprintOf(presented.certificate))
    return refuse("token_unbound", "expected the client certificate that this token is bound to");
  if (jkt === undefined)
    return presented.scheme === "bearer"
      ? accept(true)
      : refuse("token_unbound", "expected a token that is bound to a DPoP key, got one for Authorization: Bearer");
  if (presented.scheme === "bearer")
    return refuse("token_unbound", "expected Authorization: DPoP with a proof, since this token is bound to a key");
  const proved = await checkDpopProof(ctx, check.nonces, {
    proof: presented.proof,
    method: presented.method,
    urls: check.origins.map((origin) => origin + presented.path),
    accessToken: presented.token,
  });
  if (!proved.ok) return proved;
  return proved.value === jkt
    ? accept(true)
    : refuse("dpop_proof_invalid", "expected a proof by the key that this token is bound to");
}

/** RFC 7800 section 3. A confirmation that is there but not understood binds the token to nothing that can be shown. */
function confirmationOf({ cnf }: JWTPayload): { readonly jkt?: string; readonly thumbprint?: string } {
  if (cnf === undefined) return {};
  if (typeof cnf !== "object" || cnf === null) return { thumbprint: "" };
  const jkt = "jkt" in cnf && typeof cnf.jkt === "string" ? cnf.jkt : undefined;
  const thumbprint = "x5t#S256" in cnf && typeof cnf["x5t#S256"] === "string" ? cnf["x5t#S256"] : undefined;
  if (jkt === undefined && thumbprint === undefined) return { thumbprint: "" };
  return { ...(jkt === undefined ? {} : { jkt }), ...(thumbprint === undefined ? {} : { thumbprint }) };
}

function thumbprintOf(certificate: X509Certificate | undefined): string | undefined {
  return certificate === undefined ? undefined : createHash("sha256").update(certificate.raw).digest("base64url");
}

async function principalOf(ctx: Context, payload: JWTPayload): Promise<Result<Principal>> {
  const clientId = payload["client_id"];
  const client = typeof clientId === "string" ? await findClient(ctx.db, clientId) : undefined;
  if (client === undefined) return refuseToken();
  if (client.state !== "active") return refuse("token_invalid", `the client of this token is ${client.state}`);
  const granted = client.scope.split(" ");
  const asked = typeof payload["scope"] === "string" ? payload["scope"] : "";
  const scopes = asked.split(" ").filter((scope) => granted.includes(scope));
  if (client.kind === "platform") return accept({ kind: "platform", clientId: client.client_id, scopes });
  return client.marketplace_id === null
    ? refuseToken()
    : accept({ kind: "marketplace", clientId: client.client_id, marketplaceId: client.marketplace_id, scopes });
}
