import { parseJsonObject } from "@licet/protocol";
import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { type Finding, type Problem, findingOf, reasonBelow, warning, wrong } from "./finding.ts";

const TIMEOUT_MS = 10_000;
const MAX_BYTES = 4_194_304;

/** Where the server of this configuration listens, and where its metrics need no token. */
export interface Listens {
  readonly url: string;
  readonly metricsUrl: string | undefined;
  /** At what age its keys are handed over by themselves; undefined means near their end only. */
  readonly keyRotationSeconds: number | undefined;
}

/** The server on this machine: is it ready, and what do its metrics say? */
export async function lookAtServer({ url, metricsUrl }: Listens): Promise<readonly Finding[]> {
  const ready = await lookAtReadiness(url);
  if (metricsUrl === undefined)
    return [
      ready,
      findingOf("/metrics", [], "asks for a token; LICET_METRICS_PORT opens it to this machine without one"),
    ];
  return [ready, await lookAtMetrics(metricsUrl)];
}

async function lookAtReadiness(url: string): Promise<Finding> {
  const name = "/readyz";
  try {
    const { status, text } = await ask(`${url}/readyz`);
    const parsed = parseJsonObject(text);
    const members = parsed.ok ? parsed.value : {};
    if (status !== 200) {
      const { detail } = members;
      return findingOf(
        name,
        [wrong(`${url}: expected 200, got ${status} (${typeof detail === "string" ? detail : "no reason"})`)],
        "",
      );
    }
    const { mode, journal_failing_since: journal, purges_failing_since: purges } = members;
    const problems = [
      ...(journal === undefined
        ? []
        : [
            wrong(
              `refusals are not written to the journal since ${JSON.stringify(journal)}: see its folder, and the disk`,
            ),
          ]),
      ...(purges === undefined
        ? []
        : [wrong(`a cache or an edge has confirmed nothing since ${JSON.stringify(purges)}: see GET /api/v1/purges`)]),
    ];
    return findingOf(name, problems, `${url}, mode ${typeof mode === "string" ? mode : "unknown"}`);
  } catch (error) {
    return findingOf(name, [warning(`no server at ${url} (${reasonBelow(error)}): start it`)], "");
  }
}

interface Rule {
  readonly metric: string;
  readonly isBad: (value: number) => boolean;
  readonly outcome: Problem["outcome"];
  readonly sentence: string;
}

/** What docs/operations.md says to worry about at once. */
const RULES: readonly Rule[] = [
  {
    metric: "licet_database_up",
    isBad: (value) => value === 0,
    outcome: "wrong",
    sentence: "the database does not answer (licet_database_up 0)",
  },
  {
    metric: "licet_listener_current",
    isBad: (value) => value === 0,
    outcome: "warning",
    sentence: "the listening connection is lost, so documents are read through (licet_listener_current 0)",
  },
  {
    metric: "licet_journal_failing_seconds",
    isBad: (value) => value > 0,
    outcome: "wrong",
    sentence: "refusals are not written to the journal (licet_journal_failing_seconds)",
  },
  {
    metric: "licet_purge_failing_seconds",
    isBad: (value) => value > 15,
    outcome: "wrong",
    sentence: "a cache or an edge confirms nothing (licet_purge_failing_seconds): see GET /api/v1/purges",
  },
  {
    metric: "licet_purge_oldest_waiting_seconds",
    isBad: (value) => value > 60,
    outcome: "warning",
    sentence: "purges are late by more than a minute (licet_purge_oldest_waiting_seconds): is the plan's rate enough?",
  },
  {
    metric: "licet_webhook_overdue_seconds",
    isBad: (value) => value > 60,
    outcome: "warning",
    sentence: "webhooks are late by more than a minute (licet_webhook_overdue_seconds)",
  },
  {
    metric: "licet_events_lag_seconds",
    isBad: (value) => value > 30,
    outcome: "warning",
    sentence: "what facts cause is late by more than half a minute (licet_events_lag_seconds)",
  },
  {
    metric: "licet_feed_lag_seconds",
    isBad: (value) => value > 30,
    outcome: "warning",
    sentence: "events get their positions in the feed late by more than half a minute (licet_feed_lag_seconds)",
  },
  {
    metric: "licet_content_status_lag_seconds",
    isBad: (value) => value > 60,
    outcome: "warning",
    sentence:
      "content statuses are late by more than a minute (licet_content_status_lag_seconds): edges refuse works that have none",
  },
];

async function lookAtMetrics(url: string): Promise<Finding> {
  const name = "/metrics";
  try {
    const { status, text } = await ask(url);
    if (status !== 200) return findingOf(name, [wrong(`${url}: expected 200, got ${status}`)], "");
    const problems = RULES.filter(({ metric, isBad }) => valuesOf(text, metric).some(isBad));
    return findingOf(name, problems, url);
  } catch (error) {
    return findingOf(name, [warning(`nothing answers at ${url} (${reasonBelow(error)})`)], "");
  }
}

function valuesOf(text: string, metric: string): readonly number[] {
  return text
    .split("\n")
    .filter((line) => line.startsWith(`${metric} `) || line.startsWith(`${metric}{`))
    .map((line) => Number(line.slice(line.lastIndexOf(" ") + 1)));
}

/** Loopback, where a certificate is for another name. */
function ask(url: string): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const request = url.startsWith("https:") ? requestHttps : requestHttp;
    const call = request(url, { rejectUnauthorized: false, timeout: TIMEOUT_MS }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
        if (text.length > MAX_BYTES) response.destroy(new Error(`expected at most ${MAX_BYTES} bytes`));
      });
      response.once("error", reject);
      response.once("end", () => resolve({ status: response.statusCode ?? 0, text }));
    });
    call.once("timeout", () => call.destroy(new Error(`no answer within ${TIMEOUT_MS / 1_000} s`)));
    call.once("error", reject);
    call.end();
  });
}
