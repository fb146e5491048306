import { WEBHOOK_SECRET_BYTES, isWebhookSecret, webhookSecret } from "@licet/protocol";
import { type FeedEvent, type LicetClient, type LicetProblem, createClient } from "@licet/sdk";
import { randomBytes } from "node:crypto";
import { CommandError } from "./command-error.ts";
import { isLoopback, marketplaceOf } from "./credentials.ts";
import { type Forwarded, forwardEvent } from "./forward-event.ts";
import type { Settings } from "./settings.ts";
import { type Terminal, printable } from "./terminal.ts";

export interface ListenFlags {
  readonly forward: string;
  readonly origin?: string;
  readonly after?: string;
  readonly secret?: string;
  readonly allowRemote?: boolean;
  readonly json?: boolean;
}

/** The feed is asked to wait this long for the next event. */
const WAIT_SECONDS = 20;
/** A platform that is away is asked again after one second, then after twice as long each time, up to this. */
const MAX_PAUSE_SECONDS = 30;
/** Refusals that another try may not meet again. */
const PASSING: readonly string[] = ["unavailable", "internal", "rate_limited", "body_too_large"];
const SCOPE = "events:read";
const STOPPING = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * `licet listen`: follows a marketplace's events and posts each to a URL of this machine, signed as
 * the platform's webhooks are. Ends with 0 when it is told to stop, and with 1 when the platform
 * refuses to tell.
 */
export async function listen(
  flags: ListenFlags,
  { settings, terminal }: { readonly settings: Settings; readonly terminal: Terminal },
): Promise<number> {
  const url = readForward(flags);
  const { secret, isNew } = readSecret(flags, settings);
  const after = readPosition(flags.after);
  const credentials = marketplaceOf(settings, flags);
  const stopping = new AbortController();
  const stop = (): void => stopping.abort();
  for (const signal of STOPPING) process.on(signal, stop);
  if (settings.exitWithParent) process.stdin.once("close", stop).resume();
  const { signal } = stopping;
  const client = createClient({
    ...credentials,
    scope: SCOPE,
    fetch: (address, init) =>
      fetch(address, { ...init, signal: init.signal ? AbortSignal.any([init.signal, signal]) : signal }),
  });
  terminal.note(`Events of ${client.origin} go to ${url}, signed with the ${isNew ? "secret" : "given secret"}`);
  if (isNew) terminal.print(flags.json === true ? JSON.stringify({ secret }) : secret);
  const show = (event: FeedEvent, forwarded: Forwarded): void =>
    terminal.print(flags.json === true ? jsonLine(event, forwarded) : textLine(event, forwarded));
  try {
    const position = await follow({ client, after, signal, terminal }, async (event) =>
      show(event, await forwardEvent({ url, secret, signal }, event)),
    );
    terminal.note(position === "latest" ? "Stopped." : `Stopped. To go on from here: --after ${position}`);
    return 0;
  } finally {
    for (const name of STOPPING) process.off(name, stop);
    if (settings.exitWithParent) process.stdin.destroy();
  }
}

interface Following {
  readonly client: Pick<LicetClient, "listEvents" | "origin">;
  readonly after: string;
  readonly signal: AbortSignal;
  readonly terminal: Terminal;
}

/** Follows the feed until the signal, and answers the position after the last event that was dealt with. */
async function follow(
  { client, after, signal, terminal }: Following,
  onEvent: (event: FeedEvent) => Promise<void>,
): Promise<string> {
  let position = after;
  let failures = 0;
  while (!signal.aborted) {
    // Where the feed ends, and that the platform is back, is good to know at once.
    const wait = position === "latest" || failures > 0 ? 0 : WAIT_SECONDS;
    const page = await client.listEvents({ after: position, wait });
    if (signal.aborted) break;
    if (!page.ok) {
      failures += 1;
      await waitOut(page.refusal, failures, { signal, terminal });
      continue;
    }
    if (failures > 0) terminal.note(`${client.origin} answers again`);
    failures = 0;
    if (position === "latest") terminal.note("Waiting for what happens from now on. Ctrl-C ends it.");
    for (const event of page.value.entries) {
      await onEvent(event);
      position = event.position;
      if (signal.aborted) return position;
    }
    position = page.value.upTo;
  }
  return position;
}

async function waitOut(
  { code, detail, retryAfterSeconds }: LicetProblem,
  failures: number,
  { signal, terminal }: Pick<Following, "signal" | "terminal">,
): Promise<void> {
  if (!PASSING.includes(code)) throw new CommandError(`the platform does not tell: ${detail}`, 1);
  const seconds = Math.min(MAX_PAUSE_SECONDS, Math.max(2 ** (failures - 1), retryAfterSeconds ?? 0));
  terminal.note(`licet: ${printable(detail)}; asking again in ${seconds} s`);
  await pause(seconds, signal);
}

function pause(seconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, seconds * 1_000);
    signal.addEventListener("abort", end);
  });
}

function readForward({ forward, allowRemote }: ListenFlags): string {
  const url = URL.canParse(forward) ? new URL(forward) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== "" || url.hash !== "")
    throw new CommandError(
      `--forward: expected a URL such as http://127.0.0.1:3000/webhooks/consent-updated, got ${forward}`,
    );
  if (allowRemote !== true && !isLoopback(url.hostname))
    throw new CommandError(
      `--forward: expected a URL of this machine, got ${url.hostname}; --allow-remote sends what happens elsewhere`,
    );
  return url.href;
}

interface Secret {
  readonly secret: string;
  /** Made here, so that whoever runs the command has to be shown it. */
  readonly isNew: boolean;
}

function readSecret({ secret: flag }: ListenFlags, { webhookSecret: set }: Settings): Secret {
  const secret = flag ?? set;
  if (secret === undefined) return { secret: webhookSecret(randomBytes(32)), isNew: true };
  const { least, most } = WEBHOOK_SECRET_BYTES;
  if (!isWebhookSecret(secret))
    throw new CommandError(
      `${flag === undefined ? "LICET_WEBHOOK_SECRET" : "--secret"}: expected whsec_ and ${least} to ${most} bytes in base64, got something else`,
    );
  return { secret, isNew: false };
}

/** From now on, unless a position is given. */
function readPosition(after = "latest"): string {
  if (after !== "latest" && !(/^\d{1,16}$/.test(after) && Number.isSafeInteger(Number(after))))
    throw new CommandError(`--after: expected a position, which is a number, or 0 for everything, got ${after}`);
  return after;
}

function textLine({ at, position, event }: FeedEvent, { status, reason, durationMs }: Forwarded): string {
  const { change, dataset_id, jti, content_id } = event;
  const what = [change, dataset_id, jti ?? content_id ?? ""].filter((part) => part !== "").join(" ");
  return `${position} ${at} ${printable(what)} → ${status ?? printable(reason ?? "no answer")} (${durationMs} ms)`;
}

function jsonLine({ at, position, event }: FeedEvent, { status, reason, durationMs }: Forwarded): string {
  const { event_id, change, dataset_id, jti, content_id } = event;
  return JSON.stringify({
    position,
    at,
    event_id,
    change,
    dataset_id,
    jti,
    content_id,
    status,
    reason,
    duration_ms: durationMs,
  });
}
