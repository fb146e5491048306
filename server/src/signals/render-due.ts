import { accept, cacheTags } from "@licet/protocol";
import type { Context } from "../context.ts";
import { findDataset, findVersion, lockDatasets } from "../datasets/lookup.ts";
import { documentPaths } from "../documents/document-paths.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { describeDataset } from "./describe-dataset.ts";
import { ownHost, publishRobots, textDocument } from "./publish-texts.ts";
import {
  renderCatalogue,
  renderDatasetPolicy,
  renderDatasetRsl,
  renderHostRsl,
  renderTdmFile,
} from "./render-texts.ts";
import { RSL_TYPE } from "./rsl-document.ts";
import {
  type SignalMarkRow,
  addMarks,
  deleteMark,
  findSignalDataset,
  readHosts,
  readMarks,
  saveSignalDataset,
} from "./store.ts";
import { tdmPolicy } from "./tdm-document.ts";

/** Subjects looked at in one go. */
const BATCH = 50;

/** What there is of the signals from the first boot on: the platform's own files, reserved. */
export async function publishSignals(ctx: Context): Promise<void> {
  const own = [documentPaths.robots, documentPaths.license, documentPaths.tdmFile, documentPaths.tdmPolicy];
  const served = await Promise.all(own.map((path) => ctx.documents.read(path)));
  if (served.every((document) => document !== undefined)) return;
  const texts = new Map([...(await catalogueTexts(ctx)), ...(await hostTexts(ctx, ownHost(ctx)))]);
  const policy = tdmPolicy({
    url: ctx.origin + documentPaths.tdmPolicy,
    origin: ctx.origin,
    target: ctx.origin + documentPaths.rslCatalogue,
    licenseUrl: ctx.origin + documentPaths.rslCatalogue,
    offer: "on-request",
    isResearchOnly: false,
  });
  await writeFact(ctx, async (fact) => {
    publishRobots(fact, ownHost(ctx));
    publishText(fact, documentPaths.tdmPolicy, { contentType: "application/ld+json", text: policy });
    for (const [path, text] of texts) publishText(fact, path, text);
    return accept(undefined);
  });
}

/**
 * Renders what was marked, each subject once however often it was. Several servers may do it at once: the same is
 * rendered twice then. It rests for as long as a batch took, so that it never takes more than half of a processor.
 */
export async function renderDueSignals(ctx: Context, signal: AbortSignal): Promise<void> {
  for (;;) {
    const startedMs = performance.now();
    const marks = await readMarks(ctx.db, BATCH);
    for (const mark of marks) {
      if (signal.aborted) return;
      await renderSubject(ctx, mark);
    }
    if (marks.length === 0 || signal.aborted) return;
    const tookMs = performance.now() - startedMs;
    await new Promise((resolve) => setTimeout(resolve, tookMs));
  }
}

const CATALOGUE = "catalogue";

function hostSubject(host: string): string {
  return `host:${host}`;
}

async function renderSubject(ctx: Context, mark: SignalMarkRow): Promise<void> {
  const { subject } = mark;
  const name = subject.slice(subject.indexOf(":") + 1);
  if (subject.startsWith("dataset:")) return renderDataset(ctx, name, mark);
  const changed = await onlyChanged(
    ctx,
    subject === CATALOGUE ? await catalogueTexts(ctx) : await hostTexts(ctx, name),
  );
  const isNewHost = subject !== CATALOGUE && (await ctx.documents.read(documentPaths.hostRobots(name))) === undefined;
  await writeFact(ctx, async (fact) => {
    for (const [path, changedText] of changed) publishText(fact, path, changedText);
    if (isNewHost) publishRobots(fact, name);
    await deleteMark(fact.trx, mark);
    return accept(undefined);
  });
}

/** What of a dataset is said by itself, and what its hosts and the catalogue are made of. */
async function renderDataset(ctx: Context, datasetId: string, mark: SignalMarkRow): Promise<void> {
  const dataset = await findDataset(ctx.db, datasetId);
  const version = await findVersion(ctx.db, datasetId, dataset?.current_version ?? 0);
  const isOver = dataset === undefined || version === undefined;
  const described = isOver ? undefined : await describeDataset(ctx, dataset, version);
  const known = await findSignalDataset(ctx.db, datasetId);
  const isOther = described?.dataset.version !== known?.version || described?.dataset.terms_url !== known?.terms_url;
  if (isOther)
    await writeFact(ctx, async (fact) => {
      // Whoever takes something back holds the dataset, so that it sees these works or they see what it took.
      await lockDatasets(fact.trx, [datasetId]);
      const before = await readHosts(fact.trx, datasetId);
      await saveSignalDataset(fact.trx, datasetId, described);
      const hosts = [...before, ...(await readHosts(fact.trx, datasetId))];
      for (const { host, is_open } of hosts) if (is_open) publishRobots(fact, host);
      await addMarks(fact.trx, [...new Set(hosts.map(({ host }) => hostSubject(host)))]);
      return accept(undefined);
    });
  await publishDataset(ctx, datasetId, mark);
}

async function publishDataset(ctx: Context, datasetId: string, mark: SignalMarkRow): Promise<void> {
  const tags = [cacheTags.dataset(datasetId)];
  const texts = await onlyChanged(
    ctx,
    new Map([
      [documentPaths.rslDataset(datasetId), { contentType: RSL_TYPE, text: await renderDatasetRsl(ctx, datasetId) }],
      [
        documentPaths.tdmDataset(datasetId),
        { contentType: "application/ld+json", text: await renderDatasetPolicy(ctx, datasetId) },
      ],
    ]),
  );
  await writeFact(ctx, async (fact) => {
    for (const [path, text] of texts) publishText(fact, path, { ...text, tags });
    if (texts.size > 0) {
      const hosts = await readHosts(fact.trx, datasetId);
      await addMarks(fact.trx, [...hosts.map(({ host }) => hostSubject(host)), CATALOGUE]);
    }
    await deleteMark(fact.trx, mark);
    return accept(undefined);
  });
}

interface Text {
  readonly contentType: string;
  readonly text: string;
  readonly tags?: readonly string[];
}

type Texts = ReadonlyMap<string, Text>;

async function catalogueTexts(ctx: Context): Promise<Texts> {
  return new Map([[documentPaths.rslCatalogue, { contentType: RSL_TYPE, text: await renderCatalogue(ctx) }]]);
}

async function hostTexts(ctx: Context, host: string): Promise<Texts> {
  const license = { contentType: RSL_TYPE, text: await renderHostRsl(ctx, host) };
  const tdm = { contentType: "application/json", text: await renderTdmFile(ctx, host) };
  const own: [string, Text][] = [
    [documentPaths.license, license],
    [documentPaths.tdmFile, tdm],
  ];
  return new Map([
    [documentPaths.hostLicense(host), license],
    [documentPaths.hostTdmFile(host), tdm],
    ...(host === ownHost(ctx) ? own : []),
  ]);
}

async function onlyChanged(ctx: Context, texts: Texts): Promise<Texts> {
  const changed = new Map<string, Text>();
  for (const [path, text] of texts) {
    const served = await ctx.documents.read(path);
    if (served === undefined || Buffer.from(served.bytes).toString("utf8") !== text.text) changed.set(path, text);
  }
  return changed;
}

function publishText(fact: Fact, path: string, { contentType, text, tags }: Text): void {
  fact.publish(path, async () => textDocument(contentType, text, tags));
}
