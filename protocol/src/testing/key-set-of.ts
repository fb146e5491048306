import { parseJsonObject } from "../json.ts";
import { type KeySet, readKeySet } from "../key-set.ts";

/** The key set that a vector file carries. */
export function keySetOf(file: { readonly key_set: object }): KeySet {
  const document = parseJsonObject(JSON.stringify(file.key_set));
  const keys = document.ok ? readKeySet(document.value) : document;
  if (!keys.ok) throw new TypeError(keys.refusal.detail);
  return keys.value;
}
