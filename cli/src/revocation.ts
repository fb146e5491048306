import type { LicetClient, RevocationTimeline } from "@licet/sdk";
import { CommandError, type ExitCode, orFail } from "./command-error.ts";
import { createOwnClient } from "./credentials.ts";
import { type StreamEvent, readEventStream } from "./event-stream.ts";
import type { Settings } from "./settings.ts";
import { type Terminal, counted, printable, wrap } from "./terminal.ts";

export interface RevocationFlags {
  readonly follow?: true;
  readonly origin?: string;
  readonly token?: string;
  readonly json?: true;
}

interface Surroundings {
  readonly settings: Settings;
  readonly terminal: Terminal;
}

const MAX_ID = 256;
/** Legs that are printed one by one; of more, the sums say the rest. */
const MAX_SHOWN = 1_000;
/** A server that is away is asked again after one second, then after twice as long each time, so often. */
const MAX_RETRIES = 6;
const SCOPE = "events:read";

type Entry = Pick<
  RevocationTimeline["entries"][number],
  "leg" | "target" | "state" | "attempts" | "took_ms" | "last_error"
>;

/**
 * `licet revocation`: how far something that was taken back has come, and how many milliseconds each
 * leg took. With `--follow` it prints legs as they happen and ends with 0 when all are done. Ends with
 * 1 when the server refused or went away, with 2 when it could not be tried.
 */
export async function showRevocation(
  id: string,
  flags: RevocationFlags,
  { settings, terminal }: Surroundings,
): Promise<ExitCode> {
  if (id === "" || id.length > MAX_ID) throw new CommandError("expected the id of a revocation, got another text");
  const client = createOwnClient(settings, flags, SCOPE);
  const print = flags.json === true ? printJson(terminal) : printText(terminal);
  if (flags.follow === true) return follow(client, id, { print, terminal });
  const timeline = orFail(await client.getRevocation(id, { limit: MAX_SHOWN }), 1);
  if (flags.json === true) {
    terminal.print(JSON.stringify(timeline));
    return 0;
  }
  print.head(timeline);
  for (const entry of [...timeline.entries].sort(byTime)) print.leg(entry);
  terminal.print(summaryOf(timeline));
  return 0;
}

interface Printer {
  readonly head: (head: Pick<RevocationTimeline, "type" | "aggregate" | "at" | "revocation_id">) => void;
  readonly leg: (leg: Entry) => void;
  readonly end: (reason: string) => void;
}

function printText(terminal: Terminal): Printer {
  return {
    head: ({ type, aggregate, at, revocation_id }) =>
      terminal.print(printable(`${type} of ${aggregate} at ${at} (${revocation_id})`)),
    leg: (leg) => terminal.print(lineOf(leg)),
    end: () => terminal.print("Everybody has it."),
  };
}

function printJson(terminal: Terminal): Printer {
  const line = (event: string, data: object): void => terminal.print(JSON.stringify({ event, ...data }));
  return {
    head: (head) => line("revocation", head),
    leg: (leg) => line("leg", leg),
    end: (reason) => line("end", { reason }),
  };
}

const MS_WIDTH = 12;
const LEG_WIDTH = 15;

function lineOf({ leg, target, state, took_ms, attempts, last_error }: Entry): string {
  const when = took_ms === undefined ? (state === "failed" ? "given up" : "waiting") : `${took_ms} ms`;
  const tried = attempts > 1 ? `, ${counted(attempts, "attempt")}` : "";
  const why = last_error === undefined ? "" : `: ${last_error}`;
  return `${when.padStart(MS_WIDTH)}  ${leg.padEnd(LEG_WIDTH)} ${printable(`${target}${tried}${why}`)}`;
}

function byTime(left: Entry, right: Entry): number {
  return (left.took_ms ?? Number.MAX_SAFE_INTEGER) - (right.took_ms ?? Number.MAX_SAFE_INTEGER);
}

function summaryOf({ done, legs, entries, next }: RevocationTimeline): string {
  const [targets, waiting, failed] = [
    legs.reduce((sum, leg) => sum + leg.targets, 0),
    legs.reduce((sum, leg) => sum + leg.waiting, 0),
    legs.reduce((sum, leg) => sum + leg.failed, 0),
  ];
  const more = next === null ? "" : ` ${targets - entries.length} more are not shown.`;
  const given = failed === 0 ? "" : ` ${counted(failed, "leg")} given up.`;
  if (waiting > 0) return `${waiting} of ${counted(targets, "leg")} still waiting.${given}${more}`;
  return done ? `Everybody has it.${given}${more}` : `Nothing waits at the moment; more may come.${given}${more}`;
}

interface Following {
  readonly print: Printer;
  readonly terminal: Terminal;
}

/** Goes on after the last leg it has, whenever the stream ends before everything is done. */
async function follow(client: LicetClient, id: string, { print, terminal }: Following): Promise<ExitCode> {
  let lastEventId: string | undefined;
  let retries = 0;
  for (;;) {
    const token = orFail(await client.accessToken(), 1);
    const stream = readEventStream(`${client.origin}/api/v1/revocations/${encodeURIComponent(id)}`, {
      token,
      lastEventId,
    });
    try {
      for await (const event of stream) {
        retries = 0;
        if (event.event === "revocation" && lastEventId === undefined) print.head(headOf(event));
        if (event.event === "leg") print.leg(legOf(event));
        if (event.event === "end" && event.data["reason"] === "done") {
          print.end("done");
          return 0;
        }
        lastEventId = event.id ?? lastEventId;
      }
    } catch (error) {
      if (error instanceof CommandError) throw error;
      retries += 1;
      if (retries > MAX_RETRIES) throw new CommandError(`${client.origin} went away: ${String(error)}`, 1);
      terminal.note(
        wrap(`The stream broke off; asking again after ${lastEventId ?? "the beginning"}.`, {
          width: terminal.columns,
        }),
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 1_000 * 2 ** retries));
  }
}

function headOf({ data }: StreamEvent): Parameters<Printer["head"]>[0] {
  return {
    type: textOf(data["type"]),
    aggregate: textOf(data["aggregate"]),
    at: textOf(data["at"]),
    revocation_id: textOf(data["revocation_id"]),
  };
}

const LEGS = ["committed", "purge", "edge", "webhook", "acknowledgement"] as const;

function legOf({ data }: StreamEvent): Entry {
  const { took_ms, attempts } = data;
  return {
    leg: LEGS.find((name) => name === data["leg"]) ?? "committed",
    target: textOf(data["target"]),
    state: "done",
    attempts: typeof attempts === "number" ? attempts : 1,
    ...(typeof took_ms === "number" ? { took_ms } : {}),
  };
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value ?? null);
}
