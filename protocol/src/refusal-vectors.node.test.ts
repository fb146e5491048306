import { readFileSync, readdirSync } from "node:fs";
import { expect, test } from "vitest";
import { REFUSALS, type RefusalCode, isRefusalCode, problemOf } from "./refusal.ts";

/** A code is produced where its name stands as a literal; refusal.ts only describes it. */
function producedCodes(): readonly RefusalCode[] {
  const sources = readdirSync(new URL(".", import.meta.url)).filter(
    (file) => file.endsWith(".ts") && !file.endsWith(".test.ts") && file !== "refusal.ts",
  );
  const literals = sources.flatMap((file) =>
    [...readFileSync(new URL(file, import.meta.url), "utf8").matchAll(/"([a-z_]+)"/g)].map(([, text = ""]) => text),
  );
  return [...new Set(literals.filter(isRefusalCode))].toSorted();
}

function codesInVectors(): ReadonlySet<string> {
  const directory = new URL("../vectors/", import.meta.url);
  const texts = readdirSync(directory).map((file) => readFileSync(new URL(file, directory), "utf8"));
  return new Set(
    texts.flatMap((text) => [...text.matchAll(/"ok": false,\s+"code": "([a-z_]+)"/g)].map(([, code = ""]) => code)),
  );
}

test("every refusal that the protocol can produce has an invalid vector", () => {
  const vectors = codesInVectors();
  const produced = producedCodes();
  expect(produced.length).toBeGreaterThan(30);
  expect(produced.filter((code) => !vectors.has(code))).toEqual([]);
});

test("every code in a vector is a code of the table", () => {
  expect([...codesInVectors()].filter((code) => !isRefusalCode(code))).toEqual([]);
});

test("a name that every object has is no refusal code", () => {
  expect(["constructor", "__proto__", "toString", ""].map(isRefusalCode)).toEqual([false, false, false, false]);
});

test("every refusal has an error status, a title and a way to mend it", () => {
  for (const [code, { status, title, fix }] of Object.entries(REFUSALS)) {
    expect(code).toMatch(/^[a-z][a-z_]+$/);
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(600);
    expect(title).toMatch(/^[A-Z].*[^.]$/);
    expect(fix).toMatch(/^[A-Z].*\.$/);
  }
});

test("a refusal becomes a problem document that names every offender", () => {
  const offences = [{ at: "c_1", code: "no_consent", detail: "no consent covers c_1" }] as const;
  expect(
    problemOf(
      { code: "items_not_covered", detail: "1 of 2 works is not covered", offences },
      "https://platform.example",
    ),
  ).toEqual({
    type: "https://platform.example/problems/items_not_covered",
    title: "Some works are not covered by a consent",
    status: 422,
    code: "items_not_covered",
    detail: "1 of 2 works is not covered",
    errors: offences,
  });
  expect(problemOf({ code: "not_found", detail: "no dataset ds_1" }, "https://platform.example")).not.toHaveProperty(
    "errors",
  );
});
