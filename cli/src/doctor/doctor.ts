import { isIdentifier, isJsonObject, isOrigin } from "@licet/protocol";
import { createClient } from "@licet/sdk";
import { resolve } from "node:path";
import { CommandError } from "../command-error.ts";
import { runOfflineTask } from "../offline-task.ts";
import type { Settings } from "../settings.ts";
import { type Terminal, counted, printable, wrap } from "../terminal.ts";
import { type Finding, findingOf, warning } from "./finding.ts";
import { lookAtBackups } from "./look-at-backups.ts";
import { lookAtDocuments } from "./look-at-documents.ts";
import { lookAtClock, lookAtHsts, lookAtKeys } from "./look-at-keys.ts";
import { type Listens, lookAtServer } from "./look-at-server.ts";
import { lookAtTls } from "./look-at-tls.ts";

export interface DoctorFlags {
  readonly config?: string;
  readonly origin?: string;
  readonly dataset?: readonly string[];
  readonly backups?: string;
  readonly token?: string;
  readonly json?: true;
}

interface Surroundings {
  readonly settings: Settings;
  readonly terminal: Terminal;
}

const MARKS = { ok: "✓", warning: "!", wrong: "✗" } as const;
const INKS = { ok: "green", warning: "yellow", wrong: "red" } as const;

/** `licet doctor`: 0 when nothing is wrong, 1 when something is, 2 when it was asked the wrong way. */
export async function doctor(flags: DoctorFlags, { settings, terminal }: Surroundings): Promise<number> {
  const origin = readOrigin(flags.origin ?? settings.origin);
  if (origin === undefined && flags.config === undefined)
    throw new CommandError("expected --config or --origin (LICET_ORIGIN), got neither");
  const inside = flags.config === undefined ? undefined : await lookInside(settings);
  const findings = [
    ...(inside?.findings ?? []),
    ...(inside === undefined ? [] : await lookAtServer(inside.listens)),
    ...(flags.backups === undefined
      ? []
      : [await lookAtBackups(resolve(settings.workingFolder, flags.backups), { settings, origin })]),
    ...(origin === undefined ? [] : await lookFromOutside(origin, inside?.listens, flags, settings)),
  ];
  if (flags.json === true) terminal.print(JSON.stringify({ findings }, null, 2));
  else terminal.print(render(findings, terminal));
  return findings.some(({ outcome }) => outcome === "wrong") ? 1 : 0;
}

function readOrigin(text: string | undefined): string | undefined {
  const origin = text?.replace(/\/$/, "");
  if (origin !== undefined && !isOrigin(origin))
    throw new CommandError(
      `--origin: expected scheme, host and port such as https://licet.example.org, got ${printable(origin)}`,
    );
  return origin;
}

async function lookInside({
  environment,
}: Settings): Promise<{ readonly findings: readonly Finding[]; readonly listens: Listens }> {
  const { findings, listens } = await runOfflineTask({ args: ["examine"], environment });
  const {
    url,
    metrics_url: metricsUrl,
    key_rotation_seconds: keyRotationSeconds,
  } = isJsonObject(listens) ? listens : {};
  return {
    findings: (Array.isArray(findings) ? findings : []).filter(isJsonObject).map(({ name, outcome, detail }) => ({
      name: typeof name === "string" ? name : "",
      outcome: outcome === "ok" || outcome === "warning" ? outcome : "wrong",
      detail: typeof detail === "string" ? detail : "",
    })),
    listens: {
      url: typeof url === "string" ? url : "",
      metricsUrl: typeof metricsUrl === "string" ? metricsUrl : undefined,
      keyRotationSeconds: typeof keyRotationSeconds === "number" ? keyRotationSeconds : undefined,
    },
  };
}

/** Everything as a stranger gets it, through the names, proxies and caches in between. */
async function lookFromOutside(
  origin: string,
  listens: Listens | undefined,
  flags: DoctorFlags,
  settings: Settings,
): Promise<readonly Finding[]> {
  const { datasets, finding } = await datasetsOf(origin, flags, settings);
  const tls = await lookAtTls(origin, Date.now());
  // Our own TLS has no cache before it that could be gone around.
  const inside = listens?.url.startsWith("http:") === true ? listens.url : undefined;
  const seen = await lookAtDocuments({ origin, inside, datasets });
  const { keySet } = seen;
  const hsts = keySet === undefined ? undefined : lookAtHsts(origin, keySet);
  return [
    ...(tls === undefined ? [] : [tls]),
    ...(hsts === undefined ? [] : [hsts]),
    ...(keySet === undefined ? [] : [lookAtClock(keySet), ...lookAtKeys(keySet, listens?.keyRotationSeconds)]),
    ...seen.findings,
    ...(finding === undefined ? [] : [finding]),
  ];
}

/** Those that were named; otherwise the first that the operator's token shows. */
async function datasetsOf(
  origin: string,
  { dataset, token }: DoctorFlags,
  settings: Settings,
): Promise<{ readonly datasets: readonly string[]; readonly finding?: Finding }> {
  if (dataset !== undefined) {
    const unknown = dataset.find((id) => !isIdentifier(id));
    if (unknown !== undefined)
      throw new CommandError(`--dataset: expected the id of a dataset, got ${printable(unknown)}`);
    return { datasets: dataset };
  }
  const operatorToken = token ?? settings.token;
  if (operatorToken === undefined)
    return {
      datasets: [],
      finding: findingOf("datasets", [warning("none was looked at: name one with --dataset, or set LICET_TOKEN")], ""),
    };
  const answer = await createClient({ origin, token: operatorToken }).sendJson({
    method: "GET",
    path: "/api/v1/datasets",
    query: { limit: 20 },
  });
  if (!answer.ok)
    return {
      datasets: [],
      finding: findingOf("datasets", [warning(`none was looked at: ${answer.refusal.detail}`)], ""),
    };
  const list = answer.value["datasets"];
  const published = (Array.isArray(list) ? list : [])
    .filter(isJsonObject)
    .flatMap(({ dataset_id: id, manifest_url: url }) =>
      typeof id === "string" && typeof url === "string" ? [id] : [],
    );
  return published.length === 0
    ? { datasets: [], finding: findingOf("datasets", [], "none is published yet") }
    : { datasets: published.slice(0, 1) };
}

function render(findings: readonly Finding[], { columns, paint }: Terminal): string {
  const lines = findings.map(({ name, outcome, detail }) =>
    paint(INKS[outcome], wrap(`${MARKS[outcome]} ${name}: ${printable(detail)}`, { width: columns, indent: "    " })),
  );
  const countOf = (wanted: Finding["outcome"]): number => findings.filter(({ outcome }) => outcome === wanted).length;
  const warnings = countOf("warning");
  const wrongs = countOf("wrong");
  const verdict =
    wrongs > 0
      ? `${counted(wrongs, "thing")} wrong (✗), ${counted(warnings, "warning")} (!).`
      : `Nothing is wrong${warnings === 0 ? "" : `; ${counted(warnings, "warning")} (!)`}.`;
  return [...lines, "", verdict].join("\n");
}
