import { KEY_HANDOVER_SECONDS, type PlatformKey, parseInstant, readKeySet } from "@licet/protocol";
import type { FetchedDocument } from "./fetch-document.ts";
import { ageOf } from "./fetch-document.ts";
import { type Finding, type Problem, findingOf, warning, wrong } from "./finding.ts";

const DAY_SECONDS = 86_400;
/** A key that is due is handed over in seconds by a server that runs. */
const OVERDUE_SECONDS = DAY_SECONDS;
const MAX_CLOCK_SECONDS = 5;

/**
 * The platform's keys by purpose: how old the newest is, and when it ends. Its server hands it over by
 * itself, at an age that only its configuration says and whoever looks from outside does not know.
 */
export function lookAtKeys(keySet: FetchedDocument, rotationSeconds: number | undefined): readonly Finding[] {
  const read = readKeySet(keySet.members);
  if (!read.ok) return [];
  const active = read.value.keys.filter(({ status }) => status === "active");
  const purposes = [...new Set(read.value.keys.map(({ purpose }) => purpose))];
  return purposes.map((purpose) => {
    const newest = active
      .filter((key) => key.purpose === purpose)
      .toSorted((left, right) => startOf(right) - startOf(left))[0];
    const name = `key for ${purpose}`;
    if (newest === undefined)
      return findingOf(name, [wrong(`none is active: licet keys rotate --purpose ${purpose}`)], "");
    const now = keySet.fetchedMs / 1_000;
    const age = now - startOf(newest);
    const left = (parseInstant(newest.not_after) ?? 0) - now;
    return findingOf(
      name,
      judgeKey(purpose, { age, left, rotationSeconds }),
      `${daysOf(age)} days old, good for ${daysOf(left)} more`,
    );
  });
}

function startOf({ not_before }: PlatformKey): number {
  return parseInstant(not_before) ?? 0;
}

interface KeyTimes {
  readonly age: number;
  readonly left: number;
  readonly rotationSeconds: number | undefined;
}

function judgeKey(purpose: string, { age, left, rotationSeconds }: KeyTimes): readonly Problem[] {
  const rotate = `licet keys rotate --purpose ${purpose}`;
  if (left < 0) return [wrong(`it ended ${-daysOf(left)} days ago: ${rotate}`)];
  if (left < KEY_HANDOVER_SECONDS)
    return [warning(`it ends in ${daysOf(left)} days and was not handed over: see the server's log, or ${rotate}`)];
  return rotationSeconds !== undefined && age > rotationSeconds + OVERDUE_SECONDS
    ? [
        warning(
          `it is ${daysOf(age)} days old and was not handed over at ${daysOf(rotationSeconds)}: see the server's log, or ${rotate}`,
        ),
      ]
    : [];
}

function daysOf(seconds: number): number {
  return Math.floor(seconds / DAY_SECONDS);
}

/** What the world's readers will make of the server's clock: the Date header, and instants in documents. */
export function lookAtClock(fetched: FetchedDocument): Finding {
  const dateMs = Date.parse(fetched.headers.get("date") ?? "");
  if (Number.isNaN(dateMs)) return findingOf("clock", [warning("expected a Date header, got none")], "");
  const behind = (fetched.fetchedMs - dateMs) / 1_000;
  // Some caches keep the Date an answer came with, others write their own.
  const apart = Math.min(Math.abs(behind), Math.abs(behind - ageOf(fetched)));
  const ahead = (fetched.checkedAt ?? 0) - fetched.fetchedMs / 1_000;
  const advice = "see timedatectl on both machines, and let NTP set the one that is wrong";
  return findingOf(
    "clock",
    [
      ...(apart > MAX_CLOCK_SECONDS
        ? [wrong(`the answers' Date is ${Math.round(apart)} s from this machine's clock: ${advice}`)]
        : []),
      ...(ahead > MAX_CLOCK_SECONDS
        ? [wrong(`documents are signed ${Math.round(ahead)} s ahead of this machine's clock: ${advice}`)]
        : []),
    ],
    `${apart.toFixed(1)} s from this machine's`,
  );
}

/** Browsers that came once come by https alone. */
export function lookAtHsts(origin: string, { headers }: FetchedDocument): Finding | undefined {
  if (!origin.startsWith("https:")) return undefined;
  const said = headers.get("strict-transport-security");
  const maxAge = Number(/max-age=(\d+)/i.exec(said ?? "")?.[1] ?? 0);
  return findingOf(
    "HSTS",
    maxAge > 0 ? [] : [warning("expected Strict-Transport-Security: let the proxy send max-age=31536000")],
    said ?? "",
  );
}
