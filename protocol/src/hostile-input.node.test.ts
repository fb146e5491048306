import fc from "fast-check";
import { readFileSync, readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { roundsOf } from "../../test/fixtures/settings.ts";
import { decodeBase64, decodeBase64url, encodeBase64, encodeBase64url } from "./base64url.ts";
import { parseCompactJws } from "./compact-jws.ts";
import { parseConsentToken, parseSubject, verifyConsentSignature } from "./consent-token.ts";
import { readContentItem } from "./content-item.ts";
import { readDatasetRegistration } from "./dataset-registration.ts";
import { readDatasetStatus } from "./dataset-status.ts";
import { formatInstant, parseInstant } from "./instant.ts";
import { type JsonObject, type JsonValue, canonicalize, isJsonObject, parseJson, parseJsonObject } from "./json.ts";
import { verifyKeySet } from "./key-set.ts";
import { parsePublicJwk } from "./keys.ts";
import { readConsentLine, readCurrentManifest, readItemLine, readManifest } from "./manifest.ts";
import { parsePrice } from "./pricing.ts";
import type { Result } from "./refusal.ts";
import { readRevocationView } from "./revocation-view.ts";
import { checkScope } from "./scope.ts";
import { verifyDocument } from "./signed-document.ts";
import { verifyStatusList } from "./status-list.ts";
import { keySetOf } from "./testing/key-set-of.ts";
import manifests from "../vectors/manifest.json" with { type: "json" };

/**
 * Random and broken input: every parser answers a result, never throws, and never accepts two
 * spellings of one thing. `LICET_ROUNDS` makes it longer (`npm run fuzz`).
 */
const RUNS = roundsOf(5) * 40;
const options = { numRuns: RUNS };
const ORIGIN = "https://platform.example";
const NOW = 1_800_000_000;
const keys = keySetOf(manifests);

/** Every input of every vector file: what the parsers know best, to be broken. */
const VECTORS = new URL("../vectors/", import.meta.url);
const inputs: readonly JsonValue[] = readdirSync(VECTORS).flatMap((name) => {
  const file = JSON.parse(readFileSync(new URL(name, VECTORS), "utf8"));
  return Array.isArray(file.cases) ? file.cases : Object.values(file).filter(Array.isArray).flat();
});
const objects = inputs.flatMap(objectsIn).filter((object) => Object.keys(object).length > 2);
const tokens = [...new Set(inputs.flatMap(textsIn))].filter((text) => /^[\w-]+\.[\w-]+\.[\w-]+$/.test(text));

function objectsIn(value: JsonValue): readonly JsonObject[] {
  if (Array.isArray(value)) return value.flatMap(objectsIn);
  return isJsonObject(value) ? [value, ...Object.values(value).flatMap(objectsIn)] : [];
}

function textsIn(value: JsonValue): readonly string[] {
  if (typeof value === "string") return [value];
  if (Array.isArray(value)) return value.flatMap(textsIn);
  return isJsonObject(value) ? Object.values(value).flatMap(textsIn) : [];
}

/** Anything JSON can say, and the names and numbers that trip programs. */
const junk: fc.Arbitrary<JsonValue> = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }).map((value) => JSON.parse(JSON.stringify(value))),
  fc.constantFrom<JsonValue>("", "__proto__", "\u0000", "x".repeat(5_000), -1, 0.5, 2 ** 53, 1e308, [], {}, null),
  fc.constantFrom<JsonValue>("constructor", "2026-02-30T00:00:00Z", "https://a@b/", "ctok_", nested(40)),
);

function nested(levels: number): JsonValue {
  return levels === 0 ? 1 : [nested(levels - 1)];
}

/** An object of the vectors with a few members taken away, replaced or added, at any depth. */
const brokenObject: fc.Arbitrary<JsonObject> = fc
  .tuple(
    fc.constantFrom(...objects),
    fc.array(fc.tuple(fc.nat(), fc.option(junk, { nil: undefined })), { maxLength: 3 }),
  )
  .map(([object, changes]) => changes.reduce((broken, [at, value]) => changed(broken, at, value), object));

function changed(object: JsonObject, at: number, value: JsonValue | undefined): JsonObject {
  const names = Object.keys(object);
  const name = names[at % (names.length + 1)];
  if (name === undefined) return value === undefined ? object : { ...object, added: value };
  const member = object[name];
  const { [name]: _removed, ...rest } = object;
  if (isJsonObject(member) && at % 3 === 0) return { ...rest, [name]: changed(member, Math.floor(at / 3), value) };
  return value === undefined ? rest : { ...rest, [name]: value };
}

/** A token of the vectors with characters replaced, taken out or put in. */
const brokenToken: fc.Arbitrary<string> = fc
  .tuple(
    fc.constantFrom(...tokens),
    fc.array(fc.tuple(fc.nat(), fc.string({ unit: "binary", maxLength: 2 }), fc.nat(2)), {
      minLength: 1,
      maxLength: 4,
    }),
  )
  .map(([token, edits]) =>
    edits.reduce((text, [at, piece, cut]) => {
      const place = at % (text.length + 1);
      return text.slice(0, place) + piece + text.slice(place + cut);
    }, token),
  );

function expectResult(result: Result<unknown>): void {
  if (result.ok) return;
  expect(result.refusal.detail.length).toBeLessThan(2_000);
}

describe("I-JSON", () => {
  const jsonText = fc.oneof(
    fc.json(),
    fc.string({ unit: "binary" }),
    junk.map((value) => JSON.stringify(value)),
    fc.tuple(fc.json(), fc.nat(), fc.string({ maxLength: 2 })).map(([text, at, piece]) => {
      const place = at % (text.length + 1);
      return text.slice(0, place) + piece + text.slice(place + 1);
    }),
  );

  test("is parsed alike on the short and on the long way, which white space forces", () => {
    fc.assert(
      fc.property(jsonText, (text) => {
        const [short, long] = [parseJson(text), parseJson(`${text} `)];
        expect(long.ok).toBe(short.ok);
        if (short.ok) expect(long).toEqual(short);
      }),
      options,
    );
  });

  test("that is accepted says what JSON.parse says, and its canonical form is accepted and is the same", () => {
    fc.assert(
      fc.property(jsonText, (text) => {
        const parsed = parseJson(text);
        fc.pre(parsed.ok);
        expect(parsed.value).toEqual(JSON.parse(text));
        expect(parseJson(canonicalize(parsed.value))).toEqual(parsed);
      }),
      options,
    );
  });

  test("that repeats a member is refused, wherever it stands", () => {
    fc.assert(
      fc.property(fc.string(), fc.json(), fc.nat(5), (name, value, depth) => {
        const key = JSON.stringify(name);
        const text = `${"[".repeat(depth)}{${key}:1,"between":${value},${key}:1}${"]".repeat(depth)}`;
        expect(parseJson(text).ok).toBe(false);
      }),
      options,
    );
  });

  test("bytes that are not UTF-8 are refused", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expectResult(parseJson(bytes));
      }),
      options,
    );
  });
});

describe("base64", () => {
  test("has one spelling for one value", () => {
    const text = fc.oneof(fc.string(), fc.base64String(), fc.stringMatching(/^[\w-]{0,12}$/));
    fc.assert(
      fc.property(text, (candidate) => {
        const bytes = decodeBase64url(candidate);
        if (bytes !== undefined) expect(encodeBase64url(bytes)).toBe(candidate);
        const padded = decodeBase64(candidate);
        if (padded !== undefined) expect(encodeBase64(padded)).toBe(candidate);
      }),
      options,
    );
  });

  test("gives back what was put in", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(decodeBase64url(encodeBase64url(bytes))).toEqual(new Uint8Array(bytes));
        expect(decodeBase64(encodeBase64(bytes))).toEqual(new Uint8Array(bytes));
      }),
      options,
    );
  });
});

describe("small texts", () => {
  test("instants have one spelling, prices and subjects are read or not", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.constantFrom(...inputs.flatMap(textsIn))), (text) => {
        const instant = parseInstant(text);
        if (instant !== undefined) expect(formatInstant(instant)).toBe(text);
        parsePrice(text);
        parseSubject(text);
        expectResult(checkScope([text]));
      }),
      options,
    );
  });
});

describe("tokens", () => {
  test("that were tampered with are refused, and nothing is thrown", async () => {
    await fc.assert(
      fc.asyncProperty(brokenToken, async (token) => {
        const jws = parseConsentToken(token);
        expectResult(jws);
        expectResult(parseCompactJws(token, "statuslist+jwt"));
        expectResult(await verifyStatusList(token, { uri: `${ORIGIN}/status-lists/1`, keys, now: NOW }));
        if (jws.ok && !tokens.includes(token))
          for (const key of keys.keys) {
            const owned = { ...key, owner: { kind: "platform" } } as const;
            const verified = await verifyConsentSignature(token, jws.value, {
              origin: ORIGIN,
              key: owned,
              madeAt: NOW,
            });
            expect(verified.ok).toBe(false);
          }
      }),
      options,
    );
  });
});

describe("documents", () => {
  const readers: Readonly<Record<string, (object: JsonObject) => Result<unknown> | Promise<Result<unknown>>>> = {
    parsePublicJwk,
    readContentItem,
    readManifest,
    readCurrentManifest,
    readDatasetStatus,
    readRevocationView,
    readDatasetRegistration,
    readItemLine,
    readConsentLine,
    verifyKeySet: (object) => verifyKeySet(object, ORIGIN, NOW),
    verifyDocument: (object) => verifyDocument(object, { type: "manifest", keys, madeAt: NOW }),
  };

  test.each(Object.entries(readers))("%s answers, whatever it is given", async (_name, read) => {
    await fc.assert(
      fc.asyncProperty(brokenObject, async (object) => {
        const parsed = parseJsonObject(JSON.stringify(object));
        if (parsed.ok) expectResult(await read(parsed.value));
      }),
      options,
    );
  });
});
