import {
  MAX_MODEL_LIST_BYTES,
  MODEL_LIST_PATH,
  type ModelList,
  type Result,
  accept,
  parseInstant,
  parseJsonObject,
  readModelList,
  verifyModelList,
} from "@licet/protocol";
import { type Context, nowSeconds } from "../context.ts";
import { writeFact } from "../events/write-fact.ts";
import { readReceiptKeysOf } from "../marketplaces/lookup.ts";
import { claimList, compareLists, readDueLists, saveFindings, saveListState, saveListed } from "./finding-store.ts";

/** Lists that one sweep reads; the others are due again at the next one. */
const BATCH = 20;
const TIMEOUT_MS = 30_000;
const MAX_ERROR_LENGTH = 500;

/** Reads the lists of models that are due, each from the host that its marketplace is at, and compares them with licenses and receipts. */
export async function readModelLists(ctx: Context, signal?: AbortSignal): Promise<void> {
  const { modelListSeconds } = ctx.config.money;
  if (modelListSeconds === undefined) return;
  const now = nowSeconds(ctx);
  for (const { marketplace_id, base_url } of await readDueLists(ctx.db, now, BATCH)) {
    if (signal?.aborted === true) return;
    if (!(await claimList(ctx.db, marketplace_id, { now, until: now + modelListSeconds }))) continue;
    const read = await readListOf(ctx, marketplace_id, base_url);
    if (read.ok) await compareList(ctx, read.value);
    else await noteFailure(ctx, marketplace_id, `${read.refusal.code}: ${read.refusal.detail}`);
  }
}

/** Refuses what {@link readModelList} and {@link verifyModelList} do, `json_malformed`, and what hosts that do not answer are refused with. */
async function readListOf(ctx: Context, marketplaceId: string, baseUrl: string): Promise<Result<ModelList>> {
  const answer = await ctx.outbound.read(new URL(MODEL_LIST_PATH, baseUrl).href, {
    maxBytes: MAX_MODEL_LIST_BYTES,
    timeoutMs: TIMEOUT_MS,
    accept: "application/json",
  });
  if (!answer.ok) return answer;
  const document = parseJsonObject(answer.value.body);
  if (!document.ok) return document;
  const list = readModelList(document.value);
  if (!list.ok) return list;
  const kid = list.value.signatures[0]?.key_id ?? "";
  const verified = await verifyModelList(document.value, list.value, {
    marketplaceId,
    key: (await readReceiptKeysOf(ctx.db, marketplaceId, [kid])).get(kid),
    now: nowSeconds(ctx),
    allowTest: ctx.config.mode === "test",
  });
  return verified.ok ? list : verified;
}

/** Keeps what a list says, and has an event for each model that is not as it should be and was so until now. */
async function compareList(ctx: Context, { iss, models, checked_at }: ModelList): Promise<void> {
  await writeFact(ctx, async (fact) => {
    const { trx, now } = fact;
    const checkedAt = parseInstant(checked_at) ?? now;
    const listed = models.map(({ model_id, fingerprint, base_fingerprint, published_at }) => ({
      model_id,
      fingerprint,
      base_fingerprint: base_fingerprint ?? null,
      published_at: parseInstant(published_at) ?? now,
    }));
    await saveListed(trx, iss, { models: listed, now });
    const found = await compareLists(trx, iss, { checkedAt, models: listed });
    for (const { kind, fingerprint, model_id } of await saveFindings(trx, iss, { found, now }))
      fact.record({
        type: `model.${kind}`,
        aggregate: fingerprint,
        body: { marketplace_id: iss, model_id, fingerprint, checked_at },
      });
    await saveListState(trx, iss, {
      read_at: now,
      checked_at: checkedAt,
      models_count: models.length,
      last_error: null,
    });
    return accept(undefined);
  });
}

async function noteFailure(ctx: Context, marketplaceId: string, error: string): Promise<void> {
  await saveListState(ctx.db, marketplaceId, { last_error: error.slice(0, MAX_ERROR_LENGTH) });
  ctx.log.debug({ marketplace_id: marketplaceId, error }, "a list of models could not be read");
}
