import { type JsonObject, type JsonValue, isJsonObject } from "@licet/protocol";
import { createClient } from "@licet/sdk";
import { setTimeout as sleep } from "node:timers/promises";
import { CommandError, type ExitCode, orFail } from "./command-error.ts";
import { operatorOf } from "./credentials.ts";
import type { Settings } from "./settings.ts";
import { type Terminal, counted } from "./terminal.ts";

export interface AnalyticsFlags {
  readonly origin?: string;
  readonly token?: string;
  readonly json?: true;
}

export interface RebuildFlags extends AnalyticsFlags {
  readonly wait: boolean;
}

interface Surroundings {
  readonly settings: Settings;
  readonly terminal: Terminal;
}

const PAUSE_MS = 500;
/** A server that counts nothing for so long has another problem. */
const PATIENCE_MS = 60_000;

/**
 * `licet analytics rebuild`: has the server count usage and earnings anew, and waits until everything
 * is counted that was there. Ends with 0, with 1 when the server refused or stopped counting, with 2
 * when it was asked the wrong way.
 */
export async function rebuildAnalytics(flags: RebuildFlags, { settings, terminal }: Surroundings): Promise<ExitCode> {
  const client = createClient(operatorOf(settings, flags));
  const started = orFail(await client.sendJson({ method: "POST", path: "/api/v1/analytics/rebuild" }), 1);
  const goal = sequencesOf(started["newest"]);
  let progress = started;
  let [done, movedAtMs] = [sequencesOf(progress["complete_to"]), performance.now()];
  while (flags.wait && (done.receipts < goal.receipts || done.ledger < goal.ledger)) {
    if (performance.now() - movedAtMs > PATIENCE_MS)
      throw new CommandError("the server has counted nothing for a minute: its log says why", 1);
    if (terminal.isWatched) terminal.note(describe(done, goal));
    await sleep(PAUSE_MS);
    progress = orFail(await client.sendJson({ method: "GET", path: "/api/v1/analytics/progress" }), 1);
    const now = sequencesOf(progress["complete_to"]);
    if (now.receipts !== done.receipts || now.ledger !== done.ledger) movedAtMs = performance.now();
    done = now;
  }
  if (flags.json === true) terminal.print(JSON.stringify(progress, null, 2));
  else
    terminal.print(
      flags.wait
        ? "Usage and earnings are counted anew."
        : "Usage and earnings are emptied; the server counts them anew by itself.",
    );
  return 0;
}

/** `licet analytics check`: compares what is counted with receipts and ledger. Ends with 1 when they differ, otherwise as {@link rebuildAnalytics}. */
export async function checkAnalytics(flags: AnalyticsFlags, { settings, terminal }: Surroundings): Promise<ExitCode> {
  const client = createClient(operatorOf(settings, flags));
  const check = orFail(await client.sendJson({ method: "GET", path: "/api/v1/analytics/check" }), 1);
  if (flags.json === true) terminal.print(JSON.stringify(check, null, 2));
  else
    for (const [name, compared] of Object.entries(objectOf(check["checks"]))) terminal.print(verdictOf(name, compared));
  return check["agrees"] === true ? 0 : 1;
}

function verdictOf(name: string, value: JsonValue): string {
  const { compared, differing } = objectOf(value);
  const sums = counted(Number(compared), "sum");
  return Number(differing) === 0 ? `✓ ${name}: ${sums} agree` : `✗ ${name}: ${Number(differing)} of ${sums} differ`;
}

interface Sequences {
  readonly receipts: number;
  readonly ledger: number;
}

function sequencesOf(value: JsonValue | undefined): Sequences {
  const { receipt_sequence, ledger_sequence } = objectOf(value);
  return { receipts: Number(receipt_sequence ?? 0), ledger: Number(ledger_sequence ?? 0) };
}

function objectOf(value: JsonValue | undefined): JsonObject {
  return isJsonObject(value) ? value : {};
}

function describe(done: Sequences, goal: Sequences): string {
  return `counted: receipts up to ${done.receipts} of ${goal.receipts}, transactions up to ${done.ledger} of ${goal.ledger}`;
}
