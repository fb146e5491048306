import { type ReceivedEvent, REFUSING_CHANGES, type Result, accept } from "@licet/protocol";
import type { Context } from "../context.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { actorOf } from "../http/principal.ts";
import { type Acted, type Named, holdNamed, letGoHeld, takeBackNamed } from "../revocations/act-for-upstream.ts";
import { type Subject, findEvent, insertEvent, isOutdated } from "./event-store.ts";
import { lockLiving } from "./register-upstream.ts";
import type { VerifiedEvent } from "./verify-event.ts";
import { readMeantConsents, readMeantWorks } from "./work-store.ts";

/** What became of an event; the same event again is answered with the same. */
export interface EventAnswer {
  readonly event_id: string;
  /**
   * `applied`: it is about something of ours; `not_mapped`: about nothing of ours; `outdated`: something
   * newer was taken before; `noted`: it changes nothing here.
   */
  readonly effect: "applied" | "not_mapped" | "outdated" | "noted";
  /** What changed by it. The first {@link MAX_NAMED} of each are named; the counts are of all. */
  readonly revoked_jtis: readonly string[];
  readonly withdrawn_content_ids: readonly string[];
  readonly suspended_ids: readonly string[];
  readonly resumed_ids: readonly string[];
  readonly changed_count: number;
  readonly datasets: readonly { readonly dataset_id: string; readonly status: string }[];
}

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

/**
 * Takes a verified event of an upstream: what it takes back falls here in the same fact, everything
 * that is mapped to it. A suspension is held for the upstream and for just what it named, so that
 * lifting one thing lifts no other. An event older than what was taken about the same changes
 * nothing, unless it refuses.
 *
 * Refuses `upstream_ended`.
 */
export async function acceptUpstreamEvent(
  ctx: Context,
  { upstream: { upstream_id: upstreamId }, event }: VerifiedEvent,
): Promise<Result<EventAnswer>> {
  return writeFact<EventAnswer>(ctx, async (fact) => {
    const upstream = await lockLiving(fact, upstreamId);
    if (!upstream.ok) return upstream;
    const before = await findEvent(fact.trx, upstreamId, event.event_id);
    if (before !== undefined) return accept(JSON.parse(before.answer));
    const answer = { event_id: event.event_id, ...(await applyEvent(fact, upstreamId, event)) };
    const { dataset_id, content_id = null, jti = null, change, sequence = null } = event;
    const subject = { dataset_id, content_id, jti };
    await insertEvent(fact.trx, {
      upstream_id: upstreamId,
      event_id: event.event_id,
      ...subject,
      change,
      sequence,
      received_at: fact.now,
      answer: JSON.stringify(answer),
    });
    fact.record({
      type: "upstream.event-accepted",
      aggregate: upstreamId,
      body: {
        upstream_id: upstreamId,
        event_id: event.event_id,
        ...subject,
        change,
        effect: answer.effect,
        changed_count: answer.changed_count,
        at: fact.now,
      },
    });
    return accept(answer);
  });
}

type Applied = Omit<EventAnswer, "event_id">;

async function applyEvent(fact: Fact, upstreamId: string, event: ReceivedEvent): Promise<Applied> {
  const { dataset_id, content_id = null, jti = null, change, sequence } = event;
  const subject = { dataset_id, content_id, jti };
  const actor = { by: actorOf({ kind: "upstream", upstreamId }), reason: `upstream_${change}` };
  if (change === "resumed") {
    const isOld = sequence !== undefined && (await isOutdated(fact.trx, upstreamId, subject, sequence));
    if (isOld) return { ...NOTHING, effect: "outdated" };
    const acted = await letGoHeld(fact, { holder: holderOf(upstreamId, subject), isPrefix: false }, actor);
    return answerOf(acted, isAnything(await readMeant(fact, upstreamId, subject)), "resumed");
  }
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

function answerOf({ jtis, contentIds, datasets }: Acted, isOurs: boolean, verb: "suspended" | "resumed"): Applied {
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
