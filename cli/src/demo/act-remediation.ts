import { formatMoney, identifier, listOf, objectOf, parseMicros, textUpTo } from "@licet/protocol";
import { claim, orFail } from "../command-error.ts";
import { call } from "../call-api.ts";
import type { Consenting } from "./act-consent.ts";
import type { OfferedDataset } from "./act-dataset.ts";
import { clientOf } from "./act-license.ts";
import type { Narrator } from "./narrate.ts";
import type { Stage } from "./start-processes.ts";

const CASE = objectOf({
  case_id: identifier,
  state: textUpTo(16),
  marketplace_id: identifier,
  model_id: textUpTo(256),
  currency: textUpTo(3),
});
const CASES = objectOf({ remediations: listOf(CASE, { max: 1_000 }) });
const ACCOUNTS = objectOf({
  accounts: listOf(objectOf({ balance_micros: textUpTo(64), currency: textUpTo(3) }), { max: 200 }),
});
const OFFER_MICROS = "250000";

type Case = ReturnType<typeof CASE>;

/** What a model has learned stays learned: the terms promise that both sides talk about it. */
export async function actRemediation(
  stage: Stage,
  dataset: OfferedDataset,
  creator: Consenting,
  narrator: Narrator,
): Promise<void> {
  narrator.heading("What cannot be undone");
  const found = await findCase(creator, narrator);
  const offered = await narrator.step(
    async () =>
      orFail(
        await clientOf(stage, dataset).offerRemediation(found.case_id, {
          amount_micros: OFFER_MICROS,
          currency: found.currency,
          text: "The model stays in use; this is what we offer for that.",
        }),
        1,
      ),
    ({ amount_micros }) =>
      `The marketplace, which sees the case but not whose it is, offers ${formatMoney(parseMicros(amount_micros) ?? 0n, found.currency)}.`,
  );
  await accept(creator, found, offered.offer_id, narrator);
}

function findCase({ name, client }: Consenting, narrator: Narrator): Promise<Case> {
  return narrator.step(
    async () => {
      const { remediations } = await call(client, { method: "GET", path: "/api/v1/remediations" }, CASES);
      const [only] = remediations;
      claim(
        only !== undefined && remediations.length === 1 && only.state === "open",
        `expected one open case, got ${remediations.length}`,
      );
      return only;
    },
    ({ case_id, model_id }) =>
      `${model_id} has learned from ${name}'s works already, and cannot unlearn them. The terms promise a case for that, and the revocation opened one: ${case_id}.`,
  );
}

async function accept(
  { name, client }: Consenting,
  { case_id, currency }: Case,
  offerId: string,
  narrator: Narrator,
): Promise<void> {
  const balance = async (): Promise<bigint> => {
    const { accounts } = await call(client, { method: "GET", path: "/api/v1/ledger/accounts" }, ACCOUNTS);
    return -(parseMicros(accounts.find((account) => account.currency === currency)?.balance_micros ?? "0") ?? 0n);
  };
  await narrator.step(
    async () => {
      const before = await balance();
      const path = `/api/v1/remediations/${case_id}/offers/${offerId}/accept`;
      const { state } = await call(client, { method: "POST", path }, CASE);
      const after = await balance();
      claim(
        state === "accepted" && after - before === BigInt(OFFER_MICROS),
        `expected the case to be accepted and ${OFFER_MICROS} micro-units more, got ${state} and ${after - before}`,
      );
      return after;
    },
    (after) =>
      `${name} accepts. The case is closed, the compensation is in the ledger, and ${name}'s balance is ${formatMoney(after, currency)}.`,
  );
}
