import { isJsonObject } from "@licet/protocol";
import { CommandError, reasonOf } from "./command-error.ts";
import { runOfflineTask } from "./offline-task.ts";
import type { Settings } from "./settings.ts";
import { type Terminal, printable, wrap } from "./terminal.ts";

export interface DoctorFlags {
  readonly config?: string;
  readonly origin?: string;
  readonly json?: true;
}

interface Finding {
  readonly name: string;
  readonly outcome: "ok" | "warning" | "error";
  readonly detail: string;
}

const MARKS = { ok: "✓", warning: "!", error: "✗" } as const;
const DOCUMENTS = ["/.well-known/keys.json", "/.well-known/did.json", "/.well-known/consent-revocations.json"];
const TIMEOUT_MS = 10_000;
const MAX_CLOCK_SECONDS = 5;

/** `licet doctor`: 0 when nothing is wrong, 1 when something is, 2 when it was asked the wrong way. */
export async function doctor(
  flags: DoctorFlags,
  { settings, terminal }: { readonly settings: Settings; readonly terminal: Terminal },
): Promise<number> {
  const origin = (flags.origin ?? settings.origin)?.replace(/\/$/, "");
  if (origin === undefined && flags.config === undefined)
    throw new CommandError("expected --config or --origin (LICET_ORIGIN), got neither");
  const findings = flags.config === undefined ? [] : await lookInside(settings);
  if (origin !== undefined)
    for (const path of DOCUMENTS) findings.push({ name: path, ...(await lookAt(origin + path)) });
  if (flags.json === true) terminal.print(JSON.stringify({ findings }, null, 2));
  else
    for (const { name, outcome, detail } of findings)
      terminal.print(
        wrap(`${MARKS[outcome]} ${name}: ${printable(detail)}`, { width: terminal.columns, indent: "    " }),
      );
  return findings.some(({ outcome }) => outcome === "error") ? 1 : 0;
}

async function lookInside({ environment }: Settings): Promise<Finding[]> {
  const { findings } = await runOfflineTask({ args: ["examine"], environment });
  return (Array.isArray(findings) ? findings : []).filter(isJsonObject).map(({ name, outcome, detail }) => ({
    name: typeof name === "string" ? name : "",
    outcome: outcome === "ok" || outcome === "warning" ? outcome : "error",
    detail: typeof detail === "string" ? detail : "",
  }));
}

/** A public document the way every reader gets it, through every cache in between. */
async function lookAt(url: string): Promise<Pick<Finding, "outcome" | "detail">> {
  const init = { redirect: "manual", signal: AbortSignal.timeout(TIMEOUT_MS) } as const;
  try {
    const { status, headers } = await fetch(url, init);
    if (status !== 200) return { outcome: "error", detail: `expected 200, got ${status}` };
    const etag = headers.get("etag");
    const maxAge = Number(/max-age=(\d+)/.exec(headers.get("cache-control") ?? "")?.[1] ?? Number.NaN);
    const age = Number(headers.get("age") ?? 0);
    const clockSeconds = Math.abs(Date.parse(headers.get("date") ?? "") - Date.now()) / 1_000 - age;
    const again = etag === null ? 200 : (await fetch(url, { ...init, headers: { "if-none-match": etag } })).status;
    const wrong = [
      ...(again === 304 ? [] : ["expected an ETag that is answered with 304"]),
      ...(Number.isNaN(maxAge) ? ["expected Cache-Control with max-age"] : []),
      ...(age > maxAge ? [`a cache keeps it for ${age} s, longer than its ${maxAge} s: lower the CDN's TTL`] : []),
      ...(headers.get("access-control-allow-origin") === "*" ? [] : ["expected Access-Control-Allow-Origin: *"]),
      ...(clockSeconds > MAX_CLOCK_SECONDS ? [`clocks differ by ${Math.round(clockSeconds)} s`] : []),
    ];
    if (wrong.length > 0) return { outcome: "error", detail: wrong.join("; ") };
    return { outcome: "ok", detail: `max-age ${maxAge}, age ${age}` };
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    return { outcome: "error", detail: `cannot be reached (${reasonOf(cause)})` };
  }
}
