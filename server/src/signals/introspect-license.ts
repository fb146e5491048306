import { LICENSE_TYP, isJsonObject, parseCompactJws, verifyLicenseToken } from "@licet/protocol";
import type { Context } from "../context.ts";
import { nowSeconds } from "../context.ts";
import { findDataset, findVersion } from "../datasets/lookup.ts";
import type { OlpAnswer } from "../http/oauth/olp-grants.ts";
import type { Principal } from "../http/principal.ts";
import { readPlatformKeys } from "../keys/find-key.ts";
import { findLicense } from "../licenses/lookup.ts";
import { isCovered } from "./covered-resource.ts";
import { olpError } from "./olp-error.ts";
import { ON_OFFER } from "./publish-texts.ts";

const INACTIVE: OlpAnswer = { status: 200, body: { active: false } };

/**
 * OLP's introspection (RSL 1.0 section 5.5, RFC 7662): whether a license token holds now, and with `resource` whether it
 * opens that. A marketplace asks about its own tokens, the platform's clients, which serve the works, about all.
 */
export async function introspectLicense(
  ctx: Context,
  principal: Principal,
  { token, resource }: Readonly<Record<string, string | undefined>>,
): Promise<OlpAnswer> {
  if (token === undefined) return olpError("invalid_request", "expected token");
  const jkt = boundTo(token);
  const keys = {
    iss: ctx.origin,
    seq: 0,
    keys: await readPlatformKeys(ctx.db),
    allowsTest: ctx.config.mode === "test",
  };
  const now = nowSeconds(ctx);
  const verified = await verifyLicenseToken(token, { keys, now, ...(jkt === undefined ? {} : { jkt }) });
  if (!verified.ok) return INACTIVE;
  const { claims } = verified.value;
  if (principal.kind === "marketplace" && principal.marketplaceId !== claims.sub) return INACTIVE;
  const license = await findLicense(ctx.db, claims.jti);
  const dataset = await findDataset(ctx.db, claims.dataset_id);
  const holds = license?.state === "active" && license.expires_at > now && ON_OFFER.includes(dataset?.state ?? "");
  if (!holds || dataset === undefined) return INACTIVE;
  const version = await findVersion(ctx.db, dataset.dataset_id, dataset.current_version);
  if (resource !== undefined && (version === undefined || !(await isCovered(ctx, version, resource)))) return INACTIVE;
  const { iss, sub, aud, iat, exp, jti, scope, dataset_id, cnf } = claims;
  return {
    status: 200,
    body: {
      active: true,
      token_type: "License",
      scope: scope.join(" "),
      iss,
      sub,
      aud: [...aud],
      iat,
      exp,
      jti,
      dataset_id,
      ...(cnf === undefined ? {} : { cnf: { jkt: cnf.jkt } }),
    },
  };
}

/** The key that a token says it is bound to: here it is looked at, not used. */
function boundTo(token: string): string | undefined {
  const jws = parseCompactJws(token, LICENSE_TYP);
  const cnf = jws.ok ? jws.value.payload["cnf"] : undefined;
  const jkt = isJsonObject(cnf) ? cnf["jkt"] : undefined;
  return typeof jkt === "string" ? jkt : undefined;
}
