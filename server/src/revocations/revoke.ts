import { type Result, accept, formatInstant, refuse } from "@licet/protocol";
import { withdrawContent } from "../content/withdraw-content.ts";
import { findContent, lockContent, type ContentRow } from "../content/lookup.ts";
import { endConsents } from "../consents/end-consents.ts";
import { type ConsentRow, findConsent, lockConsents, readStandingJtis } from "../consents/lookup.ts";
import type { Context } from "../context.ts";
import { findCreator } from "../creators/lookup.ts";
import { requireOwn } from "../creators/own.ts";
import { findDataset, readDatasetStates, readJtisOfCreator, readTouched } from "../datasets/lookup.ts";
import { refreshDatasets } from "../datasets/render-dataset.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { type Principal, actorOf } from "../http/principal.ts";
import { readStillCovering } from "./still-covering.ts";
import { addToView } from "./render-view.ts";
import { readRevokedJtis } from "./store.ts";

export const DEFAULT_REASON = "creator_requested_revocation";

export interface TouchedDataset {
  readonly dataset_id: string;
  readonly status: string;
}

export interface Revocation {
  readonly revoked_at: string;
  readonly revoked_jtis: readonly string[];
  readonly withdrawn_content_ids: readonly string[];
  /** The datasets a version of which lost something, and their states now. */
  readonly datasets: readonly TouchedDataset[];
  /** Consents that still stand and cover some of the same works. */
  readonly still_covered_by: readonly string[];
}

export interface RevocationRequest {
  readonly principal: Principal;
  readonly reason: string;
  /** The dataset it was asked for, on the brief's path: it must exist. */
  readonly datasetId?: string;
}

/** Takes one consent back, everywhere it is used. Taken back before, it answers the same. Refuses `not_found` and `not_yours`. */
export async function revokeConsent(
  ctx: Context,
  jti: string,
  request: RevocationRequest,
): Promise<Result<Revocation>> {
  const consent = await findConsent(ctx.db, jti);
  if (consent === undefined) return refuse("not_found", `there is no consent ${jti}`);
  const own = requireOwn(request.principal, consent.creator_id);
  if (!own.ok) return own;
  if (request.datasetId !== undefined && (await findDataset(ctx.db, request.datasetId)) === undefined)
    return refuse("not_found", `there is no dataset ${request.datasetId}`);
  return writeFact(ctx, async (fact) =>
    accept(await revokeInFact(fact, { jtis: [jti], contentIds: [], creatorId: consent.creator_id }, request)),
  );
}

/** What a creator takes back at once: the consents for one work, and the work itself; those a dataset stands on; or everything. */
export type RevocationTarget =
  | { readonly content_id: string }
  | { readonly dataset_id: string }
  | { readonly all: true };

/** The one button. Refuses `not_found` and `not_yours`. */
export async function revokeForCreator(
  ctx: Context,
  {
    creatorId,
    target,
    ...request
  }: RevocationRequest & { readonly creatorId: string; readonly target: RevocationTarget },
): Promise<Result<Revocation>> {
  const own = requireOwn(request.principal, creatorId);
  if (!own.ok) return own;
  if ((await findCreator(ctx.db, creatorId)) === undefined)
    return refuse("not_found", `there is no creator ${creatorId}`);
  return writeFact(ctx, async (fact) => {
    const selected = await selectTarget(fact, creatorId, target);
    return selected.ok ? accept(await revokeInFact(fact, { ...selected.value, creatorId }, request)) : selected;
  });
}

interface Selection {
  readonly jtis: readonly string[];
  readonly contentIds: readonly string[];
}

async function selectTarget(fact: Fact, creatorId: string, target: RevocationTarget): Promise<Result<Selection>> {
  if ("content_id" in target) {
    const content = await findContent(fact.trx, target.content_id);
    if (content === undefined) return refuse("not_found", `there is no content ${target.content_id}`);
    if (content.creator_id !== creatorId) return refuse("not_yours", `${target.content_id} is another creator's`);
    return accept({
      jtis: await readJtis(fact, creatorId, `content:${target.content_id}`),
      contentIds: [target.content_id],
    });
  }
  if ("dataset_id" in target) {
    const dataset = await findDataset(fact.trx, target.dataset_id);
    if (dataset === undefined) return refuse("not_found", `there is no dataset ${target.dataset_id}`);
    return accept({ jtis: await readJtisOfCreator(fact.trx, target.dataset_id, creatorId), contentIds: [] });
  }
  return accept({ jtis: await readJtis(fact, creatorId), contentIds: [] });
}

/** What stands and what was taken back before: a request whose answer was lost is answered the same again. */
async function readJtis(fact: Fact, creatorId: string, subject?: string): Promise<readonly string[]> {
  return [
    ...(await readStandingJtis(fact.trx, creatorId, subject)),
    ...(await readRevokedJtis(fact.trx, creatorId, subject)),
  ];
}

async function revokeInFact(
  fact: Fact,
  selected: Selection & { readonly creatorId: string },
  { principal, reason }: RevocationRequest,
): Promise<Revocation> {
  const { contentIds, creatorId } = selected;
  const consents = await lockConsents(fact.trx, selected.jtis);
  const works = await lockContent(fact.trx, contentIds, "update");
  const jtis = consents.map((row) => row.jti);
  const touched = await readTouched(fact.trx, { jtis, contentIds });
  const by = actorOf(principal);
  const ended = await endConsents(fact, consents, {
    state: "revoked",
    by,
    reason,
    datasetsOf: (jti) => touched.byConsents([jti]),
  });
  const withdrawn = await withdrawContent(fact, contentIds, { by, reason, datasetsOf: (id) => touched.byWorks([id]) });
  await addToView(fact, ended);
  await refreshDatasets(fact, [
    ...touched.byConsents(ended.map((row) => row.jti)),
    ...touched.byWorks(withdrawn.map((row) => row.content_id)),
  ]);
  const isRepeated = ended.length === 0 && withdrawn.length === 0;
  return {
    revoked_at: formatInstant(isRepeated ? firstTime(consents, works, fact.now) : fact.now),
    revoked_jtis: consents.filter((row) => row.state !== "expired").map((row) => row.jti),
    withdrawn_content_ids: contentIds,
    datasets: await readTouchedStates(fact, [...touched.byConsents(jtis), ...touched.byWorks(contentIds)]),
    still_covered_by: await readStillCovering(fact.trx, { creatorId, jtis, contentIds }),
  };
}

/** When it took effect: of what is taken back again, the last time that anything changed. */
function firstTime(consents: readonly ConsentRow[], works: readonly ContentRow[], now: number): number {
  const times = [...consents.map((row) => row.ended_at), ...works.map((row) => row.withdrawn_at)].filter(
    (time) => time !== null,
  );
  return times.length === 0 ? now : Math.max(...times);
}

async function readTouchedStates(fact: Fact, datasetIds: readonly string[]): Promise<readonly TouchedDataset[]> {
  const states = await readDatasetStates(fact.trx, datasetIds);
  return [...states].map(([dataset_id, status]) => ({ dataset_id, status }));
}
