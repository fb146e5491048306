import { type JsonObject, parseJsonObject } from "@licet/protocol";

/** Reads JSON that we wrote into a column of our own; anything else there is a fault. `what` names the column in it. */
export function readOwnJson(text: string, what: string): JsonObject {
  const parsed = parseJsonObject(text);
  if (!parsed.ok) throw new TypeError(`${what}: expected a JSON object that we wrote (${parsed.refusal.detail})`);
  return parsed.value;
}
