import type { Allowance } from "./meter.ts";
import type { ItemKind, PurgeAdapter, PurgeCall } from "./purge-port.ts";

/** As much of a part as calls are made of. */
export interface Items {
  readonly tags: readonly string[];
  readonly urls: readonly string[];
  readonly paths: readonly string[];
}

type Taker = Pick<PurgeAdapter, "limits" | "mayHold">;

const KINDS: readonly ItemKind[] = ["tags", "urls", "paths"];

/** What a target takes of a part. */
export function takenOf({ limits, mayHold }: Taker, items: Items): Items {
  return {
    tags: limits.tags === undefined ? [] : items.tags,
    urls: limits.urls === undefined ? [] : items.urls.filter(mayHold),
    paths: limits.paths === undefined ? [] : items.paths,
  };
}

/** As few calls as carry everything: each item once, so many in a call as it takes. */
export function buildCalls(target: Taker, parts: readonly Items[]): readonly PurgeCall[] {
  const taken = parts.map((part) => takenOf(target, part));
  return KINDS.flatMap((kind) => {
    const limit = target.limits[kind];
    if (limit === undefined) return [];
    const items = [...new Set(taken.flatMap((part) => part[kind]))];
    return chunk(items, limit).map((some) => ({ kind, items: some }));
  });
}

function chunk(items: readonly string[], size: number): readonly (readonly string[])[] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  );
}

/** What calls cost an account: those by tag are counted by the call, the others by the URL. */
export function costOf(calls: readonly PurgeCall[]): Allowance {
  return {
    calls: calls.filter(({ kind }) => kind === "tags").length,
    urls: calls.reduce((sum, { kind, items }) => sum + (kind === "urls" ? items.length : 0), 0),
  };
}

/** How many of the parts, from the first on, can be afforded together. */
export function countAffordable(target: Taker, parts: readonly Items[], allowance: Allowance): number {
  const [tags, urls] = [new Set<string>(), new Set<string>()];
  for (const [index, part] of parts.entries()) {
    const taken = takenOf(target, part);
    for (const tag of taken.tags) tags.add(tag);
    for (const url of taken.urls) urls.add(url);
    const calls = Math.ceil(tags.size / (target.limits.tags ?? 1));
    if (calls > allowance.calls || urls.size > allowance.urls) return index;
  }
  return parts.length;
}
