import {
  type ReceivedEvent,
  REFUSING_CHANGES,
  type Result,
  accept,
  canonicalize,
  refuse,
  sha256Hex,
} from "@licet/protocol";
import type { Context } from "../context.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { actorOf } from "../http/principal.ts";
import {
  type Acted,
  type Actor,
  type Named,
  holdNamed,
  letGoHeld,
  takeBackNamed,
} from "../revocations/act-for-upstream.ts";
import { type Subject, type UpstreamEventRow, findEvent, isOutdated } from "./event-store.ts";
import { lockLiving } from "./register-upstream.ts";
import { type EventAnswer, saveEvent } from "./save-event.ts";
import type { VerifiedEvent } from "./verify-event.ts";
import { readMeantConsents, readMeantWorks } from "./work-store.ts";

/** An answer is kept with its event, so it has its bounds. */
const MAX_NAMED = 1_000;

const NOTHING = {
  revoked_jtis: [],
  withdrawn_content_ids: [],
  suspended_ids: [],
  resumed_ids: [],
  changed_count: 0,
  datasets: [],
} as const;

/** What one fact of a resumption lets go at most; the last one takes the event. */
const LET_GO_AT_ONCE = 500;

/**
 * Takes a verified event of an upstream: what it takes back falls here in the same fact, everything
 * that is mapped to it. A suspension is held for the upstream and for just what it named, so that
 * lifting one thing lifts no other. A resumption that is older than a refusal of the same changes
 * nothing; one that lifts much does so in several facts, and is taken only with the last of them.
 * Another event under the same id is carried out if it refuses, and refused all the same.
 *
 * Refuses `upstream_ended`, and `conflict`.
 */
export async function acceptUpstreamEvent(
  ctx: Context,
  { upstream: { upstream_id: upstreamId }, event }: VerifiedEvent,
): Promise<Result<EventAnswer>> {
  for (let before: Acted = NOBODY; ;) {
    const step = await writeFact(ctx, (fact) => takeEvent(fact, upstreamId, event, before));
    if (!step.ok) return step;
    if (step.value.kind === "taken") return accept(step.value.answer);
    if (step.value.kind === "contradicts") return refuseContradiction(event);
    before = step.value.acted;
  }
}

const NOBODY: Acted = { jtis: [], contentIds: [], datasets: [] };

type Step =
  | { readonly kind: "taken"; readonly answer: EventAnswer }
  | { readonly kind: "contradicts" }
  | { readonly kind: "partly"; readonly acted: Acted };

async function takeEvent(fact: Fact, upstreamId: string, event: ReceivedEvent, before: Acted): Promise<Result<Step>> {
  const upstream = await lockLiving(fact, upstreamId);
  if (!upstream.ok) return upstream;
  const first = await findEvent(fact.trx, upstreamId, event.event_id);
  if (first === undefined) return takeAs(fact, upstreamId, { ...event, takenAs: event.event_id }, before);
  if (isSameMessage(first, event)) return accept({ kind: "taken", answer: JSON.parse(first.answer) });
  const takenAs = contradictingId(event);
  const isNew = (await findEvent(fact.trx, upstreamId, takenAs)) === undefined;
  if (!isNew || !REFUSING_CHANGES.includes(event.change)) return refuseContradiction(event);
  const taken = await takeAs(fact, upstreamId, { ...event, takenAs }, before);
  return taken.ok ? accept({ kind: "contradicts" }) : taken;
}

/** An event, and the id under which it is kept. */
type KeptEvent = ReceivedEvent & { readonly takenAs: string };

async function takeAs(fact: Fact, upstreamId: string, event: KeptEvent, before: Acted): Promise<Result<Step>> {
  const applied = await applyEvent(fact, upstreamId, event, before);
  if (applied.partly !== undefined) return accept({ kind: "partly", acted: applied.partly });
  const { takenAs: event_id, change, sequence = null } = event;
  const answer = { event_id, ...applied.answer };
  await saveEvent(fact, { upstream_id: upstreamId, event_id, ...subjectOf(event), change, sequence }, answer);
  return accept({ kind: "taken", answer });
}

function subjectOf({ dataset_id, content_id, jti }: ReceivedEvent): Subject {
  return { dataset_id, content_id: content_id ?? null, jti: jti ?? null };
}

function isSameMessage(row: UpstreamEventRow, event: ReceivedEvent): boolean {
  const { dataset_id, content_id, jti } = subjectOf(event);
  return (
    row.change === event.change && row.dataset_id === dataset_id && row.content_id === content_id && row.jti === jti
  );
}

/** No upstream can send this id: it is no identifier. */
function contradictingId(event: ReceivedEvent): string {
  const said = canonicalize({ ...subjectOf(event), change: event.change });
  return `${event.event_id}:${sha256Hex(said).slice(0, 16)}`;
}

function refuseContradiction({ event_id, change }: ReceivedEvent): Result<never> {
  const done = REFUSING_CHANGES.includes(change) ? "it was carried out all the same" : "nothing was changed";
  return refuse("conflict", `${event_id} was taken before and said something else than ${change} of this; ${done}`);
}

type Answered = Omit<EventAnswer, "event_id">;

/** What came of it; or what was let go so far, when there is more. */
type Applied =
  | { readonly answer: Answered; readonly partly?: undefined }
  | { readonly answer?: undefined; readonly partly: Acted };

async function applyEvent(fact: Fact, upstreamId: string, event: ReceivedEvent, before: Acted): Promise<Applied> {
  if (event.change !== "resumed") return { answer: await applyOther(fact, upstreamId, event) };
  const subject = subjectOf(event);
  const { sequence } = event;
  const isOld = sequence !== undefined && (await isOutdated(fact.trx, upstreamId, subject, sequence));
  if (isOld) return { answer: { ...NOTHING, effect: "outdated" } };
  const held = { holder: holderOf(upstreamId, subject), isPrefix: false, limit: LET_GO_AT_ONCE };
  const { isComplete, ...acted } = await letGoHeld(fact, held, actorFor(upstreamId, event));
  const all = {
    jtis: [...before.jtis, ...acted.jtis],
    contentIds: [...before.contentIds, ...acted.contentIds],
    datasets: [
      ...new Map([...before.datasets, ...acted.datasets].map((dataset) => [dataset.dataset_id, dataset])).values(),
    ],
  };
  if (!isComplete) return { partly: all };
  return { answer: answerOf(all, isAnything(await readMeant(fact, upstreamId, subject)), "resumed") };
}

function actorFor(upstreamId: string, { change }: ReceivedEvent): Actor {
  return { by: actorOf({ kind: "upstream", upstreamId }), reason: `upstream_${change}` };
}

async function applyOther(fact: Fact, upstreamId: string, event: ReceivedEvent): Promise<Answered> {
  const { change } = event;
  const subject = subjectOf(event);
  const actor = actorFor(upstreamId, event);
  if (!REFUSING_CHANGES.includes(change)) return { ...NOTHING, effect: "noted" };
  const meant = await readMeant(fact, upstreamId, subject);
  if (!isAnything(meant)) return { ...NOTHING, effect: "not_mapped" };
  if (change === "suspended") {
    const side = { ...actor, holder: holderOf(upstreamId, subject) };
    return answerOf(await holdNamed(fact, meant, side), true, "suspended");
  }
  const { jtis, contentIds, datasets } = await takeBackNamed(fact, meant, actor);
  return {
    ...NOTHING,
    effect: "applied",
    revoked_jtis: jtis.slice(0, MAX_NAMED),
    withdrawn_content_ids: contentIds.slice(0, MAX_NAMED),
    changed_count: jtis.length + contentIds.length,
    datasets: datasets.slice(0, MAX_NAMED),
  };
}

function answerOf({ jtis, contentIds, datasets }: Acted, isOurs: boolean, verb: "suspended" | "resumed"): Answered {
  const ids = [...jtis, ...contentIds];
  const named = ids.slice(0, MAX_NAMED);
  return {
    ...NOTHING,
    effect: isOurs || ids.length > 0 ? "applied" : "not_mapped",
    ...(verb === "suspended" ? { suspended_ids: named } : { resumed_ids: named }),
    changed_count: ids.length,
    datasets: datasets.slice(0, MAX_NAMED),
  };
}

/** A message that names neither a work nor a consent is about every work of the dataset; one that names both is about both. */
async function readMeant(fact: Fact, upstreamId: string, { dataset_id, content_id, jti }: Subject): Promise<Named> {
  const { trx } = fact;
  const works = (column: Parameters<typeof readMeantWorks>[2]["column"], value: string) =>
    readMeantWorks(trx, upstreamId, { column, value });
  if (content_id === null && jti === null)
    return { jtis: [], contentIds: await works("upstream_dataset_id", dataset_id) };
  return {
    jtis: jti === null ? [] : await readMeantConsents(trx, upstreamId, jti),
    contentIds: [
      ...(content_id === null ? [] : await works("upstream_content_id", content_id)),
      ...(jti === null ? [] : await works("upstream_jti", jti)),
    ],
  };
}

function isAnything({ jtis, contentIds }: Named): boolean {
  return jtis.length + contentIds.length > 0;
}

/** One hold for each thing that an upstream suspends in each of its datasets: it tells of each in an order of its own. */
function holderOf(upstreamId: string, { dataset_id, content_id, jti }: Subject): `upstream:${string}` {
  return `upstream:${[upstreamId, dataset_id, content_id, jti].filter((part) => part !== null).join("/")}`;
}
