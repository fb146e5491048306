import { MODALITIES, type Modality } from "./media-type.ts";
import { type Extent, type Use, USES, SCOPE_TABLE, grants, requestsFor } from "./scope.ts";

/** Categories of draft-ietf-aipref-vocab-08 (section 4), as `Content-Usage` names them. */
export type AiprefLabel = "train-ai" | "ai-use" | "search";
/** Cloudflare's Content Signals. */
export type ContentSignal = "ai-train" | "ai-input" | "search";
/** The usage vocabulary of RSL 1.0 (section 3.4.1.1), as far as a scope can grant it. */
export type RslUsage = "ai-train" | "ai-input" | "search";
/** The user vocabulary of RSL 1.0 (section 3.4.1.2), as far as a scope can grant it. */
export type RslUser = "commercial" | "non-commercial";

interface UseMapping {
  readonly aipref?: AiprefLabel;
  readonly contentSignal?: ContentSignal;
  readonly rsl?: RslUsage;
  /** Text and data mining in the sense of TDMRep: ODRL's `tdm:mine`. */
  readonly tdm: boolean;
}

/**
 * What each use of the scope table is called elsewhere. What has no name there grants nothing there:
 * nobody else has a word for evaluation, and `ai-index` and `ai-all` of RSL, which take in uses that
 * no scope names, are never said.
 */
export const USE_MAPPINGS: Readonly<Record<Use, UseMapping>> = {
  training: { aipref: "train-ai", contentSignal: "ai-train", rsl: "ai-train", tdm: true },
  fine_tuning: { aipref: "train-ai", contentSignal: "ai-train", rsl: "ai-train", tdm: true },
  inference: { aipref: "ai-use", contentSignal: "ai-input", rsl: "ai-input", tdm: false },
  evaluation: { tdm: false },
  search: { aipref: "search", contentSignal: "search", rsl: "search", tdm: false },
};

/** For whom RSL says that a license is. No other vocabulary tells users apart, and none has a word for derived works. */
export const EXTENT_MAPPINGS: Readonly<Record<Extent, { readonly rslUsers: readonly RslUser[] }>> = {
  commercial: { rslUsers: ["commercial", "non-commercial"] },
  non_commercial: { rslUsers: ["non-commercial"] },
  derivative: { rslUsers: [] },
  commercial_derivative: { rslUsers: ["commercial", "non-commercial"] },
};

const AIPREF_LABELS = ["train-ai", "ai-use", "search"] as const satisfies readonly AiprefLabel[];
const RSL_USAGES = ["ai-train", "ai-input", "search"] as const satisfies readonly RslUsage[];

/**
 * The categories that a scope opens to everybody for works of a modality: such a preference knows no
 * conditions, so every use that the category takes in must be granted, and for money too.
 *
 * @example openLabels(["training", "fine_tuning", "commercial"], "text") // → ["train-ai"]
 */
export function openLabels(scope: readonly string[], modality: Modality): readonly AiprefLabel[] {
  const isOpen = (use: Use): boolean => grants(scope, { use, modality, commercial: true, derivative: false });
  return AIPREF_LABELS.filter((label) => USES.filter((use) => USE_MAPPINGS[use].aipref === label).every(isOpen));
}

/**
 * A usage preference as `Content-Usage` carries it, an RFC 9651 dictionary: what AI does is reserved
 * unless it is open, and of search nothing is said unless it is open, because a preference against it
 * would take the works out of search engines that have nothing to do with AI.
 *
 * @example contentUsage(["train-ai"]) // → "train-ai=y, ai-use=n"
 */
export function contentUsage(open: readonly AiprefLabel[]): string {
  return AIPREF_LABELS.flatMap((label) => {
    if (open.includes(label)) return [`${label}=y`];
    return label === "search" ? [] : [`${label}=n`];
  }).join(", ");
}

/** The same as `Content-Signal` says it. */
export function contentSignal(open: readonly AiprefLabel[]): string {
  const signals = AIPREF_LABELS.flatMap((label) => {
    const name = USES.map((use) => USE_MAPPINGS[use]).find((mapping) => mapping.aipref === label)?.contentSignal;
    if (name === undefined || (name === "search" && !open.includes(label))) return [];
    return [`${name}=${open.includes(label) ? "yes" : "no"}`];
  });
  return signals.join(", ");
}

/**
 * What an RSL license may offer of a scope for works of a modality: a usage that some use of the scope belongs to.
 * Which of them a token is for, it says itself.
 */
export function rslUsages(scope: readonly string[], modality: Modality): readonly RslUsage[] {
  const offered = new Set(requestsFor(scope, modality).map(({ use }) => USE_MAPPINGS[use].rsl));
  return RSL_USAGES.filter((usage) => offered.has(usage));
}

/** For whom an RSL license of a scope is: without `commercial` for non-commercial users only. */
export function rslUsers(scope: readonly string[]): readonly RslUser[] {
  const isCommercial = MODALITIES.some((modality) =>
    requestsFor(scope, modality).some((request) => request.commercial),
  );
  return isCommercial ? EXTENT_MAPPINGS.commercial.rslUsers : EXTENT_MAPPINGS.non_commercial.rslUsers;
}

/** True when something that a scope grants for works of a modality is text and data mining. */
export function isMining(scope: readonly string[], modality: Modality): boolean {
  return requestsFor(scope, modality).some(({ use }) => USE_MAPPINGS[use].tdm);
}

/** What an RSL license asks for. */
export interface RslTerms {
  readonly usages: readonly string[];
  /** Undefined when it tells no users apart. */
  readonly users: readonly string[] | undefined;
}

/**
 * The part of a scope that RSL terms ask for, in the scope's own entries; undefined when they ask for a usage or a
 * user that the scope does not offer, or for none. A license is of the works of one modality, so its usages must all
 * be offered for one.
 *
 * @example scopeOfRsl(["training", "search", "commercial"], { usages: ["ai-train"], users: undefined }) // → ["training", "commercial"]
 */
export function scopeOfRsl(scope: readonly string[], { usages, users }: RslTerms): readonly string[] | undefined {
  const isOffered = MODALITIES.some((modality) => {
    const offered: readonly string[] = rslUsages(scope, modality);
    return usages.every((usage) => offered.includes(usage));
  });
  const offeredUsers: readonly string[] = rslUsers(scope);
  if (usages.length === 0 || !isOffered) return undefined;
  if (users !== undefined && (users.length === 0 || !users.every((user) => offeredUsers.includes(user))))
    return undefined;
  const isForMoney = users === undefined || users.includes("commercial");
  const kept = scope.filter((entry) => {
    const row = SCOPE_TABLE.get(entry);
    if (row === undefined) return false;
    if (row.uses.length > 0) return row.uses.some(({ use }) => usages.includes(USE_MAPPINGS[use].rsl ?? ""));
    return isForMoney || !row.commercial;
  });
  return kept.length === 0 ? undefined : kept;
}
