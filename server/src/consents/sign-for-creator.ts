import { type Result, refuse, signJwsInput } from "@licet/protocol";
import type { Context } from "../context.ts";
import type { Principal } from "../http/principal.ts";
import { acceptConsent } from "./accept-consent.ts";
import { type ConsentRow, findDraft } from "./store.ts";

/**
 * Signs and accepts a draft with the platform's own key, on behalf of a creator whose doing is
 * recorded as evidence. It is shown as what it is: signed by the platform, with `act`.
 */
export async function signForCreator(ctx: Context, jti: string, principal: Principal): Promise<Result<ConsentRow>> {
  const draft = await findDraft(ctx.db, jti);
  if (draft === undefined) return refuse("not_found", `there is no draft ${jti}`);
  if (draft.signer !== "platform") return refuse("conflict", `the draft ${jti} is for the creator's own key`);
  const kid = kidOf(draft.signing_input);
  const signer = await ctx.db.transaction().execute((trx) => ctx.signingKeys.signerOfKey(trx, kid));
  if (signer === undefined)
    return refuse("key_not_in_force", `the draft ${jti} was made for the key ${kid}, which signs no more; draft again`);
  const token = await signJwsInput(draft.signing_input, signer);
  return acceptConsent(ctx, token, principal);
}

/** The draft pins the key, so that a token begun under one key is not finished under another. */
function kidOf(signingInput: string): string {
  const header: { readonly kid: string } = JSON.parse(
    Buffer.from(signingInput.slice(0, signingInput.indexOf(".")), "base64url").toString("utf8"),
  );
  return header.kid;
}
