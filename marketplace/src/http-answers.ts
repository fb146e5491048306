import {
  type JsonObject,
  type JsonValue,
  type Refusal,
  type Result,
  accept,
  parseJsonObject,
  problemOf,
  refuse,
} from "@licet/protocol";
import { readBody } from "@licet/sdk";
import { createHash, timingSafeEqual } from "node:crypto";
import type { z } from "zod";

/** A request to the JSON API is at most this long. */
const MAX_BODY_BYTES = 64 * 1024;
const RETRY_AFTER_SECONDS = "2";

/** `application/problem+json` (RFC 9457). The pages behind `type` are the platform's. */
export function problem(refusal: Refusal, platformOrigin: string | undefined, status?: number): Response {
  const body = problemOf(refusal, platformOrigin ?? "");
  const headers: Record<string, string> = { "content-type": "application/problem+json", "cache-control": "no-store" };
  const code = status ?? body.status;
  if (code === 401) headers["www-authenticate"] = "Bearer";
  // The rest of the body is not read, so nothing can follow it on this connection.
  if (code === 413) headers["connection"] = "close";
  if (code === 503) headers["retry-after"] = RETRY_AFTER_SECONDS;
  return Response.json({ ...body, status: code }, { status: code, headers });
}

export function json(body: JsonValue, status = 200): Response {
  return Response.json(body, { status, headers: { "cache-control": "no-store" } });
}

/** Checks `Authorization: Bearer` against the tokens that open a route, in time that does not depend on them. */
export function checkBearer(request: Request, tokens: readonly string[]): Result<true> {
  const [, token] = /^Bearer ([\x21-\x7e]{1,4096})$/i.exec(request.headers.get("authorization") ?? "") ?? [];
  if (token === undefined) return refuse("unauthenticated", "expected Authorization: Bearer");
  const matches = tokens.filter((expected) => isEqual(token, expected));
  return matches.length > 0 ? accept(true) : refuse("token_invalid", "expected a token of this route, got another");
}

function isEqual(left: string, right: string): boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(left), digest(right));
}

/** Reads a JSON object from a request. Refuses `media_type_wrong`, `body_too_large`, `body_malformed`. */
export async function readJson(request: Request): Promise<Result<JsonObject>> {
  const mediaType = request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  if (mediaType !== "application/json")
    return refuse("media_type_wrong", `expected application/json, got ${mediaType ?? "none"}`);
  const body = await readBody(request, MAX_BODY_BYTES);
  if (!body.ok) return body;
  const parsed = parseJsonObject(body.value);
  return parsed.ok ? parsed : refuse("body_malformed", parsed.refusal.detail);
}

/** Reads a value by a schema. Refuses `input_invalid` with every member that is not acceptable. */
export function readInput<T>(shape: z.ZodType<T>, value: unknown): Result<T> {
  const parsed = shape.safeParse(value);
  if (parsed.success) return accept(parsed.data);
  const offences = parsed.error.issues.map(({ path, message }) => ({
    at: path.join("."),
    code: "input_invalid" as const,
    detail: message,
  }));
  return refuse(
    "input_invalid",
    offences.map(({ at, detail }) => (at === "" ? detail : `${at}: ${detail}`)).join("; "),
    offences,
  );
}
