import { type JsonObject, type JsonValue, formatInstant, isJsonObject } from "@licet/protocol";
import { readOwnJson } from "../db/own-json.ts";
import type { FindingKind } from "../db/reporting-tables.ts";
import type { KindOutcome } from "./keep-findings.ts";
import type { RunRow } from "./run-store.ts";
import type { FindingRow } from "./store.ts";

export interface FindingView {
  readonly finding_id: string;
  readonly kind: FindingKind;
  readonly subject: string;
  readonly state: FindingRow["state"];
  readonly detail: Readonly<Record<string, unknown>>;
  readonly first_opened_at: string;
  readonly opened_at: string;
  readonly last_seen_at: string;
  readonly times_opened: number;
  readonly closed_at?: string;
  readonly resolved_at?: string;
  readonly resolved_by?: string;
  readonly note?: string;
}

export function findingView(row: FindingRow): FindingView {
  const { finding_id, kind, subject, state, times_opened, closed_at, resolved_at, resolved_by, note } = row;
  const detail = readOwnJson(row.detail, finding_id);
  return {
    finding_id,
    kind,
    subject,
    state,
    detail: Object.fromEntries(Object.entries(detail).map(([name, value]) => [name, shownOf(name, value)])),
    first_opened_at: formatInstant(row.first_opened_at),
    opened_at: formatInstant(row.opened_at),
    last_seen_at: formatInstant(row.last_seen_at),
    times_opened,
    ...(closed_at === null ? {} : { closed_at: formatInstant(closed_at) }),
    ...(resolved_at === null ? {} : { resolved_at: formatInstant(resolved_at) }),
    ...(resolved_by === null ? {} : { resolved_by }),
    ...(note === null ? {} : { note }),
  };
}

/** Details keep instants as seconds. */
function shownOf(name: string, value: JsonValue): JsonValue {
  return name.endsWith("_at") && typeof value === "number" ? formatInstant(value) : value;
}

export interface RunView {
  readonly reconciliation_id: string;
  readonly state: RunRow["state"];
  readonly requested_by: string;
  readonly requested_at: string;
  readonly started_at?: string;
  readonly ended_at?: string;
  readonly outcome?: Record<string, KindOutcome>;
  readonly error?: string;
}

export function runView(row: RunRow): RunView {
  const { reconciliation_id, state, requested_by, started_at, ended_at, outcome, error } = row;
  return {
    reconciliation_id,
    state,
    requested_by,
    requested_at: formatInstant(row.requested_at),
    ...(started_at === null ? {} : { started_at: formatInstant(started_at) }),
    ...(ended_at === null ? {} : { ended_at: formatInstant(ended_at) }),
    ...(outcome === null ? {} : { outcome: outcomeOf(readOwnJson(outcome, reconciliation_id)) }),
    ...(error === null ? {} : { error }),
  };
}

function outcomeOf(outcome: JsonObject): Record<string, KindOutcome> {
  const kinds = Object.entries(outcome).flatMap(([kind, of]) => (isJsonObject(of) ? [{ kind, of }] : []));
  return Object.fromEntries(
    kinds.map(({ kind, of }) => [
      kind,
      {
        found: Number(of["found"]),
        opened: Number(of["opened"]),
        closed: Number(of["closed"]),
        is_complete: of["is_complete"] === true,
      },
    ]),
  );
}
