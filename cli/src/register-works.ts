import {
  canonicalize,
  count,
  identifier,
  objectOf,
  oneOf,
  parseJsonObject,
  readShape,
  anyObject,
  type JsonObject,
  type Result,
} from "@licet/protocol";
import { type ApiRequest, type LicetClient, parseProblem, send, withBearer } from "@licet/sdk";
import { CommandError, orFail } from "./command-error.ts";
import type { WorkRecord } from "./describe-work.ts";

/** So many works travel in one request; the server takes up to 1 000. */
export const MAX_BATCH_WORKS = 200;
const BATCH_TIMEOUT_SECONDS = 120;

const RESULT_LINE = objectOf(
  { line: count, status: oneOf("created", "unchanged", "revised", "refused") },
  { content_id: identifier, problem: anyObject },
);

/** What the server made of one work. `reason` and `code` are there when it refused. */
export interface Registration {
  readonly status: "created" | "unchanged" | "revised" | "refused";
  readonly reason?: string;
  readonly code?: string;
}

/** Registers works in one request and answers one result for each, in their order. */
export async function registerWorks(
  client: LicetClient,
  works: readonly WorkRecord[],
): Promise<readonly Registration[]> {
  const token = orFail(await client.accessToken());
  const request: ApiRequest = {
    method: "POST",
    url: `${client.origin}/api/v1/content/bulk`,
    headers: { accept: "application/x-ndjson, application/problem+json", "content-type": "application/x-ndjson" },
    body: works.map((work) => `${canonicalize({ ...work })}\n`).join(""),
    // The same works again change nothing.
    repeatable: true,
  };
  const answer = orFail(await send(withBearer(request, token), { timeoutSeconds: BATCH_TIMEOUT_SECONDS }));
  if (answer.status !== 200)
    throw new CommandError(
      `expected ${client.origin} to register works, got status ${answer.status}: ${parseProblem(answer).detail}`,
    );
  return readResults(new TextDecoder().decode(answer.body), works.length);
}

function readResults(body: string, workCount: number): readonly Registration[] {
  const results = new Map<number, Registration>();
  for (const text of body.split("\n")) {
    if (text === "") continue;
    const { line, status, problem } = orFail(readResultLine(text));
    results.set(line, problem === undefined ? { status } : { status, ...reasonIn(problem) });
  }
  return Array.from({ length: workCount }, (_, index) => {
    const result = results.get(index + 1);
    if (result === undefined)
      throw new CommandError(
        `expected ${workCount} results, got none for line ${index + 1}: run the same import again`,
      );
    return result;
  });
}

function readResultLine(text: string): Result<ReturnType<typeof RESULT_LINE>> {
  const parsed = parseJsonObject(text);
  return parsed.ok ? readShape(RESULT_LINE, parsed.value, "result", "document_invalid") : parsed;
}

function reasonIn({ detail, title, code }: JsonObject): Pick<Registration, "reason" | "code"> {
  const reason = typeof detail === "string" ? detail : title;
  return { ...(typeof reason === "string" ? { reason } : {}), ...(typeof code === "string" ? { code } : {}) };
}
