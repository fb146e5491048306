import { count, formatMoney, listOf, objectOf, parseMicros, textUpTo } from "@licet/protocol";
import { type Consenting, operatorOf } from "./act-consent.ts";
import type { OfferedDataset } from "./act-dataset.ts";
import { wrap } from "../terminal.ts";
import { call } from "../call-api.ts";
import { claim } from "../command-error.ts";
import type { Narrator } from "./narrate.ts";
import type { Stage } from "./start-processes.ts";

const ENTRY = objectOf({
  entry_id: count,
  account: objectOf({ kind: textUpTo(32), owner: textUpTo(300) }),
  amount_micros: textUpTo(64),
  currency: textUpTo(3),
});
const TRANSACTION = objectOf({ transaction_id: textUpTo(64), entries: listOf(ENTRY, { max: 1_000 }) });
const EXPLANATION = objectOf({
  amount: textUpTo(64),
  steps: listOf(objectOf({ says: textUpTo(2_048) }), { max: 200 }),
});
const STATEMENT = objectOf({
  period: textUpTo(16),
  state: textUpTo(16),
  currencies: listOf(objectOf({ currency: textUpTo(3), credited_micros: textUpTo(64), closing_micros: textUpTo(64) }), {
    max: 200,
  }),
});

type Entry = ReturnType<typeof ENTRY>;

/** What the version earned is shared out, and one creator is told how their amount came to be. */
export async function actMoney(
  stage: Stage,
  dataset: OfferedDataset,
  creators: readonly Consenting[],
  narrator: Narrator,
): Promise<void> {
  narrator.heading("Money: from the price to each creator");
  const entries = await shareOut(stage, dataset, creators, narrator);
  const creator = creators[1] ?? creators[0];
  const entry = entries.find(({ account }) => account.kind === "creator" && account.owner === creator?.creatorId);
  claim(creator !== undefined && entry !== undefined, "expected an amount for every creator, got none for one of them");
  await explain(creator, entry, narrator);
  await readStatement(creator, entry, narrator);
}

function microsOf({ amount_micros }: Pick<Entry, "amount_micros">): bigint {
  return parseMicros(amount_micros) ?? 0n;
}

function shareOut(
  stage: Stage,
  { dataset_id, version }: OfferedDataset,
  creators: readonly Consenting[],
  narrator: Narrator,
): Promise<readonly Entry[]> {
  const path = `/api/v1/ledger/pools/${dataset_id}/${version}/split`;
  return narrator.step(
    async () => {
      const { entries } = await call(operatorOf(stage), { method: "POST", path }, TRANSACTION);
      const sum = entries.reduce((total, entry) => total + microsOf(entry), 0n);
      const shared = entries.filter(({ account }) => account.kind === "creator");
      claim(
        sum === 0n && shared.length === creators.length,
        `expected shares for ${creators.length} creators that add up to 0 with the rest, got ${shared.length} and ${sum}`,
      );
      return entries;
    },
    (entries) => {
      const shown = (kind: string, owner?: string): string => {
        const entry = entries.find(
          ({ account }) => account.kind === kind && (owner ?? account.owner) === account.owner,
        );
        const size = entry === undefined ? 0n : microsOf(entry);
        return formatMoney(size < 0n ? -size : size, entry?.currency ?? "USD");
      };
      const each = creators.map(({ name, creatorId }) => `${name} ${shown("creator", creatorId)}`).join(", ");
      return `The receipt is worth ${shown("pool")}. The month's close would share it out; the operator does it now: ${shown("platform_fee")} for the platform, ${each}. The entries add up to zero, which the database itself sees to.`;
    },
  );
}

async function explain({ name, client }: Consenting, { entry_id }: Entry, narrator: Narrator): Promise<void> {
  const path = `/api/v1/ledger/entries/${entry_id}/explanation`;
  const { steps } = await narrator.step(
    () => call(client, { method: "GET", path }, EXPLANATION),
    ({ amount }) => `${name} asks how ${amount.replace("-", "")} came to be, and is told step by step:`,
  );
  const wrapped = steps.map(({ says }, index) =>
    wrap(`${index + 1}. ${says}`, { width: narrator.columns - 2, indent: "   " }),
  );
  narrator.quote(wrapped.join("\n"));
}

async function readStatement({ name, client, creatorId }: Consenting, entry: Entry, narrator: Narrator): Promise<void> {
  const month = new Date().toISOString().slice(0, "2026-11".length);
  const path = `/api/v1/creators/${encodeURIComponent(creatorId)}/statements/${month}`;
  await narrator.step(
    async () => {
      const { currencies, state } = await call(client, { method: "GET", path }, STATEMENT);
      const [first] = currencies;
      claim(
        first !== undefined && parseMicros(first.credited_micros) === -microsOf(entry),
        `expected a statement with ${-microsOf(entry)} micro-units, got ${first?.credited_micros ?? "an empty one"}`,
      );
      return { ...first, state };
    },
    ({ closing_micros, currency, state }) =>
      `${name}'s statement for ${month} (${state}, since the month goes on): ${formatMoney(parseMicros(closing_micros) ?? 0n, currency)}, also as CSV.`,
  );
}
