import type { JsonObject } from "@licet/protocol";
import { monotonicFactory } from "ulid";
import type { Fact } from "../events/write-fact.ts";
import type { TrainedModel } from "../models/lookup.ts";
import { type CaseRow, type GroundRow, insertCases, insertGrounds, lockUnderWay } from "./store.ts";

export const nextUlid = monotonicFactory();

/** What tells one case from another while it is under way. */
type CaseName = Pick<CaseRow, "creator_id" | "marketplace_id" | "dataset_id" | "license_id" | "model_fingerprint">;

function nameOf({ creator_id, marketplace_id, dataset_id, license_id, model_fingerprint }: CaseName): string {
  return [creator_id, marketplace_id, dataset_id, license_id, model_fingerprint].join(" ");
}

/**
 * Opens in this fact the cases that terms promise: one for each creator, marketplace, license and
 * model that has learned from what was just taken back. What joins a case that is under way is added
 * to it. Answers the ids of the cases.
 */
export async function openCases(fact: Fact, models: readonly TrainedModel[]): Promise<readonly string[]> {
  const promised = models.filter((model) => model.is_promised);
  if (promised.length === 0) return [];
  const underWay = await lockUnderWay(fact.trx, {
    creatorIds: [...new Set(promised.map((model) => model.creator_id))],
    datasetIds: [...new Set(promised.map((model) => model.dataset_id))],
  });
  const known = new Map(underWay.map((row) => [nameOf(row), row]));
  const opened = promised.filter((model) => !known.has(nameOf(model))).map((model) => caseOf(fact, model));
  await insertCases(fact.trx, opened);
  const cases = new Map([...known, ...opened.map((row): [string, CaseRow] => [nameOf(row), row])]);
  const grounds = promised.flatMap((model) => groundsOf(fact, cases.get(nameOf(model)), model));
  await insertGrounds(fact.trx, grounds);
  for (const row of opened) recordStep(fact, row, "opened", { due_at: row.due_at, receipts: row.receipts });
  const extended = promised.flatMap((model) => known.get(nameOf(model)) ?? []);
  for (const row of extended) recordStep(fact, row, "extended", {});
  return [...opened, ...extended].map((row) => row.case_id);
}

function caseOf({ ctx, now }: Fact, model: TrainedModel): CaseRow {
  const { creator_id, marketplace_id, dataset_id, license_id, model_id, model_fingerprint, currency, receipts } = model;
  return {
    case_id: `rem_${nextUlid(now * 1_000)}`,
    creator_id,
    marketplace_id,
    dataset_id,
    license_id,
    model_id,
    model_fingerprint,
    currency,
    receipts,
    last_use_at: model.last_to,
    state: "open",
    opened_at: now,
    due_at: now + ctx.config.money.remediationSeconds,
    overdue_at: null,
    ended_at: null,
    ended_by: null,
    reason: null,
    transaction_id: null,
  };
}

function groundsOf({ now }: Fact, row: CaseRow | undefined, { grounds }: TrainedModel): readonly GroundRow[] {
  if (row === undefined) throw new TypeError("expected a case for what was promised");
  return grounds.map((ground): GroundRow => {
    const [kind, ...id] = ground.split(":");
    return { case_id: row.case_id, kind: kind === "work" ? "work" : "consent", id: id.join(":"), at: now };
  });
}

/** A step in a case. */
export type Step =
  | "opened"
  | "extended"
  | "messaged"
  | "offered"
  | "offer-ended"
  | "declined"
  | "compensated"
  | "overdue"
  | "closed";

/** Has an event for a step: both sides and the case's state then, and no free text. */
export function recordStep(fact: Fact, row: CaseRow, step: Step, members: JsonObject): void {
  const { case_id, creator_id, marketplace_id, dataset_id, license_id, model_fingerprint, state } = row;
  fact.record({
    type: `remediation.${step}`,
    aggregate: case_id,
    body: {
      case_id,
      creator_id,
      marketplace_id,
      dataset_id,
      ...(license_id === "" ? {} : { license_id }),
      model_fingerprint,
      state,
      at: fact.now,
      ...members,
    },
  });
}
