import { type Result, accept, refuse } from "./refusal.ts";

/** What I-JSON (RFC 7493) can carry here: numbers are whole and within ±(2^53−1). */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [member: string]: JsonValue;
}

/** Nesting deeper than this is refused, in parsing as in rendering. */
export const MAX_JSON_DEPTH = 32;

/**
 * Parses strict I-JSON. Refuses (`json_malformed`) what JSON.parse lets pass: duplicate member
 * names, fractions, exponents, −0, |n| > 2^53−1, lone surrogates, invalid UTF-8, a byte order mark
 * and more than {@link MAX_JSON_DEPTH} levels.
 *
 * @example parseJson('{"a":1,"a":2}') // → refused: duplicate member "a" at offset 7
 */
export function parseJson(input: string | Uint8Array): Result<JsonValue> {
  const text = typeof input === "string" ? input : decodeUtf8(input);
  if (text === undefined) return refuse("json_malformed", "expected UTF-8, got bytes that are not");
  const plain = parsePlain(text);
  if (plain !== undefined) return accept(plain);
  try {
    const parser: Parser = { text, offset: 0 };
    const value = parseValue(parser, 0);
    skipSpace(parser);
    if (parser.offset < text.length) fail(parser, "expected the end of the text");
    return accept(value);
  } catch (error) {
    if (error instanceof JsonSyntaxError) return refuse("json_malformed", error.message);
    throw error;
  }
}

/** Like {@link parseJson}, and the top level must be an object. */
export function parseJsonObject(input: string | Uint8Array): Result<JsonObject> {
  const parsed = parseJson(input);
  if (!parsed.ok) return parsed;
  return isJsonObject(parsed.value)
    ? accept(parsed.value)
    : refuse("json_malformed", "expected an object at the top level");
}

export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Canonical JSON (RFC 8785): members sorted by UTF-16 code units, no white space. Throws a
 * TypeError on what I-JSON cannot carry, since only our own code can have put it there.
 */
export function canonicalize(value: JsonValue): string {
  return renderValue(value, 0);
}

/** The UTF-8 bytes of {@link canonicalize}. */
export function canonicalBytes(value: JsonValue): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(canonicalize(value));
}

/**
 * The short way for what machines write: a text without escapes that the host's parser and renderer
 * hand back unchanged repeats no member and has no white space, no -0 and no lone surrogate. What is
 * left to check is numbers and depth. Anything else, wrong or merely unusual, goes the long way.
 */
function parsePlain(text: string): JsonValue | undefined {
  if (text.includes("\\")) return undefined;
  try {
    const value: JsonValue = JSON.parse(text);
    return JSON.stringify(value) === text && isCarried(value, 0) ? value : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof RangeError) return undefined;
    throw error;
  }
}

function isCarried(value: JsonValue, depth: number): boolean {
  if (typeof value === "number") return Number.isSafeInteger(value);
  if (typeof value !== "object" || value === null) return true;
  if (depth >= MAX_JSON_DEPTH) return false;
  for (const member of Object.values(value)) if (!isCarried(member, depth + 1)) return false;
  return true;
}

interface Parser {
  readonly text: string;
  offset: number;
}

class JsonSyntaxError extends Error {}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return UTF8.decode(bytes);
  } catch {
    return undefined;
  }
}

function fail(parser: Parser, expected: string): never {
  throw new JsonSyntaxError(`${expected} at offset ${parser.offset}`);
}

function skipSpace(parser: Parser): void {
  for (;;) {
    const code = parser.text.charCodeAt(parser.offset);
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
    parser.offset += 1;
  }
}

function parseValue(parser: Parser, depth: number): JsonValue {
  skipSpace(parser);
  const first = parser.text[parser.offset];
  if ((first === "{" || first === "[") && depth >= MAX_JSON_DEPTH)
    fail(parser, `expected at most ${MAX_JSON_DEPTH} levels`);
  switch (first) {
    case "{":
      return parseObject(parser, depth);
    case "[":
      return parseArray(parser, depth);
    case '"':
      return parseString(parser);
    case "t":
      return parseLiteral(parser, "true", true);
    case "f":
      return parseLiteral(parser, "false", false);
    case "n":
      return parseLiteral(parser, "null", null);
    default:
      return parseNumber(parser);
  }
}

function parseLiteral<T>(parser: Parser, literal: string, value: T): T {
  if (!parser.text.startsWith(literal, parser.offset)) fail(parser, "expected a JSON value");
  parser.offset += literal.length;
  return value;
}

const WHOLE_NUMBER = /-?(?:0|[1-9]\d*)/y;

function parseNumber(parser: Parser): number {
  WHOLE_NUMBER.lastIndex = parser.offset;
  const digits = WHOLE_NUMBER.exec(parser.text)?.[0];
  if (digits === undefined) fail(parser, "expected a JSON value");
  const value = Number(digits);
  const next = parser.text[parser.offset + digits.length];
  if (next === "." || next === "e" || next === "E" || Object.is(value, -0))
    fail(parser, "expected a whole number without fraction or exponent");
  if (!Number.isSafeInteger(value)) fail(parser, "expected a number within 2^53-1");
  parser.offset += digits.length;
  return value;
}

/** A run of plain characters, or one escape. One expression for the whole string would overflow the stack on long ones. */
const STRING_PIECE = /[ !#-[\]-\uffff]+|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;

function parseString(parser: Parser): string {
  const { text, offset } = parser;
  let end = offset + 1;
  STRING_PIECE.lastIndex = end;
  while (STRING_PIECE.test(text)) end = STRING_PIECE.lastIndex;
  if (text[end] !== '"') fail(parser, "expected a complete string without control characters");
  const literal = text.slice(offset, end + 1);
  const value: unknown = literal.includes("\\") ? JSON.parse(literal) : literal.slice(1, -1);
  if (typeof value !== "string" || !value.isWellFormed()) fail(parser, "expected no lone surrogate");
  parser.offset = end + 1;
  return value;
}

function parseArray(parser: Parser, depth: number): JsonValue[] {
  const values: JsonValue[] = [];
  parser.offset += 1;
  skipSpace(parser);
  if (parser.text[parser.offset] === "]") {
    parser.offset += 1;
    return values;
  }
  for (;;) {
    values.push(parseValue(parser, depth + 1));
    if (endOfList(parser, "]")) return values;
  }
}

function parseObject(parser: Parser, depth: number): JsonObject {
  const members: Record<string, JsonValue> = {};
  parser.offset += 1;
  skipSpace(parser);
  if (parser.text[parser.offset] === "}") {
    parser.offset += 1;
    return members;
  }
  for (;;) {
    skipSpace(parser);
    if (parser.text[parser.offset] !== '"') fail(parser, "expected a member name");
    const at = parser.offset;
    const name = parseString(parser);
    if (Object.hasOwn(members, name))
      throw new JsonSyntaxError(`duplicate member ${JSON.stringify(name)} at offset ${at}`);
    skipSpace(parser);
    if (parser.text[parser.offset] !== ":") fail(parser, "expected a colon");
    parser.offset += 1;
    setMember(members, name, parseValue(parser, depth + 1));
    if (endOfList(parser, "}")) return members;
  }
}

/** Plain assignment to `__proto__` would set the prototype instead of a member. */
function setMember(members: Record<string, JsonValue>, name: string, value: JsonValue): void {
  if (name === "__proto__") {
    Object.defineProperty(members, name, { value, enumerable: true, configurable: true, writable: true });
  } else {
    members[name] = value;
  }
}

function endOfList(parser: Parser, close: "]" | "}"): boolean {
  skipSpace(parser);
  const next = parser.text[parser.offset];
  if (next !== "," && next !== close) fail(parser, `expected a comma or ${close}`);
  parser.offset += 1;
  return next === close;
}

function renderValue(value: JsonValue, depth: number): string {
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "number") return renderNumber(value);
  if (typeof value === "string") return renderString(value);
  if (depth >= MAX_JSON_DEPTH) throw new TypeError(`canonical JSON: more than ${MAX_JSON_DEPTH} levels`);
  if (isJsonObject(value)) return renderObject(value, depth);
  if (Array.isArray(value)) return `[${value.map((entry: JsonValue) => renderValue(entry, depth + 1)).join(",")}]`;
  throw new TypeError(`canonical JSON: cannot carry a ${typeof value}`);
}

function renderObject(value: JsonObject, depth: number): string {
  const members = Object.keys(value)
    .sort()
    .map((name) => {
      const member = value[name];
      if (member === undefined) throw new TypeError(`canonical JSON: member ${name} is undefined`);
      return `${renderString(name)}:${renderValue(member, depth + 1)}`;
    });
  return `{${members.join(",")}}`;
}

function renderNumber(value: number): string {
  if (!Number.isSafeInteger(value) || Object.is(value, -0))
    throw new TypeError(`canonical JSON: ${value} is not a whole number within 2^53-1`);
  return String(value);
}

function renderString(value: string): string {
  if (!value.isWellFormed()) throw new TypeError("canonical JSON: lone surrogate");
  return JSON.stringify(value);
}
