import {
  type JsonObject,
  MAX_LISTED_MODELS,
  MAX_JWS_LENGTH,
  type Result,
  formatInstant,
  isIdentifier,
  isWebUrl,
  refuse,
  signModelList,
} from "@licet/protocol";
import type { DatasetCheck } from "@licet/sdk";
import type { Context } from "hono";
import { z } from "zod";
import { connectionShape } from "./connection-store.ts";
import { type MarketplaceContext, reconnect } from "./context.ts";
import { type StoredDataset, findDataset, listDatasets } from "./dataset-store.ts";
import { json, problem, readInput, readJson } from "./http-answers.ts";
import { postReceipts } from "./post-receipts.ts";
import { receiveWebhook } from "./receive-webhook.ts";
import { registerDataset } from "./register-dataset.ts";
import { listModels, listReceipts, listRuns, receiptsOfRun } from "./run-store.ts";
import { showLicense } from "./show-license.ts";
import { DEFAULT_MODEL_ID, trainModel } from "./train-model.ts";
import { verifyAgain } from "./verify-again.ts";

const MAX_PAGE = 1_000;
const limitShape = z.coerce.number().int().min(1).max(MAX_PAGE).default(100);
const identifierShape = z.string().refine(isIdentifier, "expected an identifier");

/** Answers one route: parse, one operation, serialise. */
export type Handler = (context: MarketplaceContext, http: Context) => Promise<Response>;

function answer<T>(context: MarketplaceContext, result: Result<T>, serialise: (value: T) => Response): Response {
  return result.ok ? serialise(result.value) : problem(result.refusal, context.connected?.connection.origin);
}

function param(http: Context, name: string): string {
  return http.req.param(name) ?? "";
}

export async function showHealth(): Promise<Response> {
  return json({ status: "ok" });
}

/** The models made here, for everybody to read: signed with the receipt key. */
export async function showModels({ connected, store, now, receiptSigner }: MarketplaceContext): Promise<Response> {
  if (connected === undefined) return problem({ code: "not_found", detail: "no platform is connected" }, undefined);
  const { marketplace_id, origin } = connected.connection;
  const models = listModels(store, MAX_LISTED_MODELS + 1);
  if (models.length > MAX_LISTED_MODELS)
    return problem({ code: "unavailable", detail: `expected at most ${MAX_LISTED_MODELS} models` }, origin);
  const list = {
    iss: marketplace_id,
    models: models.map(({ model_id, model_fingerprint, published_at }) => ({
      model_id,
      fingerprint: model_fingerprint,
      published_at,
    })),
    checked_at: formatInstant(now()),
  };
  return json(await signModelList(list, receiptSigner));
}

export async function putConnection(context: MarketplaceContext, http: Context): Promise<Response> {
  const body = await readJson(http.req.raw);
  const connection = body.ok ? readInput(connectionShape, body.value) : body;
  if (connection.ok) reconnect(context, connection.value);
  return answer(context, connection, () => connectionView(context));
}

export async function showConnection(context: MarketplaceContext): Promise<Response> {
  return context.connected === undefined
    ? problem({ code: "not_found", detail: "expected PUT /api/v1/connection first" }, undefined)
    : connectionView(context);
}

/** Everything but the secrets. */
function connectionView({ connected, receiptJwk, receiptSigner }: MarketplaceContext): Response {
  const { origin = null, marketplace_id = null, client_id = null, scope = null } = connected?.connection ?? {};
  return json({
    origin,
    marketplace_id,
    client_id,
    scope,
    receipt_key: { kid: receiptSigner.kid, jwk: { ...receiptJwk } },
  });
}

export async function postDataset(context: MarketplaceContext, http: Context): Promise<Response> {
  const body = await readJson(http.req.raw);
  const registered = body.ok ? await registerDataset(context, body.value) : body;
  return answer(context, registered, ({ dataset, isNew }) => json(datasetView(dataset), isNew ? 201 : 200));
}

export async function showDatasets(context: MarketplaceContext, http: Context): Promise<Response> {
  const query = readInput(z.object({ after: z.string().default(""), limit: limitShape }), http.req.query());
  return answer(context, query, ({ after, limit }) => {
    const datasets = listDatasets(context.store, after, limit);
    return json({
      datasets: datasets.map(datasetView),
      next: datasets.length === limit ? (datasets.at(-1)?.dataset_id ?? null) : null,
    });
  });
}

export async function showDataset(context: MarketplaceContext, http: Context): Promise<Response> {
  const dataset = findDataset(context.store, param(http, "id"));
  if (dataset === undefined)
    return answer(context, refuse("not_found", `no dataset ${param(http, "id")} is registered`), json);
  return json(datasetView(dataset));
}

export async function postVerification(context: MarketplaceContext, http: Context): Promise<Response> {
  const verified = await verifyAgain(context, param(http, "id"));
  return answer(context, verified, ({ dataset, report }) =>
    json({ ...datasetView(dataset), checks: report.checks.map(checkView), items: report.summary.items }),
  );
}

function checkView({ id, title, outcome, detail, code, offences }: DatasetCheck): JsonObject {
  const view = { id, title, outcome, detail, ...(code === undefined ? {} : { code }) };
  return offences === undefined ? view : { ...view, offences: offences.map((offence) => ({ ...offence })) };
}

const modelIdShape = z
  .string()
  .regex(/^[\x21-\x7e]{1,256}$/, "expected at most 256 printable ASCII characters without spaces");
const trainingShape = z.object({ model_id: modelIdShape.default(DEFAULT_MODEL_ID) });

export async function postTrainingRun(context: MarketplaceContext, http: Context): Promise<Response> {
  const body = await readOptionalJson(http.req.raw);
  const input = body.ok ? readInput(trainingShape, body.value) : body;
  if (!input.ok) return answer(context, input, json);
  const trained = await trainModel(context, param(http, "id"), input.value.model_id);
  if (!trained.ok) return answer(context, trained, json);
  await postReceipts(context);
  const { run, items, modelFingerprint, receipts } = trained.value;
  const posted = new Map(receiptsOfRun(context.store, run.run_id).map(({ receiptId, state }) => [receiptId, state]));
  const usage = receipts.map(({ receipt_id, usage: { unit, count } }) => ({
    unit,
    count,
    receipt_id,
    receipt_state: posted.get(receipt_id) ?? null,
  }));
  return json(
    {
      run_id: run.run_id,
      state: "completed",
      dataset_id: run.dataset_id,
      dataset_version: run.version,
      items,
      usage,
      model_id: run.model_id,
      model_fingerprint: modelFingerprint,
      receipt_id: receipts[0]?.receipt_id ?? null,
    },
    201,
  );
}

/** A POST without a body stands for one without wishes. */
async function readOptionalJson(request: Request): Promise<Result<JsonObject>> {
  const isEmpty =
    request.headers.get("content-type") === null && (request.headers.get("content-length") ?? "0") === "0";
  return isEmpty ? { ok: true, value: {} } : readJson(request);
}

export async function showTrainingRuns(context: MarketplaceContext, http: Context): Promise<Response> {
  const query = readInput(z.object({ limit: limitShape }), http.req.query());
  return answer(context, query, ({ limit }) =>
    json({ training_runs: listRuns(context.store, param(http, "id"), limit).map((run) => ({ ...run })), next: null }),
  );
}

const presentationShape = z.object({
  token: z.string().max(MAX_JWS_LENGTH),
  url: z.string().refine(isWebUrl, "expected the address of a work"),
  method: z.enum(["GET", "HEAD"]).default("GET"),
});

export async function postLicensePresentation(context: MarketplaceContext, http: Context): Promise<Response> {
  const body = await readJson(http.req.raw);
  const input = body.ok ? readInput(presentationShape, body.value) : body;
  const shown = input.ok ? await showLicense(context, input.value) : input;
  return answer(context, shown, (headers) => json({ headers: { ...headers } }));
}

const receiptsShape = z.object({
  dataset_id: identifierShape.optional(),
  after: z.coerce.number().int().min(0).default(0),
  limit: limitShape,
});

export async function showReceipts(context: MarketplaceContext, http: Context): Promise<Response> {
  const query = readInput(receiptsShape, http.req.query());
  return answer(context, query, ({ dataset_id, after, limit }) => {
    const receipts = listReceipts(context.store, dataset_id, after, limit);
    const views = receipts.map(({ document, validForFutureTraining }) => ({
      ...document,
      valid_for_future_training: validForFutureTraining,
    }));
    return json({ receipts: views, next: receipts.length === limit ? String(receipts.at(-1)?.id) : null });
  });
}

export async function postWebhook(context: MarketplaceContext, http: Context): Promise<Response> {
  return answer(context, await receiveWebhook(context, http.req.raw), (effect) => json({ received: true, effect }));
}

function datasetView(dataset: StoredDataset): JsonObject {
  const {
    dataset_id,
    name,
    version,
    training,
    reason,
    items_count,
    items_root,
    verified_at,
    status,
    model_id,
    model_fingerprint,
  } = dataset;
  const view = { dataset_id, name, version, training, reason, items_count, items_root, verified_at, status };
  return model_id === null || model_fingerprint === null ? view : { ...view, model: { model_id, model_fingerprint } };
}
