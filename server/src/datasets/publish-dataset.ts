import {
  type Manifest,
  type Offence,
  type Result,
  accept,
  appendLeaf,
  canonicalize,
  checkScope,
  consentLeafHash,
  documentSha256,
  EMPTY_TREE,
  formatInstant,
  itemLeafHash,
  refuse,
  rootOf,
  sha256Hex,
  signDocument,
  type JsonObject,
  parseConsentToken,
} from "@licet/protocol";
import { ulid } from "ulid";
import { findConsent } from "../consents/lookup.ts";
import type { Context } from "../context.ts";
import { documentPaths, documentTags } from "../documents/document-paths.ts";
import type { DocumentContent } from "../documents/render-document.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { allocateStatus, statusReference } from "../status-lists/allocate-status.ts";
import { audienceRefusal } from "./check-audiences.ts";
import { type CoveredItem, coverItems } from "./cover-items.ts";
import { type DatasetInput, type DatasetView, consentTokensOf, itemReferencesOf } from "./dataset-input.ts";
import { readOffers } from "./offer-store.ts";
import { publishCurrent } from "./render-dataset.ts";
import {
  type DatasetRow,
  type ItemRow,
  type VersionRow,
  findDataset,
  findVersion,
  insertDataset,
  insertVersion,
  lockDatasets,
  updateDataset,
} from "./store.ts";

export interface Publication {
  /** False when the same content was published before: the same version. */
  readonly isNew: boolean;
  readonly view: DatasetView;
}

/**
 * Publishes a dataset: the next immutable version, or the present one when nothing changed. Every
 * work must be covered by one consent.
 *
 * Refuses `items_not_covered`, `consent_unaccepted`, `already_exists` (the id in another case).
 */
export async function publishDataset(ctx: Context, input: DatasetInput, by: string): Promise<Result<Publication>> {
  const datasetId = input.dataset_id ?? `ds_${ulid(ctx.clock.nowMs())}`;
  return writeFact(ctx, async (fact) => {
    const scope = checkScope(input.scope);
    if (!scope.ok) return scope;
    const accepted = await checkTokens(fact, consentTokensOf(input));
    if (!accepted.ok) return accepted;
    if (input.status === "draft") return storeDraft(ctx, fact, datasetId, input);
    const offer = { datasetId, scope: input.scope, license: input.license, price: input.pricing.model_use };
    const items = await coverItems(fact.trx, itemReferencesOf(input), { offer, now: fact.now });
    if (!items.ok) return items;
    const provenance = checkProvenance(input, datasetId, items.value);
    if (!provenance.ok) return provenance;
    const dataset = await takeDataset(fact, datasetId, input.name);
    if (!dataset.ok) return dataset;
    const readers = await checkReaders(fact, datasetId, items.value);
    if (!readers.ok) return readers;
    const contentSha256 = contentHash(input, items.value);
    const previous = await findVersion(fact.trx, datasetId, dataset.value.current_version);
    if (previous?.content_sha256 === contentSha256)
      return accept({ isNew: false, view: datasetView(ctx, dataset.value, previous) });

    const version = await buildVersion(ctx, fact, {
      input,
      dataset: dataset.value,
      items: items.value,
      previous,
      contentSha256,
    });
    await insertVersion(fact.trx, version.row, version.items, version.jtis);
    await updateDataset(fact.trx, datasetId, {
      name: input.name,
      state: "active",
      current_version: version.row.version,
      draft: null,
    });
    const body = {
      dataset_id: datasetId,
      version: version.row.version,
      manifest_sha256: version.row.manifest_sha256,
      items_root: version.row.items_root,
      by,
    };
    fact.record({ type: "dataset.published", aggregate: datasetId, body });
    fact.publish(documentPaths.manifest(datasetId, version.row.version), async () =>
      immutableManifest(datasetId, version.manifest),
    );
    publishCurrent(fact, dataset.value, version.row.version);
    return accept({
      isNew: true,
      view: datasetView(ctx, { ...dataset.value, name: input.name, state: "active" }, version.row),
    });
  });
}

/** Tokens that come along must be accepted ones, to the letter. */
async function checkTokens(fact: Fact, tokens: readonly string[]): Promise<Result<true>> {
  for (const token of tokens) {
    const jws = parseConsentToken(token);
    if (!jws.ok) return jws;
    const { jti } = jws.value.payload;
    const consent = typeof jti === "string" ? await findConsent(fact.trx, jti) : undefined;
    if (consent?.token !== token)
      return refuse(
        "consent_unaccepted",
        `expected consent tokens that were accepted here, got one with jti ${JSON.stringify(jti)}`,
      );
  }
  return accept(true);
}

/** What the request says of its provenance beside the works must be so. */
function checkProvenance({ provenance }: DatasetInput, datasetId: string, items: readonly CoveredItem[]): Result<true> {
  const { dataset_id, consent_token_id } = provenance ?? {};
  if (dataset_id !== undefined && dataset_id !== datasetId)
    return refuse("conflict", `provenance.dataset_id: expected ${datasetId}, got ${dataset_id}`);
  if (consent_token_id !== undefined && !items.some((item) => item.consent.jti === consent_token_id)) {
    return refuse(
      "conflict",
      `provenance.consent_token_id: expected a consent that the works stand on, got ${consent_token_id}`,
    );
  }
  return accept(true);
}

async function storeDraft(
  ctx: Context,
  fact: Fact,
  datasetId: string,
  input: DatasetInput,
): Promise<Result<Publication>> {
  const dataset = await takeDataset(fact, datasetId, input.name);
  if (!dataset.ok) return dataset;
  const isPublished = dataset.value.current_version > 0;
  await updateDataset(fact.trx, datasetId, {
    draft: JSON.stringify(input),
    ...(isPublished ? {} : { name: input.name }),
  });
  fact.record({
    type: "dataset.drafted",
    aggregate: datasetId,
    body: { dataset_id: datasetId, items: itemReferencesOf(input).length },
  });
  const current = await findVersion(fact.trx, datasetId, dataset.value.current_version);
  const view = datasetView(ctx, { ...dataset.value, ...(isPublished ? {} : { name: input.name }) }, current);
  return accept({ isNew: true, view: { ...view, status: "draft" } });
}

/** The dataset's row, made if need be, and locked: publications of one dataset come one after the other. */
async function takeDataset(fact: Fact, datasetId: string, name: string): Promise<Result<DatasetRow>> {
  if ((await findDataset(fact.trx, datasetId)) === undefined) {
    const place = await allocateStatus(fact);
    await insertDataset(fact.trx, {
      dataset_id: datasetId,
      name,
      state: "draft",
      current_version: 0,
      ...place,
      draft: null,
      created_at: fact.now,
    });
  }
  const [dataset] = await lockDatasets(fact.trx, [datasetId]);
  return dataset === undefined
    ? refuse("already_exists", `there is a dataset ${datasetId} in another case`)
    : accept(dataset);
}

/** Nobody can offer the dataset any more now that it is locked; somebody may have while the works were being covered. */
async function checkReaders(fact: Fact, datasetId: string, items: readonly CoveredItem[]): Promise<Result<true>> {
  const marketplaceIds = (await readOffers(fact.trx, datasetId)).map((offer) => offer.marketplace_id);
  const offences = items.flatMap(({ content, claims }): Offence[] => {
    const refusal = audienceRefusal(claims, marketplaceIds);
    return refusal === undefined ? [] : [{ at: content.content_id, code: refusal.code, detail: refusal.detail }];
  });
  return offences.length === 0
    ? accept(true)
    : refuse(
        "items_not_covered",
        `${offences.length} of ${items.length} works cannot be shown to a marketplace the dataset is offered to`,
        offences,
      );
}

function contentHash(input: DatasetInput, items: readonly CoveredItem[]): string {
  const { name, scope, pricing, currency, license } = input;
  return sha256Hex(
    canonicalize({
      name,
      scope,
      pricing,
      currency,
      license,
      items: items.map(({ content, consent }) => [content.content_id, content.revision, consent.jti]),
    }),
  );
}

interface VersionParts {
  readonly input: DatasetInput;
  readonly dataset: DatasetRow;
  readonly items: readonly CoveredItem[];
  readonly previous: VersionRow | undefined;
  readonly contentSha256: string;
}

interface BuiltVersion {
  readonly row: VersionRow;
  readonly items: readonly ItemRow[];
  readonly jtis: readonly string[];
  readonly manifest: JsonObject;
}

async function buildVersion(
  ctx: Context,
  fact: Fact,
  { input, dataset, items, previous, contentSha256 }: VersionParts,
): Promise<BuiltVersion> {
  const { dataset_id } = dataset;
  const version = dataset.current_version + 1;
  const rows = buildItems(dataset_id, version, items);
  const consents = [...new Map(items.map(({ consent }) => [consent.jti, consent])).values()];
  const itemsRoot = rows.reduce(
    (tree, row) => appendLeaf(tree, new Uint8Array(Buffer.from(row.leaf_hash, "hex"))),
    EMPTY_TREE,
  );
  const consentsRoot = consents.reduce((tree, consent) => appendLeaf(tree, consentLeafHash(consent.token)), EMPTY_TREE);
  const url = `${ctx.origin}/datasets/${dataset_id}/versions/${version}`;
  const content: Omit<Manifest, "type" | "iss"> = {
    dataset_id,
    name: input.name,
    version,
    items_count: rows.length,
    items_root: toHex(rootOf(itemsRoot)),
    items_url: `${url}/items`,
    consents_count: consents.length,
    consents_root: toHex(rootOf(consentsRoot)),
    consents_url: `${url}/consents`,
    scope: input.scope,
    pricing: { model_use: input.pricing.model_use },
    currency: input.currency,
    license: input.license,
    status: statusReference(ctx.origin, dataset),
    published_at: formatInstant(fact.now),
    ...(previous === undefined ? {} : { previous_manifest_sha256: previous.manifest_sha256 }),
  };
  const manifest = toJson(content);
  const manifestSha256 = documentSha256({ ...manifest, type: "manifest", iss: ctx.origin });
  return {
    row: {
      dataset_id,
      version,
      manifest: canonicalize(
        await signDocument("manifest", ctx.origin, manifest, ctx.signingKeys.signerFor("document")),
      ),
      manifest_sha256: manifestSha256,
      content_sha256: contentSha256,
      items_count: rows.length,
      items_root: content.items_root,
      consents_count: consents.length,
      published_at: fact.now,
    },
    items: rows,
    jtis: consents.map((consent) => consent.jti),
    manifest,
  };
}

/** The items as this version pins them, each with the public key its consent was signed with. */
function buildItems(dataset_id: string, version: number, items: readonly CoveredItem[]): readonly ItemRow[] {
  return items.map(({ content, record, consent, publicKey }, position) => {
    const item = { ...record, creator_public_key: publicKey };
    return {
      dataset_id,
      version,
      position,
      content_id: content.content_id,
      creator_id: content.creator_id,
      jti: consent.jti,
      item: canonicalize(item),
      leaf_hash: toHex(itemLeafHash(item)),
    };
  });
}

function immutableManifest(datasetId: string, manifest: JsonObject): DocumentContent {
  return { kind: "manifest", content: manifest, tags: [documentTags.all, documentTags.dataset(datasetId)] };
}

export function datasetView(ctx: Context, dataset: DatasetRow, version: VersionRow | undefined): DatasetView {
  const { dataset_id, name, state } = dataset;
  if (version === undefined) return { dataset_id, name, status: "draft", state: "draft", version: 0 };
  return {
    dataset_id,
    name,
    status: "published",
    state,
    version: version.version,
    published_at: formatInstant(version.published_at),
    items_count: version.items_count,
    consents_count: version.consents_count,
    items_root: version.items_root,
    manifest_sha256: version.manifest_sha256,
    manifest_url: ctx.origin + documentPaths.currentManifest(dataset_id),
  };
}

function toJson(content: Omit<Manifest, "type" | "iss">): JsonObject {
  return JSON.parse(JSON.stringify(content));
}

function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
