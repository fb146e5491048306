import { parsePrice, rslUsers } from "@licet/protocol";
import type { Context } from "../context.ts";
import { findDataset, findVersion, offerOf, readFallenWorks } from "../datasets/lookup.ts";
import { documentPaths } from "../documents/document-paths.ts";
import { MAX_WORKS } from "./describe-dataset.ts";
import { type RslContent, proofOf, rslDocument } from "./rsl-document.ts";
import { type NamedWork, type WorkFilter, countSignalDatasets, findSignalDataset, readNamedWorks } from "./store.ts";
import { type TdmLocation, tdmFile, tdmPolicy } from "./tdm-document.ts";

/** Where licenses are to be had: the `server` of our RSL documents. */
function olpServer({ origin }: Pick<Context, "origin">): string {
  return `${origin}/olp`;
}

/** The license of a dataset's works, or that there is none to be had. */
export async function renderDatasetRsl(ctx: Context, datasetId: string): Promise<string> {
  const works = await readStanding(ctx, { datasetId, ofEach: MAX_WORKS, limit: MAX_WORKS });
  return rslOf(ctx, works, proofOf(ctx.origin, datasetId));
}

/** The licenses of the works at a host. */
export async function renderHostRsl(ctx: Context, host: string): Promise<string> {
  const works = await readStanding(ctx, {
    host,
    ofEach: share(await countSignalDatasets(ctx.db, host)),
    limit: MAX_WORKS,
  });
  return rslOf(ctx, works, `https://${host}/`);
}

/** Some works of every dataset: whoever has the license of one has it for all of its dataset. */
export async function renderCatalogue(ctx: Context): Promise<string> {
  const works = await readStanding(ctx, { ofEach: share(await countSignalDatasets(ctx.db)), limit: MAX_WORKS });
  return rslOf(ctx, works, `${ctx.origin}/`);
}

export async function renderTdmFile(ctx: Context, host: string): Promise<string> {
  const works = await readStanding(ctx, {
    host,
    ofEach: share(await countSignalDatasets(ctx.db, host)),
    limit: MAX_WORKS,
  });
  const locations = new Map<string, TdmLocation>();
  for (const { url, dataset_id, is_mining } of works)
    if (is_mining && !locations.has(url))
      locations.set(url, { pattern: url, policyUrl: ctx.origin + documentPaths.tdmDataset(dataset_id) });
  const byUrl = [...locations.values()].toSorted((left, right) => (left.pattern < right.pattern ? -1 : 1));
  return tdmFile(byUrl, ctx.origin + documentPaths.tdmPolicy);
}

export async function renderDatasetPolicy(ctx: Context, datasetId: string): Promise<string> {
  const known = await findSignalDataset(ctx.db, datasetId);
  const dataset = known?.is_mining === true ? await findDataset(ctx.db, datasetId) : undefined;
  const version = await findVersion(ctx.db, datasetId, known?.version ?? 0);
  const offer = dataset === undefined || version === undefined ? undefined : offerOf(version);
  const isFree = offer !== undefined && parsePrice(offer.priceText)?.scaled === 0n;
  return tdmPolicy({
    url: ctx.origin + documentPaths.tdmDataset(datasetId),
    origin: ctx.origin,
    target: proofOf(ctx.origin, datasetId),
    licenseUrl: ctx.origin + documentPaths.rslDataset(datasetId),
    offer: offer === undefined ? "none" : isFree ? "for-nothing" : "for-money",
    isResearchOnly: offer !== undefined && !rslUsers(offer.scope).includes("commercial"),
  });
}

function share(datasets: number): number {
  return Math.max(1, Math.floor(MAX_WORKS / Math.max(1, datasets)));
}

async function readStanding(ctx: Context, filter: WorkFilter): Promise<readonly NamedWork[]> {
  const works = await readNamedWorks(ctx.db, filter);
  const fallen = await readFallenWorks(ctx.db, works);
  return works.filter((work) => !fallen.has(`${work.content_id} ${work.jti}`));
}

/** Each address once, with the license of every dataset it is in. */
function rslOf(ctx: Context, works: readonly NamedWork[], reserved: string): string {
  const contents = new Map<string, RslContent>();
  for (const { url, license_xml, terms_url } of works.filter((work) => work.license_xml !== "")) {
    const known = contents.get(url);
    if (known === undefined) contents.set(url, { url, licenses: [license_xml], termsUrl: terms_url });
    else if (!known.licenses.includes(license_xml))
      contents.set(url, { ...known, licenses: [...known.licenses, license_xml] });
  }
  return rslDocument([...contents.values()], { server: olpServer(ctx), reserved });
}
