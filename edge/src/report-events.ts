import { encodeBase64, parseJsonObject } from "@licet/protocol";
import type { EdgeConfig, ReportConfig } from "./config.ts";
import { type EdgePorts, readWithin } from "./ports.ts";

const EVENTS_PATH = "/api/v1/edge-events";
const TOKEN_PATH = "/oauth/token";
const SCOPE = "edge:report";
const MAX_BATCH = 500;
/** Events that wait at most; of more, the oldest are lost, and it is said how many. */
const MAX_WAITING = 10_000;
const TIMEOUT_MS = 10_000;
const MAX_ANSWER_BYTES = 65_536;
/** A token is not used in its last seconds. */
const TOKEN_MARGIN_MS = 30_000;
/** Answers after which a batch is sent again, besides those of 500 and up. */
const TRANSIENT: readonly number[] = [401, 408, 409, 429];

/** What was decided about one request of a machine: a line of `POST /api/v1/edge-events`. */
export interface EdgeEvent {
  readonly at: string;
  readonly url_sha256: string;
  readonly content_id?: string;
  readonly dataset_id?: string;
  readonly license_id?: string;
  readonly marketplace?: string;
  readonly agent: { readonly kind: string; readonly name: string };
  readonly decision: "pass" | "refuse";
  readonly code?: string;
  readonly mode: "observe" | "enforce";
}

export interface EventReports {
  readonly add: (event: EdgeEvent) => void;
  readonly hasWaiting: () => boolean;
  /** Sends what waits, a batch after the other, until none waits or one cannot be sent. */
  readonly flush: () => Promise<void>;
}

interface Batch {
  readonly id: string;
  readonly events: readonly EdgeEvent[];
}

/** Events that wait, and the token to send them with: kept between requests. */
export interface ReportMemory {
  readonly waiting: EdgeEvent[];
  batch: Batch | undefined;
  lost: number;
  /** Somebody is sending; whoever was cut off gives way by then. */
  sendingUntilMs: number;
  token: { readonly text: string; readonly untilMs: number } | undefined;
}

export function createReportMemory(): ReportMemory {
  return { waiting: [], batch: undefined, lost: 0, sendingUntilMs: 0, token: undefined };
}

/** Longer than a batch takes with its token. */
const SENDING_MS = 30_000;

/** Gathers events and sends them in batches. A batch that got no answer is sent again under the same name, so that it counts once. */
export function createEventReports(
  { origin, address, report }: Pick<EdgeConfig, "origin" | "address" | "report">,
  ports: EdgePorts,
  memory: ReportMemory,
): EventReports {
  if (report === undefined) return { add: () => undefined, flush: async () => undefined, hasWaiting: () => false };
  const sending: Sending = { origin, address, report, ports, memory };
  return {
    add: (event) => addEvent(event, sending),
    hasWaiting: () => memory.batch !== undefined || memory.waiting.length > 0,
    flush: async () => {
      if (ports.nowMs() < memory.sendingUntilMs) return;
      try {
        let isGoingOn = true;
        while (isGoingOn) {
          memory.sendingUntilMs = ports.nowMs() + SENDING_MS;
          isGoingOn = await sendNext(sending);
        }
      } finally {
        memory.sendingUntilMs = 0;
      }
    },
  };
}

function addEvent(event: EdgeEvent, { memory, ports }: Sending): void {
  memory.waiting.push(event);
  if (memory.waiting.length <= MAX_WAITING) return;
  memory.waiting.shift();
  memory.lost += 1;
  if (memory.lost % MAX_WAITING === 1)
    ports.log({
      level: "error",
      message: `${memory.lost} events are lost, since they could not be sent`,
      path: EVENTS_PATH,
    });
}

/** Sends the batch that waits, or the next one. False when nothing waits, or nothing can be sent now. */
async function sendNext(sending: Sending): Promise<boolean> {
  const { memory, ports } = sending;
  if (memory.batch === undefined && memory.waiting.length > 0)
    memory.batch = { id: ports.randomId(), events: memory.waiting.splice(0, MAX_BATCH) };
  if (memory.batch === undefined) return false;
  const problem = await sendBatch(memory.batch, sending);
  if (problem === "again") return false;
  if (problem !== undefined) ports.log({ level: "error", message: problem, path: EVENTS_PATH });
  memory.batch = undefined;
  return true;
}

interface Sending {
  readonly origin: string;
  readonly address: string;
  readonly report: ReportConfig;
  readonly ports: EdgePorts;
  readonly memory: ReportMemory;
}

/** Undefined when the batch was taken, `again` when it may be later, else why it never will be. */
async function sendBatch({ id, events }: Batch, sending: Sending): Promise<string | undefined> {
  const { address, ports, memory } = sending;
  const warn = (message: string): "again" => {
    ports.log({ level: "warn", message, path: EVENTS_PATH });
    return "again";
  };
  try {
    const bearer = await accessToken(sending);
    if (bearer === undefined) return "again";
    const response = await ports.fetch(`${address}${EVENTS_PATH}`, {
      method: "POST",
      redirect: "manual",
      signal: AbortSignal.timeout(TIMEOUT_MS),
      headers: {
        authorization: `Bearer ${bearer}`,
        "content-type": "application/x-ndjson",
        "idempotency-key": id,
      },
      body: `${events.map((event) => JSON.stringify(event)).join("\n")}\n`,
    });
    const answer = await readWithin(response, MAX_ANSWER_BYTES);
    if (response.ok) return undefined;
    if (response.status === 401) memory.token = undefined;
    if (response.status >= 500 || TRANSIENT.includes(response.status))
      return warn(`expected 202, the platform answered ${response.status}`);
    return `${events.length} events were refused with ${response.status}: ${(answer ?? "").slice(0, 200)}`;
  } catch (error) {
    return warn(error instanceof Error ? error.message : String(error));
  }
}

/** An access token, or undefined when none can be had now. */
async function accessToken({ origin, address, report, ports, memory }: Sending): Promise<string | undefined> {
  if (memory.token !== undefined && ports.nowMs() < memory.token.untilMs) return memory.token.text;
  const name = `${encodeURIComponent(report.clientId)}:${encodeURIComponent(report.clientSecret)}`;
  const response = await ports.fetch(`${address}${TOKEN_PATH}`, {
    method: "POST",
    redirect: "manual",
    signal: AbortSignal.timeout(TIMEOUT_MS),
    headers: {
      authorization: `Basic ${encodeBase64(new TextEncoder().encode(name))}`,
      "content-type": "application/x-www-form-urlencoded",
    },
    body: new URLSearchParams({ grant_type: "client_credentials", scope: SCOPE, resource: origin }).toString(),
  });
  const answer = parseJsonObject((await readWithin(response, MAX_ANSWER_BYTES)) ?? "");
  const text = answer.ok ? answer.value["access_token"] : undefined;
  const seconds = answer.ok ? answer.value["expires_in"] : undefined;
  if (response.status !== 200 || typeof text !== "string" || typeof seconds !== "number") {
    ports.log({
      level: "warn",
      message: `expected an access token, the platform answered ${response.status}`,
      path: TOKEN_PATH,
    });
    return undefined;
  }
  memory.token = { text, untilMs: ports.nowMs() + seconds * 1_000 - TOKEN_MARGIN_MS };
  return text;
}
