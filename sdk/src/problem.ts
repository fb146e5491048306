import {
  type JsonObject,
  type JsonValue,
  type Offence,
  type Refusal,
  type RefusalCode,
  type Result,
  REFUSALS,
  accept,
  isJsonObject,
  isRefusalCode,
  parseJsonObject,
} from "@licet/protocol";
import type { ApiAnswer } from "./send.ts";

/**
 * A refusal as it came over HTTP (RFC 9457), or the reason why nothing came. `status` is 0 when
 * there was no answer.
 *
 * @example { code: "forbidden", status: 403, title: "This caller may not do this", detail: "expected the scope datasets:read" }
 */
export interface LicetProblem extends Refusal {
  readonly status: number;
  readonly title: string;
  readonly requestId?: string;
  readonly retryAfterSeconds?: number;
}

/**
 * What a call of the client answers: a {@link Result} whose refusal also knows the HTTP status.
 *
 * @example const dataset = await client.getDataset("ds_1"); if (!dataset.ok) console.error(dataset.refusal.code);
 */
export type Answer<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly refusal: LicetProblem };

/**
 * Reads an answer with a status of 400 or above: `application/problem+json`, an OAuth error
 * (RFC 6749 section 5.2), or whatever a proxy in between said, judged by its status.
 *
 * @example parseProblem({ status: 404, headers: new Headers(), body: new Uint8Array() }).code // → "not_found"
 */
export function parseProblem(answer: ApiAnswer): LicetProblem {
  const { status, headers } = answer;
  const parsed = parseJsonObject(answer.body);
  const retryAfter = headers.get("retry-after");
  return {
    ...readProblem(parsed.ok ? parsed.value : {}, status),
    ...(retryAfter !== null && /^\d{1,6}$/.test(retryAfter) ? { retryAfterSeconds: Number(retryAfter) } : {}),
  };
}

/** Reads a problem that is part of an answer, such as that of one line of many. @example readProblem(line.problem, 422) */
export function readProblem(body: JsonObject, status: number): LicetProblem {
  const named = textOf(body["code"]);
  const code = named !== undefined && isRefusalCode(named) ? named : codeOfStatus(status);
  const detail =
    textOf(body["detail"]) ??
    textOf(body["error_description"]) ??
    textOf(body["error"]) ??
    `expected a success, got status ${status}`;
  const offences = offencesOf(body["errors"]);
  const requestId = textOf(body["request_id"]);
  return {
    code,
    status,
    title: textOf(body["title"]) ?? REFUSALS[code].title,
    detail,
    ...(offences.length === 0 ? {} : { offences }),
    ...(requestId === undefined ? {} : { requestId }),
  };
}

/** Gives a refusal that no server spoke the form of one that did. */
export function localProblem(refusal: Refusal): LicetProblem {
  return { ...refusal, status: 0, title: REFUSALS[refusal.code].title };
}

/**
 * Reads an answer: the body by `read` when it is a success, the problem otherwise.
 *
 * @example parseAnswer(answer, (body) => accept(body)) // → { ok: true, value: { … } }
 */
export function parseAnswer<T>(answer: ApiAnswer, read: (body: JsonObject) => Result<T>): Answer<T> {
  if (answer.status < 200 || answer.status >= 300) return { ok: false, refusal: parseProblem(answer) };
  const body = answer.body.length === 0 ? accept<JsonObject>({}) : parseJsonObject(answer.body);
  const value = body.ok ? read(body.value) : body;
  return value.ok ? value : { ok: false, refusal: { ...localProblem(value.refusal), status: answer.status } };
}

const STATUS_CODES: Readonly<Record<number, RefusalCode>> = {
  400: "body_malformed",
  401: "unauthenticated",
  403: "forbidden",
  404: "not_found",
  405: "method_not_allowed",
  409: "conflict",
  413: "body_too_large",
  415: "media_type_wrong",
  422: "input_invalid",
  429: "unavailable",
  502: "unavailable",
  503: "unavailable",
  504: "unavailable",
};

function codeOfStatus(status: number): RefusalCode {
  return STATUS_CODES[status] ?? (status >= 500 ? "internal" : "body_malformed");
}

function textOf(value: JsonValue | undefined): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function offencesOf(value: JsonValue | undefined): readonly Offence[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((entry: JsonValue) => {
    const { at, code, detail } = isJsonObject(entry) ? entry : {};
    return typeof at === "string" && typeof code === "string" && typeof detail === "string" && isRefusalCode(code)
      ? [{ at, code, detail }]
      : [];
  });
}
