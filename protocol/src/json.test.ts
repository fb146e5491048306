import { expect, test } from "vitest";
import vectors from "../vectors/json.json" with { type: "json" };
import { decodeBase64url } from "./base64url.ts";
import {
  type JsonValue,
  MAX_JSON_DEPTH,
  canonicalBytes,
  canonicalize,
  isJsonObject,
  parseJson,
  parseJsonObject,
} from "./json.ts";
import { ROUNDS, casesOf, diceFrom, outcome } from "./testing/vectors.ts";

const cases = casesOf<{ text?: string; bytes?: string }, { canonical: string }>(vectors);

test.each(cases)("json: $name", (vector) => {
  const input = vector.text ?? decodeBase64url(vector.bytes ?? "") ?? "";
  expect(outcome(parseJson(input), (value) => ({ canonical: canonicalize(value) }))).toEqual(vector.expect);
});

test.each(cases.filter((vector) => vector.expect.ok))("canonical JSON is a fixed point: $name", (vector) => {
  const canonical = vector.expect.ok ? vector.expect.canonical : "";
  expect(outcome(parseJson(canonical), (value) => ({ canonical: canonicalize(value) }))).toEqual({
    ok: true,
    canonical,
  });
});

test("text and its UTF-8 bytes are read alike", () => {
  for (const { text } of cases) {
    if (text !== undefined) expect(parseJson(new TextEncoder().encode(text))).toEqual(parseJson(text));
  }
});

test("only an object is read as an object", () => {
  expect(outcome(parseJsonObject('{"a":1}'), (value) => value)).toEqual({ ok: true, a: 1 });
  for (const text of ["[]", "1", "null", '"a"'])
    expect(outcome(parseJsonObject(text))).toEqual({ ok: false, code: "json_malformed" });
});

test("a member named __proto__ does not touch the prototype", () => {
  const parsed = parseJsonObject('{"__proto__":{"admin":true}}');
  expect(parsed.ok && Object.getPrototypeOf(parsed.value)).toBe(Object.prototype);
  expect(parsed.ok && parsed.value["admin"]).toBeUndefined();
});

test("a refusal names what was expected and where", () => {
  expect(parseJson('{"a":1,"a":2}')).toEqual({
    ok: false,
    refusal: { code: "json_malformed", detail: 'duplicate member "a" at offset 7' },
  });
});

test("a string of many megabytes is read, plain and escaped", () => {
  const megabytes = 24 * 1024 * 1024;
  expect(outcome(parseJson(`"${"a".repeat(megabytes)}"`), (value) => ({ length: String(value).length }))).toEqual({
    ok: true,
    length: megabytes,
  });
  expect(outcome(parseJson(`"${"\\n".repeat(megabytes / 2)}"`), (value) => ({ length: String(value).length }))).toEqual(
    { ok: true, length: megabytes / 2 },
  );
});

test("an open string of many megabytes is refused at once", () => {
  expect(outcome(parseJson(`"${"a\\n".repeat(4 * 1024 * 1024)}`))).toEqual({ ok: false, code: "json_malformed" });
});

test("rendering throws on what I-JSON cannot carry, which only our own code can have put there", () => {
  const deep = Array.from({ length: MAX_JSON_DEPTH + 1 }).reduce<JsonValue>((inner) => [inner], []);
  const unfit = [1.5, Number.NaN, Number.POSITIVE_INFINITY, -0, 2 ** 53, "\ud800", { "\udc00": 1 }, deep];
  for (const value of unfit) expect(() => canonicalize(value)).toThrow(TypeError);
});

test("what is rendered is read back the same, whatever it is", () => {
  const dice = diceFrom(8785);
  for (let round = 0; round < ROUNDS; round += 1) {
    const value = randomValue(dice, 0);
    const text = canonicalize(value);
    const parsed = parseJson(canonicalBytes(value));
    expect(parsed).toEqual({ ok: true, value });
    expect(JSON.parse(text)).toEqual(value);
    expect(parsed.ok && canonicalize(shuffled(parsed.value, dice))).toBe(text);
  }
});

function randomValue(dice: (below: number) => number, depth: number): JsonValue {
  const kinds = depth < 4 ? 7 : 5;
  const lengths = Array.from({ length: dice(5) });
  switch (dice(kinds)) {
    case 0:
      return null;
    case 1:
      return dice(2) === 0;
    case 2:
      return dice(2 ** 31) - 2 ** 30;
    case 3:
      return Number.MAX_SAFE_INTEGER - dice(3);
    case 4:
      return randomText(dice);
    case 5:
      return lengths.map(() => randomValue(dice, depth + 1));
    default:
      return Object.fromEntries(lengths.map(() => [randomText(dice), randomValue(dice, depth + 1)]));
  }
}

const ALPHABET = [
  "",
  "a",
  "Z",
  "0",
  '"',
  "\\",
  "/",
  "\n",
  "\u0000",
  "\u007f",
  "é",
  "e\u0301",
  "\u2028",
  "\uffff",
  "😀",
  "__proto__",
];

function randomText(dice: (below: number) => number): string {
  return Array.from({ length: dice(4) }, () => ALPHABET[dice(ALPHABET.length)]).join("");
}

/** The same value with the members of every object in another order. */
function shuffled(value: JsonValue, dice: (below: number) => number): JsonValue {
  if (!isJsonObject(value))
    return Array.isArray(value) ? value.map((entry: JsonValue) => shuffled(entry, dice)) : value;
  const members = Object.entries(value).map(([name, member]) => ({
    name,
    member: shuffled(member, dice),
    place: dice(1_000),
  }));
  return Object.fromEntries(
    members.toSorted((left, right) => left.place - right.place).map(({ name, member }) => [name, member]),
  );
}
