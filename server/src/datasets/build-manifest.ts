import {
  EMPTY_TREE,
  type JsonObject,
  type Manifest,
  appendLeaf,
  canonicalize,
  consentLeafHash,
  documentSha256,
  formatInstant,
  rootOf,
  signDocument,
  testMark,
} from "@licet/protocol";
import { setImmediate as pause } from "node:timers/promises";
import type { Fact } from "../events/write-fact.ts";
import { statusReference } from "../status-lists/allocate-status.ts";
import { nextVersion } from "./next-version.ts";
import type { VersionPlan } from "./plan-version.ts";
import type { DatasetRow, VersionRow } from "./store.ts";

/** Leaves that are added between two pauses, in which others have their turn. */
const BATCH = 500;

/** The Merkle roots of a plan, in hexadecimal: most of the work of a manifest, and free of any lock. */
export interface PlanRoots {
  readonly items: string;
  readonly consents: string;
}

export async function rootsOf({ items, consents }: VersionPlan): Promise<PlanRoots> {
  return {
    items: await treeRoot(items, (line) => new Uint8Array(Buffer.from(line.leaf_hash, "hex"))),
    consents: await treeRoot(consents, (line) => consentLeafHash(line.token)),
  };
}

async function treeRoot<T>(lines: readonly T[], leafOf: (line: T) => Uint8Array): Promise<string> {
  let tree = EMPTY_TREE;
  for (const [position, line] of lines.entries()) {
    if (position % BATCH === BATCH - 1) await pause();
    tree = appendLeaf(tree, new Uint8Array(leafOf(line)));
  }
  return Buffer.from(rootOf(tree)).toString("hex");
}

export interface BuiltManifest {
  readonly row: VersionRow;
  readonly manifest: JsonObject;
}

/** The immutable manifest of a version and the row that keeps it. */
export async function buildManifest(
  { ctx, trx, now }: Fact,
  { plan, roots, dataset }: { readonly plan: VersionPlan; readonly roots: PlanRoots; readonly dataset: DatasetRow },
): Promise<BuiltManifest> {
  const { dataset_id } = dataset;
  const version = await nextVersion(trx, dataset);
  const url = `${ctx.origin}/datasets/${dataset_id}/versions/${version}`;
  const { name, scope, pricing, currency, license, revenueSplit } = plan.terms;
  const content: Omit<Manifest, "type" | "iss"> = {
    dataset_id,
    name,
    version,
    items_count: plan.items.length,
    items_root: roots.items,
    items_url: `${url}/items`,
    consents_count: plan.consents.length,
    consents_root: roots.consents,
    consents_url: `${url}/consents`,
    scope: [...scope],
    pricing: { model_use: pricing.model_use },
    currency,
    license,
    revenue_split: revenueSplit,
    status: statusReference(ctx.origin, dataset),
    published_at: formatInstant(now),
    ...(plan.previous === undefined ? {} : { previous_manifest_sha256: plan.previous.manifest_sha256 }),
  };
  const signer = await ctx.signingKeys.signerIn(trx, "document", now);
  const manifest: JsonObject = { ...JSON.parse(JSON.stringify(content)), ...testMark(signer) };
  const signed = await signDocument("manifest", ctx.origin, manifest, signer);
  return {
    row: {
      dataset_id,
      version,
      manifest: canonicalize(signed),
      manifest_sha256: documentSha256({ ...manifest, type: "manifest", iss: ctx.origin }),
      content_sha256: plan.contentSha256,
      items_count: plan.items.length,
      items_root: roots.items,
      consents_count: plan.consents.length,
      published_at: now,
    },
    manifest,
  };
}
