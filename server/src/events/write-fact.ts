import type { Refusal, Result } from "@licet/protocol";
import type { Context } from "../context.ts";
import type { Trx } from "../db/open-database.ts";
import type { DocumentRenderer } from "../documents/documents.ts";
import {
  type KeptFact,
  type KeptGrant,
  type KeptHold,
  type KeptMapping,
  type KeptStatus,
  isRefusing,
  journalText,
} from "./journal-entry.ts";
import { carriedOutMark } from "./held-request.ts";
import type { RunningSpan } from "../telemetry/tracing.ts";
import { insertJournalRow } from "./journal-store.ts";
import { isRefusalEvent } from "./event-jobs.ts";
import { type NamedEvent, type NewEvent, insertEvents, newEventId } from "./store.ts";

/** What an operation does inside the one transaction of its fact. */
export interface Fact {
  readonly ctx: Context;
  readonly trx: Trx;
  /** Seconds since the epoch: the one instant at which all of this happens. */
  readonly now: number;
  /** Has an event appended, and the jobs sent that it causes, once all rows are written. Answers its id. */
  readonly record: (event: NewEvent) => string;
  /** What was recorded so far, oldest first. */
  readonly recorded: () => readonly NamedEvent[];
  /** Has something done after that and before the documents are rendered, so that what it locks is held for a short time only. */
  readonly beforeDocuments: (action: () => Promise<void>) => void;
  /** Has a document rendered and signed once all rows are written, just before the commit. */
  readonly publish: (path: string, render: DocumentRenderer) => void;
  /** Has it written to the journal beside the backups what a restore needs to refuse this again. */
  readonly keep: (kept: Partial<KeptFact>) => void;
  /** Has something done in memory once, and only if, the transaction is committed. */
  readonly afterCommit: (action: () => void) => void;
}

/** A transaction that lost against another one is tried this often. */
const MAX_ATTEMPTS = 8;
/**
 * serialization_failure, deadlock_detected, and unique_violation: somebody wrote the same first,
 * between our look and our insert. The next look finds it, and says what there is to say.
 */
const RETRYABLE = new Set(["40001", "40P01", "23505"]);

/**
 * Writes one fact: the slice's rows, its events, the documents that carry it and the jobs it
 * causes commit together or not at all. When this answers, the documents in memory say so too, and
 * what it refused is in the journal.
 * A refusal rolls everything back.
 *
 * Everybody takes locks in the one order that docs/architecture.md lists ("A fact").
 */
export async function writeFact<T>(ctx: Context, work: (fact: Fact) => Promise<Result<T>>): Promise<Result<T>> {
  return ctx.tracing.within({ name: "fact" }, (span) => writeUntilDone(ctx, work, span));
}

async function writeUntilDone<T>(
  ctx: Context,
  work: (fact: Fact) => Promise<Result<T>>,
  span: RunningSpan,
): Promise<Result<T>> {
  const startedMs = performance.now();
  for (let attempt = 1; ; attempt += 1) {
    try {
      const { result, isRefusing } = await writeOnce(ctx, work);
      ctx.metrics.factWritten({ isRefusing, seconds: (performance.now() - startedMs) / 1_000 });
      span.note({ "licet.fact.refusing": isRefusing, "licet.fact.attempts": attempt });
      return result;
    } catch (error) {
      if (error instanceof Refused) {
        span.note({ "licet.refusal": error.refusal.code });
        return { ok: false, refusal: error.refusal };
      }
      if (attempt >= MAX_ATTEMPTS || !isRetryable(error)) throw error;
      ctx.log.debug({ attempt }, "a transaction lost against another one and is tried again");
    }
  }
}

/** Carries a refusal out of the transaction, which is thereby rolled back. */
class Refused extends Error {
  readonly refusal: Refusal;
  constructor(refusal: Refusal) {
    super(refusal.code);
    this.refusal = refusal;
  }
}

interface WrittenFact<T> {
  readonly result: Result<T>;
  readonly isRefusing: boolean;
}

async function writeOnce<T>(ctx: Context, work: (fact: Fact) => Promise<Result<T>>): Promise<WrittenFact<T>> {
  const atMs = ctx.clock.nowMs();
  const now = Math.floor(atMs / 1_000);
  const afterCommit: (() => void)[] = [];
  const { result, documents, journal, refusals } = await ctx.db.transaction().execute(async (trx) => {
    const renderers = new Map<string, DocumentRenderer>();
    const events: NamedEvent[] = [];
    const beforeDocuments: (() => Promise<void>)[] = [];
    const statuses: KeptStatus[] = [];
    const grants: KeptGrant[] = [];
    const holds: KeptHold[] = [];
    const mappings: KeptMapping[] = [];
    const fact: Fact = {
      ctx,
      trx,
      now,
      record: (event) => {
        const id = newEventId(atMs);
        events.push({ ...event, id });
        return id;
      },
      recorded: () => events,
      beforeDocuments: (action) => void beforeDocuments.push(action),
      publish: (path, render) => void renderers.set(path, render),
      keep: (kept) => {
        statuses.push(...(kept.statuses ?? []));
        grants.push(...(kept.grants ?? []));
        holds.push(...(kept.holds ?? []));
        mappings.push(...(kept.mappings ?? []));
      },
      afterCommit: (action) => void afterCommit.push(action),
    };
    const outcome = await work(fact);
    if (!outcome.ok) throw new Refused(outcome.refusal);
    await recordEvents(ctx, trx, events, atMs);
    for (const action of beforeDocuments) await action();
    const entry = journalText(
      events.map(({ id, ...event }) => ({ id, event })),
      { statuses, grants, holds, mappings },
      atMs,
    );
    const row = entry === undefined ? undefined : await insertJournalRow(trx, { atMs, entry });
    const journal = {
      rows: row === undefined ? [] : [row],
      isRefusing: isRefusing(events, { statuses, holds }),
    };
    const documents = await ctx.documents.write(trx, renderers, now);
    // Last, so that its row is held for a moment only.
    const marked = await carriedOutMark()?.(trx, { hasEvents: events.length > 0 });
    if (marked?.ok === false) throw new Refused(marked.refusal);
    const refusals = events.filter((event) => isRefusalEvent(event.type)).map((event) => event.id);
    return { result: outcome, documents, journal, refusals };
  });
  ctx.commits.note(refusals);
  ctx.documents.remember(documents.documents, documents.generation);
  for (const action of afterCommit) action();
  ctx.sequencer.wake();
  // What refuses nothing is in the journal so that it can be missed: nobody waits for the disk for that.
  const appended = ctx.journal.append(journal.rows);
  if (journal.isRefusing) await appended;
  return { result, isRefusing: journal.isRefusing };
}

async function recordEvents(ctx: Context, trx: Trx, events: readonly NamedEvent[], atMs: number): Promise<void> {
  if (events.length === 0) return;
  const { work } = await insertEvents(trx, events, atMs);
  for (const [queue, jobs] of Map.groupBy(work, (entry) => entry.queue))
    await ctx.jobs.send(
      trx,
      queue,
      jobs.map((job) => ({ event_id: job.event_id })),
    );
}

function isRetryable(error: unknown): boolean {
  return error instanceof Error && "code" in error && typeof error.code === "string" && RETRYABLE.has(error.code);
}
