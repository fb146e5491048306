import type { Result } from "@licet/protocol";
import type { Context } from "../context.ts";
import { requireVersion } from "../datasets/read-dataset.ts";
import { writeFact } from "../events/write-fact.ts";
import type { Principal } from "../http/principal.ts";
import { holdReceiptKeys } from "../marketplaces/lookup.ts";
import { chooseKey, requireStanding } from "./issue-license.ts";
import type { TokenInput } from "./license-input.ts";
import { checkOwn, readLicense } from "./read-licenses.ts";
import { requireActive } from "./renew-license.ts";
import { type SignedToken, chooseAudience, readOrigins, signToken } from "./sign-token.ts";
import { lockLicenses, updateLicenses } from "./store.ts";

/**
 * A fresh token for a license in force, for the works as they are now. `jkt` binds this license's
 * tokens to another key of the marketplace from now on, or, null, to none; `audience` names the
 * origins it is for.
 *
 * Refuses `not_found`, `not_yours`, `license_not_active`, `conflict` (nothing of the dataset stands),
 * `input_invalid`, `receipt_key_unknown` and `key_not_in_force`.
 */
export async function issueToken(
  ctx: Context,
  licenseId: string,
  { principal, input }: { readonly principal: Principal; readonly input: TokenInput },
): Promise<Result<SignedToken>> {
  const known = await readLicense(ctx, principal, licenseId);
  if (!known.ok) return known;
  const found = await requireVersion(ctx, principal, { datasetId: known.value.dataset_id });
  if (!found.ok) return found;
  const { dataset, version } = found.value;
  const audience = chooseAudience(await readOrigins(ctx.db, dataset.dataset_id, version.version), input.audience);
  if (!audience.ok) return audience;
  return writeFact<SignedToken>(ctx, async (fact) => {
    const keys = await holdReceiptKeys(fact.trx, known.value.marketplace_id);
    const own = checkOwn((await lockLicenses(fact.trx, [licenseId]))[0], licenseId, principal);
    if (!own.ok) return own;
    const active = requireActive(own.value, fact.now);
    if (!active.ok) return active;
    const standing = requireStanding(dataset);
    if (!standing.ok) return standing;
    const asked = input.jkt === undefined ? own.value.jkt : input.jkt;
    const jkt = chooseKey(keys, { asked, acceptedWith: "", now: fact.now });
    if (!jkt.ok) return jkt;
    if (jkt.value !== own.value.jkt) await updateLicenses(fact.trx, [licenseId], { jkt: jkt.value });
    return signToken(fact, { ...own.value, jkt: jkt.value }, { audience: audience.value, keys });
  });
}
