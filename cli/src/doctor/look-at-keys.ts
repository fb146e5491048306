import { type PlatformKey, parseInstant, readKeySet } from "@licet/protocol";
import type { FetchedDocument } from "./fetch-document.ts";
import { ageOf } from "./fetch-document.ts";
import { type Finding, type Problem, findingOf, warning, wrong } from "./finding.ts";

const DAY_SECONDS = 86_400;
/** A key that signs for longer is worth more to a thief than a rotation costs. */
const MAX_KEY_DAYS = 400;
const MIN_DAYS_LEFT = 30;
const MAX_CLOCK_SECONDS = 5;

/** The platform's keys by purpose: how old the newest is, and when it ends. */
export function lookAtKeys(keySet: FetchedDocument): readonly Finding[] {
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
    const age = Math.floor((now - startOf(newest)) / DAY_SECONDS);
    const left = Math.floor(((parseInstant(newest.not_after) ?? 0) - now) / DAY_SECONDS);
    return findingOf(name, judgeKey(purpose, age, left), `${age} days old, good for ${left} more`);
  });
}

function startOf({ not_before }: PlatformKey): number {
  return parseInstant(not_before) ?? 0;
}

function judgeKey(purpose: string, age: number, left: number): readonly Problem[] {
  const rotate = `licet keys rotate --purpose ${purpose}`;
  if (left < 0) return [wrong(`it ended ${-left} days ago: ${rotate}`)];
  return [
    ...(left < MIN_DAYS_LEFT ? [warning(`it ends in ${left} days: ${rotate}`)] : []),
    ...(age > MAX_KEY_DAYS ? [warning(`it is ${age} days old: ${rotate}`)] : []),
  ];
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
