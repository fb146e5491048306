import { type JsonValue, type Result, accept, parseJsonObject, refuse } from "@licet/protocol";
import { COLUMN_TYPES, type GroupColumn, type GroupCursor, type GroupKey } from "./query-store.ts";

/** What a caller may group by, and the columns that this is. */
const USAGE_GROUPS = {
  day: ["day"],
  dataset: ["dataset_id"],
  version: ["dataset_id", "dataset_version"],
  model: ["model_fingerprint", "model_id"],
  marketplace: ["marketplace_id"],
  unit: ["unit"],
} as const satisfies Record<string, readonly GroupColumn[]>;

const EARNING_GROUPS = {
  day: ["day"],
  creator: ["creator_id"],
  dataset: ["dataset_id"],
} as const satisfies Record<string, readonly GroupColumn[]>;

export const GROUPS = { usage: USAGE_GROUPS, earnings: EARNING_GROUPS } as const;
export type RollupName = keyof typeof GROUPS;

/**
 * The columns of `group_by`, in its order and once each; the currency is always the last, since
 * nothing converts. Refuses `input_invalid`.
 */
export function columnsOf(rollup: RollupName, text: string | undefined): Result<readonly GroupColumn[]> {
  const groups: Readonly<Record<string, readonly GroupColumn[]>> = GROUPS[rollup];
  const names = text === undefined || text === "" ? [] : text.split(",");
  const unknown = names.find((name) => !Object.hasOwn(groups, name));
  if (unknown !== undefined)
    return refuse(
      "input_invalid",
      `query.group_by: expected some of ${Object.keys(groups).join(",")}, got ${JSON.stringify(unknown)}`,
    );
  return accept([...new Set([...names.flatMap((name) => groups[name] ?? []), "currency" as const])]);
}

const DAY = /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$/;

/** A day in UTC. Refuses `input_invalid`. */
export function dayOf(name: string, text: string | undefined): Result<string | undefined> {
  if (text === undefined) return accept(undefined);
  const at = DAY.test(text) ? new Date(`${text}T00:00:00Z`) : undefined;
  // A thirtieth of February would be taken for a day of March.
  return at !== undefined && at.toISOString().startsWith(text)
    ? accept(text)
    : refuse("input_invalid", `query.${name}: expected a day in UTC such as 2026-11-28, got ${JSON.stringify(text)}`);
}

/** The cursor after a group: what it is of. */
export function cursorOf(columns: readonly GroupColumn[], key: GroupKey): string {
  const of = Object.fromEntries(columns.map((column) => [column, key[column] ?? ""]));
  return Buffer.from(JSON.stringify(of)).toString("base64url");
}

/** Reads a cursor back. Refuses `input_invalid` what is none, or one of another grouping. */
export function afterOf(columns: readonly GroupColumn[], cursor: string | undefined): Result<GroupCursor | undefined> {
  if (cursor === undefined) return accept(undefined);
  const parsed = parseJsonObject(Buffer.from(cursor, "base64url"));
  const key = parsed.ok ? parsed.value : {};
  const parts = columns.flatMap((column) => {
    const text = partOf(column, key[column]);
    return text === undefined ? [] : [[column, text] as const];
  });
  return parts.length === columns.length && Object.keys(key).length === columns.length
    ? accept(Object.fromEntries(parts))
    : refuse("input_invalid", "query.after: expected a cursor that a page of the same group_by named as next");
}

/** A value of a column as text; undefined when it is none. */
function partOf(column: GroupColumn, value: JsonValue | undefined): string | undefined {
  if (COLUMN_TYPES[column] === "int")
    return typeof value === "number" && Number.isInteger(value) && Math.abs(value) < 2 ** 31
      ? String(value)
      : undefined;
  if (typeof value !== "string" || value.includes("\0")) return undefined;
  return COLUMN_TYPES[column] === "text" || dayOf("after", value).ok ? value : undefined;
}
