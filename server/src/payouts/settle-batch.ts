import { type Offence, type Result, accept, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { writeFact } from "../events/write-fact.ts";
import { type Settlement, settle } from "./settle-payout.ts";
import { type PayoutRow, findBatch, holdRows } from "./store.ts";

/** What the operator's bank said of one line. */
export interface BankAnswer {
  readonly payout_id: string;
  readonly outcome: "paid" | "failed" | "returned";
  readonly reason?: string | undefined;
}

/**
 * Settles payouts of a batch by what the operator knows of them: all of them, or none when one
 * cannot be. The same answer again changes nothing.
 *
 * Refuses `input_invalid` naming what is answered twice, `not_found`, and `payout_settled` naming
 * each payout that cannot be settled like that.
 */
export async function settleBatch(
  ctx: Context,
  batchId: string,
  { answers, by }: { readonly answers: readonly BankAnswer[]; readonly by: string },
): Promise<Result<true>> {
  const repeated = repeatedAnswers(answers);
  if (repeated.length > 0)
    return refuse("input_invalid", "expected one answer for each payout, got several for one", repeated);
  return writeFact<true>(ctx, async (fact) => {
    if ((await findBatch(fact.trx, batchId)) === undefined)
      return refuse("not_found", `there is no payout batch ${batchId}`);
    const rows = new Map(
      (
        await holdRows(
          fact.trx,
          answers.map((answer) => answer.payout_id),
        )
      ).map((row) => [row.payout_id, row]),
    );
    const offences = answers.flatMap((answer, index) =>
      wrongAnswer(answer, index, rows.get(answer.payout_id), batchId),
    );
    if (offences.length > 0)
      return refuse("payout_settled", `${offences.length} of ${answers.length} payouts cannot be settled`, offences);
    for (const answer of answers) {
      const row = rows.get(answer.payout_id);
      if (row === undefined) continue;
      const settled = await settle(fact, row, settlementOf(answer, row, by));
      if (!settled.ok) return settled;
    }
    return accept(true);
  });
}

/** Two answers for one payout would both be taken for the state that it had before them. */
function repeatedAnswers(answers: readonly BankAnswer[]): readonly Offence[] {
  const first = new Map(answers.map(({ payout_id }, index): [string, number] => [payout_id, index]).toReversed());
  return answers.flatMap(({ payout_id }, index) =>
    first.get(payout_id) === index
      ? []
      : [
          {
            at: `body.payouts.${index}.payout_id`,
            code: "input_invalid",
            detail: `${payout_id} is answered at body.payouts.${first.get(payout_id)} already`,
          },
        ],
  );
}

/** In which states the operator's word is taken: a payout that the sender still works on is not theirs to settle. */
const SETTLED_FROM: Readonly<Record<BankAnswer["outcome"], readonly PayoutRow["state"][]>> = {
  paid: ["sent", "unknown", "paid"],
  failed: ["sent", "unknown", "failed"],
  returned: ["paid", "returned"],
};

function wrongAnswer(
  { payout_id, outcome }: BankAnswer,
  index: number,
  row: PayoutRow | undefined,
  batchId: string,
): readonly Offence[] {
  const at = `body.payouts.${index}`;
  if (row === undefined || row.batch_id !== batchId)
    return [{ at, code: "not_found", detail: `there is no payout ${payout_id} in ${batchId}` }];
  const states = SETTLED_FROM[outcome];
  if (states.includes(row.state) || arrivedLate(row, outcome)) return [];
  return [
    {
      at,
      code: "payout_settled",
      detail: `expected ${payout_id} to be ${states.join(" or ")}, got one that is ${row.state}`,
    },
  ];
}

/** A transfer that was given up and arrived after all. Of Stripe's, Stripe itself says so. */
function arrivedLate({ adapter, state }: PayoutRow, outcome: BankAnswer["outcome"]): boolean {
  return adapter === "csv" && state === "failed" && outcome === "paid";
}

function settlementOf({ outcome, reason }: BankAnswer, row: PayoutRow, by: string): Settlement {
  const why = reason ?? "the bank gave no reason";
  switch (outcome) {
    case "paid":
      return { outcome, externalId: undefined, by };
    case "failed":
      return { outcome, reason: why, by };
    case "returned":
      return { outcome, returnedMicros: row.amountMicros, reason: why, by };
  }
}
