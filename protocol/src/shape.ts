import { SHA256_HEX } from "./digest.ts";
import { isIdentifier, isOrigin, isQualifiedIdentifier } from "./identifiers.ts";
import { isInstant, parseInstant } from "./instant.ts";
import { type JsonObject, type JsonValue, isJsonObject } from "./json.ts";
import { type RefusalCode, type Result, accept, refuse } from "./refusal.ts";

/**
 * Shapes read parsed JSON into types: each is a function from a value, and the place it stands at,
 * to the typed value. Members a shape does not name are left alone: signed bytes may carry more.
 */
export type Shape<T> = (value: JsonValue, at: string) => T;

type Read<T> = T extends Shape<infer V> ? V : never;
type Members = Readonly<Record<string, Shape<unknown>>>;
export type ObjectOf<R extends Members, O extends Members> = { readonly [K in keyof R]: Read<R[K]> } & {
  readonly [K in keyof O]?: Read<O[K]>;
};

class ShapeError extends Error {
  readonly absent: boolean;
  constructor(message: string, absent: boolean) {
    super(message);
    this.absent = absent;
  }
}

/**
 * Reads a value by its shape. Refuses with `code`, or with `codeWhenAbsent` when a required member
 * is not there, and a sentence that names the member, what was expected and what came.
 */
export function readShape<T>(
  shape: Shape<T>,
  value: JsonValue,
  at: string,
  code: RefusalCode,
  codeWhenAbsent = code,
): Result<T> {
  try {
    return accept(shape(value, UNSAID));
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error;
  }
  try {
    return accept(shape(value, at));
  } catch (error) {
    if (error instanceof ShapeError) return refuse(error.absent ? codeWhenAbsent : code, error.message);
    throw error;
  }
}

/** Most values have their shape, so the places are only spelled out once one is known not to. */
const UNSAID = "";

function placeIn(at: string, name: string): string {
  return at === UNSAID ? UNSAID : `${at}.${name}`;
}

export function objectOf<R extends Members, O extends Members = Record<never, never>>(
  required: R,
  optional?: O,
): Shape<ObjectOf<R, O>> {
  const always = Object.entries(required);
  const sometimes = Object.entries(optional ?? {});
  return (value, at) => {
    if (!isJsonObject(value)) return mismatch(at, "an object", value);
    const members: Record<string, unknown> = {};
    for (const [name, shape] of always) members[name] = shape(requiredMember(value, name, at), placeIn(at, name));
    for (const [name, shape] of sometimes) {
      const member = memberOf(value, name);
      if (member !== undefined) members[name] = shape(member, placeIn(at, name));
    }
    return members as ObjectOf<R, O>;
  };
}

export function listOf<T>(
  shape: Shape<T>,
  limits: { readonly min?: number; readonly max: number },
): Shape<readonly T[]> {
  const { min = 0, max } = limits;
  return (value, at) => {
    if (!Array.isArray(value)) return mismatch(at, "a list", value);
    if (value.length < min || value.length > max)
      throw new ShapeError(`${at}: expected ${min} to ${max} entries, got ${value.length}`, false);
    return value.map((entry: JsonValue, index) => shape(entry, at === UNSAID ? UNSAID : `${at}[${index}]`));
  };
}

export function oneOf<const T extends string>(...choices: readonly T[]): Shape<T> {
  return (value, at) =>
    choices.find((choice) => choice === value) ??
    mismatch(at, choices.map((choice) => JSON.stringify(choice)).join(" or "), value);
}

export function exactly<const T extends string | number | boolean>(expected: T): Shape<T> {
  return (value, at) => (value === expected ? expected : mismatch(at, JSON.stringify(expected), value));
}

export function textUpTo(maxLength: number): Shape<string> {
  return (value, at) =>
    typeof value === "string" && value.length <= maxLength
      ? value
      : mismatch(at, `text of at most ${maxLength} characters`, value);
}

export function matching(test: (text: string) => boolean, expected: string): Shape<string> {
  return (value, at) => (typeof value === "string" && test(value) ? value : mismatch(at, expected, value));
}

export const anything: Shape<JsonValue> = (value) => value;
export const flag: Shape<boolean> = (value, at) =>
  typeof value === "boolean" ? value : mismatch(at, "true or false", value);
export const count: Shape<number> = (value, at) =>
  typeof value === "number" && value >= 0 ? value : mismatch(at, "a whole number of at least 0", value);
export function countUpTo(max: number): Shape<number> {
  return (value, at) =>
    typeof value === "number" && value >= 0 && value <= max
      ? value
      : mismatch(at, `a whole number of 0 to ${max}`, value);
}
export const numericDate: Shape<number> = (value, at) =>
  typeof value === "number" && isInstant(value)
    ? value
    : mismatch(at, "seconds since 1970 before the year 10000", value);
export const instant: Shape<string> = matching(
  (text) => parseInstant(text) !== undefined,
  "an instant such as 2026-01-18T12:05:00Z",
);
export const identifier: Shape<string> = matching(isIdentifier, "an identifier");
export const qualifiedIdentifier: Shape<string> = matching(isQualifiedIdentifier, "an identifier");
export const sha256: Shape<string> = matching((text) => SHA256_HEX.test(text), "64 lower-case hexadecimal digits");
export const origin: Shape<string> = matching(isOrigin, "an origin such as https://platform.example");
export const webUrl: Shape<string> = matching(
  isWebUrl,
  "an absolute http(s) URL of at most 2048 characters without user name or fragment",
);
export const anyObject: Shape<JsonObject> = (value, at) =>
  isJsonObject(value) ? value : mismatch(at, "an object", value);

/** The longest URL we write down or follow. */
export const MAX_URL_LENGTH = 2048;

/** URL parsers repair what this refuses, each in its own way: backslashes, missing or extra slashes, control characters. */
const WEB_URL = /^https?:\/\/[^\s\p{Cc}\\#/][^\s\p{Cc}\\#]*$/u;

export function isWebUrl(text: string): boolean {
  if (text.length > MAX_URL_LENGTH || !WEB_URL.test(text) || !URL.canParse(text)) return false;
  // Whoever has no user name or password needs no `@`, and most addresses have none.
  if (!text.includes("@")) return true;
  const url = new URL(text);
  return url.username === "" && url.password === "";
}

function requiredMember(value: JsonObject, name: string, at: string): JsonValue {
  const member = memberOf(value, name);
  if (member === undefined) throw new ShapeError(`${at}.${name}: expected to be there, is missing`, true);
  return member;
}

function memberOf(value: JsonObject, name: string): JsonValue | undefined {
  return Object.hasOwn(value, name) ? value[name] : undefined;
}

function mismatch(at: string, expected: string, got: JsonValue): never {
  throw new ShapeError(`${at}: expected ${expected}, got ${excerpt(got)}`, false);
}

const MAX_EXCERPT_LENGTH = 60;

/** The beginning of a value, for a sentence about it: whoever sent it chose its length. */
export function excerpt(value: JsonValue): string {
  const text = JSON.stringify(value);
  return text.length <= MAX_EXCERPT_LENGTH ? text : `${text.slice(0, MAX_EXCERPT_LENGTH)}…`;
}
