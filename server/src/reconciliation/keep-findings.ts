import { accept } from "@licet/protocol";
import { ulid } from "ulid";
import type { Context } from "../context.ts";
import { readOwnJson } from "../db/own-json.ts";
import type { FindingKind } from "../db/reporting-tables.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { type Cause, MAX_CAUSES } from "./cause-store.ts";
import {
  type FindingRow,
  closeFindings,
  countStanding,
  holdFindings,
  holdUnseen,
  insertFindings,
  seeFindings,
} from "./store.ts";

/** What a run made of one kind. */
export interface KindOutcome {
  /** Causes that are there now. */
  readonly found: number;
  readonly opened: number;
  readonly closed: number;
  /** False when there are more than were taken in. */
  readonly is_complete: boolean;
}

/** Kinds whose causes are there for good: only new ones are looked for, and nobody but a person ends a finding. */
const LASTING: readonly FindingKind[] = ["receipt_without_license"];

/** Findings that are written in one fact. */
const BATCH = 500;

/** Opens a finding for each cause that has none, opens anew those whose cause is back, and closes those whose cause is gone. */
export async function keepFindings(
  ctx: Context,
  { kind, causes, runId }: { readonly kind: FindingKind; readonly causes: readonly Cause[]; readonly runId: string },
): Promise<KindOutcome> {
  const taken = causes.slice(0, MAX_CAUSES);
  const isComplete = taken.length === causes.length;
  let opened = 0;
  for (let at = 0; at < taken.length; at += BATCH)
    opened += await inFact(ctx, (fact) => see(fact, { kind, causes: taken.slice(at, at + BATCH), runId }));
  if (LASTING.includes(kind))
    return { found: await countStanding(ctx.db, kind), opened, closed: 0, is_complete: isComplete };
  let closed = 0;
  for (;;) {
    const upTo = isComplete ? undefined : taken.at(-1)?.subject;
    const gone = await inFact(ctx, (fact) => closeUnseen(fact, { kind, runId, upTo }));
    closed += gone;
    if (gone < BATCH) return { found: taken.length, opened, closed, is_complete: isComplete };
  }
}

async function inFact(ctx: Context, work: (fact: Fact) => Promise<number>): Promise<number> {
  const written = await writeFact(ctx, async (fact) => accept(await work(fact)));
  if (!written.ok) throw new TypeError(`expected findings to be written: ${written.refusal.detail}`);
  return written.value;
}

/** Answers how many were opened. */
async function see(
  fact: Fact,
  { kind, causes, runId }: { readonly kind: FindingKind; readonly causes: readonly Cause[]; readonly runId: string },
): Promise<number> {
  const { ctx, trx, now } = fact;
  const known = new Map(
    (
      await holdFindings(
        trx,
        kind,
        causes.map((cause) => cause.subject),
      )
    ).map((row) => [row.subject, row]),
  );
  const added = causes.filter((cause) => !known.has(cause.subject));
  const rows = added.map(({ subject, detail }) => ({
    finding_id: `fnd_${ulid(ctx.clock.nowMs())}`,
    kind,
    subject,
    state: "open" as const,
    detail,
    first_opened_at: now,
    opened_at: now,
    last_seen_at: now,
    seen_in: runId,
    times_opened: 1,
  }));
  const seen = causes.flatMap(({ subject, detail }) => {
    const row = known.get(subject);
    return row === undefined ? [] : [{ ...row, detail }];
  });
  await insertFindings(trx, rows);
  await seeFindings(trx, seen, { now, runId });
  const opened = [...rows, ...seen.filter((row) => row.state === "closed")];
  for (const row of opened) record(fact, "finding.opened", row);
  return opened.length;
}

/** Answers how many were closed. */
async function closeUnseen(
  fact: Fact,
  { kind, runId, upTo }: { readonly kind: FindingKind; readonly runId: string; readonly upTo: string | undefined },
): Promise<number> {
  const gone = await holdUnseen(fact.trx, { kind, runId, upTo, limit: BATCH });
  if (gone.length === 0) return 0;
  await closeFindings(
    fact.trx,
    gone.map((row) => row.finding_id),
    fact.now,
  );
  for (const row of gone) record(fact, "finding.closed", row);
  return gone.length;
}

function record(
  fact: Fact,
  type: "finding.opened" | "finding.closed",
  { finding_id, kind, subject, detail }: Pick<FindingRow, "finding_id" | "kind" | "subject" | "detail">,
): void {
  const body = { finding_id, kind, subject, detail: readOwnJson(detail, finding_id) };
  fact.record({ type, aggregate: finding_id, body });
}
