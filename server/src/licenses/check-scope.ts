import {
  type ConsentClaims,
  MODALITIES,
  type Offence,
  type Result,
  type UseRequest,
  accept,
  checkAudience,
  grants,
  modalityOf,
  prohibitionAgainst,
  refuse,
  requestsFor,
} from "@licet/protocol";
import { setImmediate as pause } from "node:timers/promises";
import { claimsOf, findConsents } from "../consents/lookup.ts";
import { type GrantGroup, type VersionRow, readGrantGroups, termsOfVersion } from "../datasets/lookup.ts";
import type { Db, Trx } from "../db/open-database.ts";

/** A list of offending works names this many; how many there are in all is always said. */
const MAX_OFFENCES = 100;
/** Consents that are looked at between two pauses, in which others have their turn. */
const BATCH = 500;

export interface AskedScope {
  readonly scope: readonly string[];
  readonly marketplaceId: string;
}

/**
 * May this marketplace have a license of this scope, for all of the version that still stands? Each
 * work's one consent must grant every use that the scope asks for in the work's modality, prohibit
 * none of them, and be for this marketplace; and the dataset must offer them.
 *
 * Refuses `license_scope_not_granted` with the works, and `license_scope_not_offered`.
 */
export async function checkLicenseScope(
  db: Db | Trx,
  version: VersionRow,
  { scope, marketplaceId }: AskedScope,
): Promise<Result<true>> {
  const groups = await readGrantGroups(db, version, MAX_OFFENCES);
  const offences: Offence[] = [];
  let refused = 0;
  for (let at = 0; at < groups.length; at += BATCH) {
    const batch = groups.slice(at, at + BATCH);
    const consents = await findConsents(db, [...new Set(batch.map((group) => group.jti))]);
    const claims = new Map(consents.map((row) => [row.jti, claimsOf(row)]));
    for (const group of batch) {
      const offence = whyNot(claims.get(group.jti), group, { scope, marketplaceId });
      if (offence === undefined) continue;
      refused += group.items;
      const room = MAX_OFFENCES - offences.length;
      offences.push(...group.content_ids.slice(0, room).map((contentId) => ({ at: contentId, ...offence })));
    }
    await pause();
  }
  if (refused > 0)
    return refuse(
      "license_scope_not_granted",
      `no single consent grants ${scope.join(", ")} for ${refused} works of version ${version.version}` +
        (refused > offences.length ? `, of which ${offences.length} are named` : ""),
      offences,
    );
  return checkOffered(version, groups, scope);
}

/** What is wrong with a consent for works of one type; undefined when nothing is. */
function whyNot(
  claims: ConsentClaims | undefined,
  { jti, mime_type }: GrantGroup,
  { scope, marketplaceId }: AskedScope,
): Omit<Offence, "at"> | undefined {
  if (claims === undefined) return { code: "no_consent", detail: `there is no consent ${jti}` };
  const audience = checkAudience(claims, marketplaceId);
  if (!audience.ok) return { code: audience.refusal.code, detail: audience.refusal.detail };
  for (const request of requestsOf(scope, mime_type)) {
    if (!grants(claims.scope, request))
      return { code: "scope_not_granted", detail: `${jti} grants ${claims.scope.join(", ")}, not ${named(request)}` };
    const prohibition = prohibitionAgainst(claims.prohibitions ?? [], request);
    if (prohibition !== undefined)
      return { code: "use_prohibited", detail: `${jti} prohibits ${prohibition}, which ${named(request)} could be` };
  }
  return undefined;
}

/** A consent may grant more than its dataset offers: then the offer counts. A scope that is about none of the works is no license. */
function checkOffered(version: VersionRow, groups: readonly GrantGroup[], scope: readonly string[]): Result<true> {
  const offered = termsOfVersion(version).scope;
  const asked = [...new Set(groups.map((group) => group.mime_type))].flatMap((type) => requestsOf(scope, type));
  const extra = asked.find((request) => !grants(offered, request));
  if (extra !== undefined)
    return refuse("license_scope_not_offered", `the dataset offers ${offered.join(", ")}, not ${named(extra)}`);
  return asked.length > 0
    ? accept(true)
    : refuse("license_scope_not_offered", `${scope.join(", ")} is about none of the works that stand in the dataset`);
}

function requestsOf(scope: readonly string[], mimeType: string): readonly UseRequest[] {
  const modality = modalityOf(mimeType);
  return modality === undefined ? [] : requestsFor(scope, modality);
}

/** True when everything that one scope stands for is granted by another, in every modality. */
export function isWithin(scope: readonly string[], limit: readonly string[]): boolean {
  return MODALITIES.every((modality) => requestsFor(scope, modality).every((request) => grants(limit, request)));
}

/** True for a scope under which a model is made, or made over: its maker has it to itself. */
export function makesModel(scope: readonly string[]): boolean {
  return MODALITIES.some((modality) =>
    requestsFor(scope, modality).some(({ use }) => use === "training" || use === "fine_tuning"),
  );
}

function named({ use, modality, commercial, derivative }: UseRequest): string {
  return [
    commercial ? "commercial" : "non-commercial",
    ...(derivative ? ["derivative"] : []),
    use,
    "of",
    modality,
  ].join(" ");
}
