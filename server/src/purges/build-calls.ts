import type { Allowance } from "./meter.ts";
import type { ItemKind, PurgeAdapter, PurgeCall } from "./purge-port.ts";

/** As much of a part as calls are made of. */
export interface Items {
  readonly tags: readonly string[];
  readonly urls: readonly string[];
  readonly paths: readonly string[];
  /** True when a call that it shared was refused: it goes by itself, so that it harms nothing else. */
  readonly is_alone?: boolean;
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

/**
 * As few calls as carry everything: each item once, so many in a call as it takes. What goes alone has calls of
 * its own, and one for each URL: whoever registered a work chose it, so it is what may be wrong.
 */
export function buildCalls(target: Taker, parts: readonly Items[]): readonly PurgeCall[] {
  const alone = parts.filter((part) => part.is_alone === true);
  const shared = parts.filter((part) => part.is_alone !== true);
  const { urls, ...limits } = target.limits;
  const one = { ...target, limits: { ...limits, ...(urls === undefined ? {} : { urls: 1 }) } };
  return [
    ...callsFor(target, shared),
    ...alone.flatMap((part) => callsFor(one, [part]).map((call) => ({ ...call, of: part }))),
  ];
}

function callsFor(target: Taker, parts: readonly Items[]): readonly PurgeCall[] {
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
  let alone: Allowance = { calls: 0, urls: 0 };
  for (const [index, part] of parts.entries()) {
    if (part.is_alone === true) {
      const cost = costOf(buildCalls(target, [part]));
      alone = { calls: alone.calls + cost.calls, urls: alone.urls + cost.urls };
    } else {
      const taken = takenOf(target, part);
      for (const tag of taken.tags) tags.add(tag);
      for (const url of taken.urls) urls.add(url);
    }
    const calls = Math.ceil(tags.size / (target.limits.tags ?? 1)) + alone.calls;
    if (calls > allowance.calls || urls.size + alone.urls > allowance.urls) return index;
  }
  return parts.length;
}
