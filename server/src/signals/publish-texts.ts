import { type AiprefLabel, cacheTags } from "@licet/protocol";
import { readDatasetStates, readFallenWorks } from "../datasets/lookup.ts";
import type { Context } from "../context.ts";
import type { Db, Trx } from "../db/open-database.ts";
import { documentPaths } from "../documents/document-paths.ts";
import { type DocumentContent, UNSIGNED_TEXT } from "../documents/render-document.ts";
import type { Fact } from "../events/write-fact.ts";
import { type OpenPath, robotsText } from "./robots-text.ts";
import { readOpenWorks } from "./store.ts";
import { pathOf } from "./work-place.ts";

/** States in which something of a dataset is on offer. */
export const ON_OFFER: readonly string[] = ["active", "partially_revoked"];

/** The platform's own host, whose files are at their usual places. */
export function ownHost(ctx: Pick<Context, "origin">): string {
  return new URL(ctx.origin).host;
}

export function textDocument(contentType: string, text: string, tags: readonly string[] = []): DocumentContent {
  return {
    kind: UNSIGNED_TEXT,
    content: { content_type: contentType, text },
    tags: [cacheTags.all, cacheTags.signals, ...tags],
  };
}

/**
 * Has the robots.txt of a host rendered in this fact: all that opens anything to everybody, so that it is never
 * left standing by a fact that takes it back.
 */
export function publishRobots(fact: Fact, host: string): void {
  const { ctx } = fact;
  const licenseUrl = ctx.origin + documentPaths.hostLicense(host);
  const render = (isWhole: boolean) => async (trx: Trx) =>
    textDocument(
      "text/plain; charset=utf-8",
      robotsText({
        licenseUrl: isWhole ? ctx.origin + documentPaths.license : licenseUrl,
        openPaths: await readOpenPaths(trx, host),
        isWhole,
      }),
    );
  fact.publish(documentPaths.hostRobots(host), render(false));
  if (host === ownHost(ctx)) fact.publish(documentPaths.robots, render(true));
}

/** What is open to everybody at a host, as consents, works and datasets are now. Each path once, by path. */
async function readOpenPaths(db: Db | Trx, host: string): Promise<readonly OpenPath[]> {
  const works = await readOpenWorks(db, host);
  const fallen = await readFallenWorks(db, works);
  const states = await readDatasetStates(db, [...new Set(works.map((work) => work.dataset_id))]);
  const open = new Map<string, Set<string>>();
  for (const work of works) {
    const stands = !fallen.has(`${work.content_id} ${work.jti}`);
    if (!stands || !ON_OFFER.includes(states.get(work.dataset_id) ?? "")) continue;
    const path = pathOf(work.url);
    const labels = open.get(path) ?? new Set();
    for (const label of work.open.split(" ")) labels.add(label);
    open.set(path, labels);
  }
  return [...open].map(([path, labels]) => ({ path, open: [...labels].filter(isLabel) }));
}

const LABELS: readonly string[] = ["train-ai", "ai-use", "search"] satisfies readonly AiprefLabel[];

function isLabel(text: string): text is AiprefLabel {
  return LABELS.includes(text);
}
