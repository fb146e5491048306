import { type Result, accept, formatInstant, refuse } from "@licet/protocol";
import { findContent, lockContent, type ContentRow } from "../content/lookup.ts";
import {
  type ConsentRow,
  findConsent,
  lockConsents,
  lockStandingConsents,
  readRevokedConsents,
} from "../consents/lookup.ts";
import type { Context } from "../context.ts";
import { findCreator } from "../creators/lookup.ts";
import { requireOwn } from "../creators/own.ts";
import { findDataset, readJtisOfCreator } from "../datasets/lookup.ts";
import { REFUSAL_EVENTS, isRefusalEvent } from "../events/event-jobs.ts";
import { readNewestIds } from "../events/store.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { MAX_NAMED } from "../models/lookup.ts";
import { type Principal, actorOf } from "../http/principal.ts";
import { type Effect, takeEffect } from "./describe-effect.ts";
import { readStillCovering } from "./still-covering.ts";
import { type Selection, type TouchedDataset, takeBack } from "./take-back.ts";

export const DEFAULT_REASON = "creator_requested_revocation";

export interface Revocation extends Effect {
  readonly revoked_at: string;
  readonly revoked_jtis: readonly string[];
  readonly withdrawn_content_ids: readonly string[];
  /** The datasets a version of which lost something, and their states now. */
  readonly datasets: readonly TouchedDataset[];
  /** Consents that still stand and cover some of the same works. */
  readonly still_covered_by: readonly string[];
  /** What was taken back, each with the timeline that says how far it has come; the first {@link MAX_NAMED}. */
  readonly timelines: readonly RevocationTimeline[];
}

/** A fact that took something back, and where its timeline is read. */
export interface RevocationTimeline {
  readonly revocation_id: string;
  /** The jti or the work. */
  readonly of: string;
  readonly timeline_url: string;
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
  return writeFact(ctx, async (fact) => {
    const consents = await lockConsents(fact.trx, [jti]);
    const modelsUrl = `${MODELS}?jti=${jti}`;
    const selection = { consents, formerly: [], works: [], creatorId: consent.creator_id, modelsUrl };
    return accept(await revokeInFact(fact, selection, request));
  });
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
    if (!selected.ok) return selected;
    const selection = { ...selected.value, creatorId, modelsUrl: modelsUrlOf(target) };
    return accept(await revokeInFact(fact, selection, request));
  });
}

/** Where the models are listed that works were used for; a creator finds there those of their own works alone. */
const MODELS = "/api/v1/models";

function modelsUrlOf(target: RevocationTarget): string {
  if ("content_id" in target) return `${MODELS}?content_id=${target.content_id}`;
  return "dataset_id" in target ? `${MODELS}?dataset_id=${target.dataset_id}` : MODELS;
}

async function selectTarget(fact: Fact, creatorId: string, target: RevocationTarget): Promise<Result<Selection>> {
  const { trx } = fact;
  if ("content_id" in target) {
    const content = await findContent(trx, target.content_id);
    if (content === undefined) return refuse("not_found", `there is no content ${target.content_id}`);
    if (content.creator_id !== creatorId) return refuse("not_yours", `${target.content_id} is another creator's`);
    const subject = `content:${target.content_id}`;
    const consents = await lockStandingConsents(trx, creatorId, subject);
    const works = await lockContent(trx, [target.content_id]);
    return accept({ consents, formerly: await readRevokedConsents(trx, creatorId, subject), works });
  }
  if ("dataset_id" in target) {
    const dataset = await findDataset(trx, target.dataset_id);
    if (dataset === undefined) return refuse("not_found", `there is no dataset ${target.dataset_id}`);
    const jtis = await readJtisOfCreator(trx, target.dataset_id, creatorId);
    return accept({ consents: await lockConsents(trx, jtis), formerly: [], works: [] });
  }
  const consents = await lockStandingConsents(trx, creatorId);
  return accept({ consents, formerly: await readRevokedConsents(trx, creatorId), works: [] });
}

async function revokeInFact(
  fact: Fact,
  selection: Selection & { readonly creatorId: string; readonly modelsUrl: string },
  { principal, reason }: RevocationRequest,
): Promise<Revocation> {
  const { consents, formerly, works, creatorId, modelsUrl } = selection;
  const named = [...consents.filter((row) => row.state !== "expired"), ...formerly];
  const contentIds = works.map((row) => row.content_id);
  const taken = await takeBack(fact, { consents, formerly, works }, { by: actorOf(principal), reason });
  const effect = await takeEffect(fact, { ...taken.reach, modelsUrl });
  const isRepeated = taken.ended.length === 0 && taken.withdrawn.length === 0;
  return {
    revoked_at: formatInstant(isRepeated ? lastTime(named, works, fact.now) : fact.now),
    revoked_jtis: named.map((row) => row.jti).sort(),
    withdrawn_content_ids: contentIds,
    datasets: taken.datasets,
    still_covered_by: await readStillCovering(fact.trx, {
      creatorId,
      subjects: [...consents, ...formerly].map((row) => row.subject),
      contentIds,
    }),
    timelines: await timelinesOf(fact, [...named.map((row) => row.jti), ...contentIds]),
    ...effect,
  };
}

/** What this fact recorded about them; of what was taken back before, what was recorded then. */
async function timelinesOf(fact: Fact, aggregates: readonly string[]): Promise<readonly RevocationTimeline[]> {
  const recorded = new Map(
    fact
      .recorded()
      .filter((event) => isRefusalEvent(event.type))
      .map((event) => [event.aggregate, event.id]),
  );
  const first = aggregates.slice(0, MAX_NAMED);
  const earlier = first.filter((aggregate) => !recorded.has(aggregate));
  const before =
    earlier.length === 0 ? new Map<string, string>() : await readNewestIds(fact.trx, earlier, REFUSAL_EVENTS);
  return first.flatMap((of) => {
    const revocation_id = recorded.get(of) ?? before.get(of);
    if (revocation_id === undefined) return [];
    return [{ revocation_id, of, timeline_url: `${fact.ctx.origin}/api/v1/revocations/${revocation_id}` }];
  });
}

/** When it took effect: of what is taken back again, the last time that anything changed. */
function lastTime(
  consents: readonly Pick<ConsentRow, "ended_at">[],
  works: readonly ContentRow[],
  now: number,
): number {
  const times = [...consents.map((row) => row.ended_at), ...works.map((row) => row.withdrawn_at)].filter(
    (time) => time !== null,
  );
  return times.length === 0 ? now : Math.max(...times);
}
