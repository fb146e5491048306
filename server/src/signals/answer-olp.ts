import type { Context } from "../context.ts";
import type { OlpAnswer, OlpCall } from "../http/oauth/olp-grants.ts";
import type { Principal } from "../http/principal.ts";
import { grantOlpToken } from "./grant-olp-token.ts";
import { introspectLicense } from "./introspect-license.ts";
import { olpError } from "./olp-error.ts";

/** What is answered to a client of RSL's Open License Protocol that has shown who it is. */
export async function answerOlp(
  ctx: Context,
  principal: Principal,
  { endpoint, parameters }: OlpCall,
): Promise<OlpAnswer> {
  switch (endpoint) {
    case "token":
      return grantOlpToken(ctx, principal, parameters);
    case "introspect":
      return introspectLicense(ctx, principal, parameters);
    case "key":
      return olpError("invalid_resource", "no work here is encrypted, so there is no key to be had");
  }
}
