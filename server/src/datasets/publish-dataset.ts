import { type Result, accept, checkScope, parseConsentToken, refuse } from "@licet/protocol";
import { ulid } from "ulid";
import { findConsent } from "../consents/lookup.ts";
import type { Context } from "../context.ts";
import { MAX_PLANS, OVERTAKEN, commitVersion, inTurn } from "./commit-version.ts";
import { type DatasetInput, type DatasetView, consentTokensOf } from "./dataset-input.ts";
import { datasetView } from "./dataset-view.ts";
import { planVersion } from "./plan-version.ts";
import { findDataset, findVersion } from "./store.ts";

export interface Publication {
  /** False when the same content was published before: the same version. */
  readonly isNew: boolean;
  readonly view: DatasetView;
}

/**
 * Publishes a dataset: the next immutable version, or the present one when nothing changed. Every
 * work must be covered by one consent.
 *
 * Refuses `items_not_covered`, `consent_unaccepted`, `already_exists` (the id in another case), and
 * `conflict` when the dataset is suspended or withdrawn.
 */
export async function publishDataset(ctx: Context, input: DatasetInput, by: string): Promise<Result<Publication>> {
  const checked = await checkInput(ctx, input);
  if (!checked.ok) return checked;
  const datasetId = input.dataset_id ?? newDatasetId(ctx);
  return inTurn(ctx, datasetId, () => publishInTurn(ctx, { ...input, dataset_id: datasetId }, by));
}

async function publishInTurn(
  ctx: Context,
  input: DatasetInput & { readonly dataset_id: string },
  by: string,
): Promise<Result<Publication>> {
  const datasetId = input.dataset_id;
  for (let attempt = 0; attempt < MAX_PLANS; attempt += 1) {
    const dataset = await findDataset(ctx.db, datasetId);
    const previous = await findVersion(ctx.db, datasetId, dataset?.current_version ?? 0);
    const plan = await planVersion(ctx, input, { datasetId, previous });
    if (!plan.ok) return plan;
    const isOpen = dataset?.suspended_at === null && dataset.ended_at === null;
    if (isOpen && previous?.content_sha256 === plan.value.contentSha256)
      return accept({ isNew: false, view: datasetView(ctx, dataset, previous) });
    const committed = await commitVersion(ctx, plan.value, by);
    if (!committed.ok) return committed;
    if (committed.value !== OVERTAKEN)
      return accept({ isNew: true, view: datasetView(ctx, committed.value.dataset, committed.value.version) });
  }
  return refuse("conflict", `${datasetId}, or what it stands on, changes all the time: try again`);
}

export function newDatasetId(ctx: Context): string {
  return `ds_${ulid(ctx.clock.nowMs())}`;
}

/** What can be said of a request before any work is looked at. Refuses `scope_unknown`, `scope_contradictory` and `consent_unaccepted`. */
export async function checkInput(ctx: Context, input: DatasetInput): Promise<Result<true>> {
  const scope = checkScope(input.scope);
  return scope.ok ? checkTokens(ctx, consentTokensOf(input)) : scope;
}

/** Tokens that come along must be accepted ones, to the letter. */
async function checkTokens(ctx: Context, tokens: readonly string[]): Promise<Result<true>> {
  for (const token of tokens) {
    const jws = parseConsentToken(token);
    if (!jws.ok) return jws;
    const { jti } = jws.value.payload;
    const consent = typeof jti === "string" ? await findConsent(ctx.db, jti) : undefined;
    if (consent?.token !== token)
      return refuse(
        "consent_unaccepted",
        `expected consent tokens that were accepted here, got one with jti ${JSON.stringify(jti)}`,
      );
  }
  return accept(true);
}
