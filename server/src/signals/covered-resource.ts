import type { Context } from "../context.ts";
import { type VersionRow, findOfferedWork, readFallenWorks } from "../datasets/lookup.ts";
import { proofOf } from "./rsl-document.ts";
import { findNamedWork } from "./store.ts";
import { urlOf } from "./work-place.ts";

/**
 * True when a resource is a work of the version that stands, by the address that our RSL documents give it or by its
 * own, or is the dataset itself, by the address of its manifest.
 */
export async function isCovered(ctx: Context, version: VersionRow, resource: string): Promise<boolean> {
  if (resource === proofOf(ctx.origin, version.dataset_id)) return true;
  const named = await findNamedWork(ctx.db, version.dataset_id, resource);
  if (named !== undefined) return (await readFallenWorks(ctx.db, [named])).size === 0;
  for (const url of new Set([resource, urlOf(resource)]))
    if ((await findOfferedWork(ctx.db, version, url)) !== undefined) return true;
  return false;
}
