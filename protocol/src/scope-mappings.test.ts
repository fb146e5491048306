import { describe, expect, test } from "vitest";
import vectors from "../vectors/scope-mappings.json" with { type: "json" };
import { MODALITIES } from "./media-type.ts";
import {
  USE_MAPPINGS,
  contentSignal,
  contentUsage,
  isMining,
  openLabels,
  rslUsages,
  rslUsers,
  scopeOfRsl,
} from "./scope-mappings.ts";
import { SCOPE_TABLE, USES, checkScope } from "./scope.ts";
import { casesOf } from "./testing/vectors.ts";

const cases = casesOf<{ scope: string[]; expect: Record<string, unknown> }>(vectors);

describe("what a scope is called elsewhere", () => {
  test.each(cases)("$name", ({ scope, expect: expected }) => {
    const open = MODALITIES.map((modality) => [modality, openLabels(scope, modality)] as const);
    const usages = MODALITIES.map((modality) => [modality, rslUsages(scope, modality)] as const);
    expect({
      open: Object.fromEntries(open.filter(([, labels]) => labels.length > 0)),
      content_usage: contentUsage(openLabels(scope, "text")),
      content_signal: contentSignal(openLabels(scope, "text")),
      rsl_usages: Object.fromEntries(usages.filter(([, offered]) => offered.length > 0)),
      rsl_users: rslUsers(scope),
      mining: MODALITIES.filter((modality) => isMining(scope, modality)),
    }).toEqual(expected);
  });

  test("is said of every use", () => {
    expect(Object.keys(USE_MAPPINGS).toSorted()).toEqual([...USES].toSorted());
  });
});

test("no entry alone opens more than it grants", () => {
  for (const entry of SCOPE_TABLE.keys())
    for (const modality of MODALITIES) expect(openLabels([entry], modality)).toEqual([]);
});

describe("the scope that RSL terms ask for", () => {
  const scope = ["training", "fine_tuning_text", "inference", "evaluation", "search", "commercial_derivative"];

  test("is the scope's own entries, without what RSL has no word for", () => {
    const usages = ["ai-train", "ai-input", "search"];
    expect(scopeOfRsl(scope, { usages, users: undefined })).toEqual(scope.filter((entry) => entry !== "evaluation"));
  });

  test("is narrowed to the usages and users that are asked for, and can be issued", () => {
    expect(scopeOfRsl(scope, { usages: ["ai-input"], users: undefined })).toEqual([
      "inference",
      "commercial_derivative",
    ]);
    const narrow = scopeOfRsl(scope, { usages: ["ai-train"], users: ["non-commercial"] }) ?? [];
    expect(narrow).toEqual(["training", "fine_tuning_text"]);
    expect(checkScope(narrow).ok).toBe(true);
  });

  test("is none when its usages are offered for different kinds of works", () => {
    const mixed = ["training_image", "search_text", "commercial"];
    expect(scopeOfRsl(mixed, { usages: ["ai-train", "search"], users: undefined })).toBeUndefined();
    expect(scopeOfRsl(mixed, { usages: ["search"], users: undefined })).toEqual(["search_text", "commercial"]);
  });

  test.each([
    ["a usage that is not offered", { usages: ["ai-train", "ai-index"], users: undefined }],
    ["everything at once", { usages: ["all"], users: undefined }],
    ["no usage", { usages: [], users: undefined }],
    ["a user whom it is not for", { usages: ["ai-train"], users: ["government"] }],
    ["nobody", { usages: ["ai-train"], users: [] }],
  ])("is none for %s", (_name, terms) => {
    expect(scopeOfRsl(scope, terms)).toBeUndefined();
  });

  test("is none for money where the scope grants none", () => {
    expect(scopeOfRsl(["training"], { usages: ["ai-train"], users: ["commercial"] })).toBeUndefined();
    expect(scopeOfRsl(["training"], { usages: ["ai-train"], users: undefined })).toEqual(["training"]);
  });
});
