import { type JsonObject, parseJsonObject } from "@licet/protocol";
import { CommandError } from "./command-error.ts";

/** A server-sent event with JSON in it. */
export interface StreamEvent {
  readonly event: string;
  readonly id?: string;
  readonly data: JsonObject;
}

/** An event that is longer is no event of ours. */
const MAX_EVENT = 65_536;
/** A stream that says nothing for so long, not even that it is still there, is dead. */
const SILENCE_MS = 45_000;
/** Why a server refuses is read up to this length. */
const MAX_REFUSAL = 4_096;

export interface StreamRequest {
  readonly token: string;
  readonly lastEventId: string | undefined;
}

/** Reads a stream of events to its end. A refusal is a {@link CommandError}; a stream that breaks off throws. */
export async function* readEventStream(
  url: string,
  { token, lastEventId }: StreamRequest,
): AsyncGenerator<StreamEvent, void> {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENCE_MS);
  try {
    const response = await fetch(url, {
      headers: {
        accept: "text/event-stream",
        authorization: `Bearer ${token}`,
        ...(lastEventId === undefined ? {} : { "last-event-id": lastEventId }),
      },
      redirect: "manual",
      signal: silence.signal,
    });
    if (response.status === 204) return yield { event: "end", data: { reason: "done" } };
    if (response.status !== 200 || response.body === null) await refuseAnswer(response);
    let text = "";
    for await (const chunk of (response.body ?? new ReadableStream<Uint8Array<ArrayBuffer>>()).pipeThrough(
      new TextDecoderStream(),
    )) {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS);
      text += chunk;
      for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
        const event = eventOf(text.slice(0, end));
        text = text.slice(end + 2);
        if (event !== undefined) yield event;
      }
      if (text.length > MAX_EVENT) throw new Error(`expected events of at most ${MAX_EVENT} characters`);
    }
  } finally {
    clearTimeout(timer);
    silence.abort();
  }
}

/** 5xx and 429 may pass; whatever else the server says, it will say again. */
async function refuseAnswer(response: Response): Promise<never> {
  const problem = parseJsonObject((await response.text()).slice(0, MAX_REFUSAL));
  const detail = problem.ok ? problem.value["detail"] : undefined;
  const reason = typeof detail === "string" ? detail : `status ${response.status}`;
  if (response.status >= 500 || response.status === 429) throw new Error(reason);
  throw new CommandError(reason, 1);
}

/** Comments, and events without JSON, are none. */
function eventOf(block: string): StreamEvent | undefined {
  const fields = new Map(
    block.split("\n").map((line): [string, string] => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, "")];
    }),
  );
  const data = parseJsonObject(fields.get("data") ?? "");
  const [event, id] = [fields.get("event"), fields.get("id")];
  if (event === undefined || !data.ok) return undefined;
  return { event, data: data.value, ...(id === undefined ? {} : { id }) };
}
