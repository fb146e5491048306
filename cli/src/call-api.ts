import { type JsonObject, type JsonValue, type Shape, readShape } from "@licet/protocol";
import type { JsonCall, LicetClient, LicetProblem } from "@licet/sdk";
import { CommandError } from "./command-error.ts";

/** Calls a route and reads its answer; an answer that is not as agreed ends the command. */
export async function call<T>(client: LicetClient, request: JsonCall, shape: Shape<T>): Promise<T> {
  const answer = await client.sendJson(request);
  if (!answer.ok)
    throw new CommandError(
      `${request.method} ${client.origin}${request.path}: expected a success, got ${describe(answer.refusal)}`,
      1,
    );
  const read = readShape(shape, answer.value, "answer", "document_invalid");
  if (!read.ok) throw new CommandError(`${request.method} ${client.origin}${request.path}: ${read.refusal.detail}`, 1);
  return read.value;
}

/** Calls a route that has to refuse, and answers how it did. */
export async function callRefused(client: LicetClient, request: JsonCall, status: number): Promise<LicetProblem> {
  const answer = await client.sendJson(request);
  if (!answer.ok && answer.refusal.status === status) return answer.refusal;
  const got = answer.ok ? "a success" : describe(answer.refusal);
  throw new CommandError(
    `${request.method} ${client.origin}${request.path}: expected to be refused with status ${status}, got ${got}`,
    1,
  );
}

function describe({ status, detail, code, offences = [] }: LicetProblem): string {
  const named = offences.map((offence) => `${offence.at}: ${offence.detail}`).join("; ");
  return `${status === 0 ? "no answer" : `status ${status}`} (${code}): ${named === "" ? detail : named}`;
}

/** Reads a public JSON document, as anybody may. */
export async function readPublic<T>(url: string, shape: Shape<T>): Promise<T> {
  const response = await fetch(url);
  if (!response.ok) throw new CommandError(`GET ${url}: expected a success, got status ${response.status}`, 1);
  const body: JsonValue = await response.json();
  const read = readShape(shape, body, "document", "document_invalid");
  if (!read.ok) throw new CommandError(`GET ${url}: ${read.refusal.detail}`, 1);
  return read.value;
}

const POLL_MS = 20;

/** Asks again and again until there is an answer; gives up after `seconds`. */
export async function waitFor<T>(what: string, seconds: number, probe: () => Promise<T | undefined>): Promise<T> {
  const endsAt = performance.now() + seconds * 1_000;
  for (;;) {
    const found = await probe();
    if (found !== undefined) return found;
    if (performance.now() > endsAt)
      throw new CommandError(`expected ${what} within ${seconds} seconds, got nothing of the kind`, 1);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** A body as it is sent: members that are undefined are left out. */
export function bodyOf(members: Readonly<Record<string, JsonValue | undefined>>): JsonObject {
  return Object.fromEntries(
    Object.entries(members).filter((member): member is [string, JsonValue] => member[1] !== undefined),
  );
}
