import { MODALITIES, type Modality } from "./media-type.ts";
import { type Result, accept, refuse } from "./refusal.ts";
import { excerpt } from "./shape.ts";

/** What a model developer may do with a work. */
export type Use = "training" | "fine_tuning" | "inference" | "evaluation" | "search";
export const USES = ["training", "fine_tuning", "inference", "evaluation", "search"] as const satisfies readonly Use[];

/** How far the uses go: without `commercial` they are non-commercial, without a derivative entry nothing derived may be made. */
export type Extent = "commercial" | "non_commercial" | "derivative" | "commercial_derivative";
export type ScopeEntry = Use | `${Use}_${Modality}` | Extent;

/** What a token forbids whatever its scope says. */
export type Prohibition = "digital_replica" | "voice_clone" | "style_imitation";
export const PROHIBITIONS = [
  "digital_replica",
  "voice_clone",
  "style_imitation",
] as const satisfies readonly Prohibition[];

interface ScopeRow {
  readonly uses: readonly { readonly use: Use; readonly modalities: readonly Modality[] }[];
  readonly commercial: boolean;
  readonly derivative: boolean;
  /** What a creator reads. */
  readonly sentence: string;
  readonly example: string;
}

const USE_TEXTS: Record<Use, { readonly sentence: string; readonly example: string }> = {
  training: {
    sentence: "train AI models on",
    example: "A company trains a new model and your work is part of what it learns from.",
  },
  fine_tuning: {
    sentence: "adjust existing AI models with",
    example: "A company takes a finished model and teaches it your field with your work.",
  },
  inference: {
    sentence: "let AI systems read, while answering, from",
    example: "An assistant looks into your work to answer a question and may quote it.",
  },
  evaluation: {
    sentence: "test AI models with",
    example: "A company measures how good its model is with your work as the exam.",
  },
  search: {
    sentence: "list, in search, and point to",
    example: "A search engine shows a short excerpt and a link to your work.",
  },
};

const MODALITY_TEXTS: Record<Modality, string> = {
  text: "your texts",
  audio: "your sound recordings",
  image: "your pictures",
  video: "your videos",
};

const EXTENT_ROWS: Record<Extent, ScopeRow> = {
  commercial: {
    uses: [],
    commercial: true,
    derivative: false,
    sentence: "This may be done to earn money.",
    example: "The model is sold by subscription.",
  },
  non_commercial: {
    uses: [],
    commercial: false,
    derivative: false,
    sentence: "This may be done without earning money.",
    example: "A university trains a model for research.",
  },
  derivative: {
    uses: [],
    commercial: false,
    derivative: true,
    sentence: "New works based on yours may be made.",
    example: "A translation or a remix of your work.",
  },
  commercial_derivative: {
    uses: [],
    commercial: true,
    derivative: true,
    sentence: "This may be done to earn money, and new works based on yours may be made and sold.",
    example: "A translation of your work is sold.",
  },
};

/** The one scope table: every entry, what it grants, and how it is told to a creator. */
export const SCOPE_TABLE: ReadonlyMap<string, ScopeRow> = new Map<ScopeEntry, ScopeRow>([
  ...USES.map((use): [ScopeEntry, ScopeRow] => [
    use,
    useRow(use, MODALITIES, "all your works: texts, sound recordings, pictures and videos"),
  ]),
  ...USES.flatMap((use) =>
    MODALITIES.map((modality): [ScopeEntry, ScopeRow] => [
      `${use}_${modality}`,
      useRow(use, [modality], MODALITY_TEXTS[modality]),
    ]),
  ),
  ["commercial", EXTENT_ROWS.commercial],
  ["non_commercial", EXTENT_ROWS.non_commercial],
  ["derivative", EXTENT_ROWS.derivative],
  ["commercial_derivative", EXTENT_ROWS.commercial_derivative],
]);

function useRow(use: Use, modalities: readonly Modality[], works: string): ScopeRow {
  const { sentence, example } = USE_TEXTS[use];
  return {
    uses: [{ use, modalities }],
    commercial: false,
    derivative: false,
    sentence: `Others may ${sentence} ${works}.`,
    example,
  };
}

/** What somebody wants to do with one work. */
export interface UseRequest {
  readonly use: Use;
  readonly modality: Modality;
  readonly commercial: boolean;
  readonly derivative: boolean;
}

/** What a scope says when all its known entries are read together. */
interface Grant {
  readonly uses: readonly { readonly use: Use; readonly modalities: readonly Modality[] }[];
  readonly commercial: boolean;
  readonly derivative: boolean;
}

function readGrant(scope: readonly string[]): Grant {
  const rows = scope.map((entry) => SCOPE_TABLE.get(entry)).filter((row) => row !== undefined);
  return {
    uses: rows.flatMap((row) => row.uses),
    commercial: rows.some((row) => row.commercial),
    derivative: rows.some((row) => row.derivative),
  };
}

/** Refuses (`scope_unknown`) at issue what would grant nothing at verification, a repeated entry, and a scope without any use; and (`scope_contradictory`) one that says both commercial and not. */
export function checkScope(scope: readonly string[]): Result<readonly string[]> {
  const unknown = scope.filter((entry) => !SCOPE_TABLE.has(entry));
  if (unknown.length > 0)
    return refuse("scope_unknown", `expected entries of the scope table, got ${excerpt([...unknown])}`);
  if (new Set(scope).size !== scope.length) return refuse("scope_unknown", "expected each entry once");
  const { uses, commercial } = readGrant(scope);
  if (uses.length === 0) return refuse("scope_unknown", `expected at least one use: ${USES.join(", ")}`);
  if (scope.includes("non_commercial") && commercial)
    return refuse("scope_contradictory", `expected commercial or non_commercial use, got both in ${scope.join(", ")}`);
  return accept(scope);
}

/**
 * True when this one scope grants the request. Unknown entries grant nothing; a commercial or
 * derivative request needs an entry that says so.
 */
export function grants(scope: readonly string[], request: UseRequest): boolean {
  const grant = readGrant(scope);
  return (
    grant.uses.some(({ use, modalities }) => use === request.use && modalities.includes(request.modality)) &&
    (grant.commercial || !request.commercial) &&
    (grant.derivative || !request.derivative)
  );
}

/**
 * What a derivative work can be, by the modality of the work it is made from. A dataset that offers
 * derivatives of a modality offers these too, since nothing in its scope leaves them out.
 */
const DERIVATIVES_OF: Record<Prohibition, readonly Modality[]> = {
  digital_replica: ["audio", "image", "video"],
  voice_clone: ["audio", "video"],
  style_imitation: MODALITIES,
};

/** The first of the prohibitions that the request could be used against, whatever the scope grants; undefined when there is none. */
export function prohibitionAgainst(prohibitions: readonly Prohibition[], request: UseRequest): Prohibition | undefined {
  if (!request.derivative) return undefined;
  return prohibitions.find((prohibition) => DERIVATIVES_OF[prohibition].includes(request.modality));
}

/** The requests a dataset's scope stands for, for works of one modality: one for each use it offers there. */
export function requestsFor(datasetScope: readonly string[], modality: Modality): readonly UseRequest[] {
  const { uses, commercial, derivative } = readGrant(datasetScope);
  const offered = new Set(uses.filter((entry) => entry.modalities.includes(modality)).map((entry) => entry.use));
  return [...offered].map((use) => ({ use, modality, commercial, derivative }));
}
