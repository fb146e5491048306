import { z } from "@hono/zod-openapi";
import { ValidationErrorsIBAN, validateIBAN } from "ibantools";
import { type Result, accept, formatInstant, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { findCreator } from "../creators/lookup.ts";
import { readOwnJson } from "../db/own-json.ts";
import { BY_RESTORE } from "../events/journal-entry.ts";
import { writeFact } from "../events/write-fact.ts";
import { type Principal, actorOf } from "../http/principal.ts";
import { adapterOf } from "./adapters.ts";
import type { PayoutDestination } from "./payout-adapter.ts";
import { type DetailsRow, deleteDetails, readDetails, saveDetails } from "./store.ts";

const MAX_HOLDER = 140;

const lineSchema = (what: string) =>
  z
    .string()
    .trim()
    .min(1)
    .max(MAX_HOLDER)
    .refine((text) => text.isWellFormed() && !/\p{Cc}/u.test(text), `expected ${what} without control characters`);

/** Two letters and two digits: no country's own account numbers begin like that. */
const IBAN_LIKE = /^[A-Za-z]{2}\d{2}/;

const IBAN_FAULTS: readonly (readonly [ValidationErrorsIBAN, string])[] = [
  [ValidationErrorsIBAN.NoIBANCountry, "no country with IBANs has this code"],
  [ValidationErrorsIBAN.WrongBBANLength, "it is too long or too short for its country"],
  [ValidationErrorsIBAN.WrongBBANFormat, "it is not made as its country's are"],
  [ValidationErrorsIBAN.WrongIBANChecksum, "its check digits do not fit"],
  [ValidationErrorsIBAN.WrongAccountBankBranchChecksum, "the check digits of its account do not fit"],
];

/** What is wrong with a text that begins like an IBAN (ISO 13616); undefined of any other text. */
function wrongIban(account: string): string | undefined {
  if (!IBAN_LIKE.test(account)) return undefined;
  const { valid, errorCodes } = validateIBAN(account.toUpperCase());
  if (valid) return undefined;
  const [, fault = "it is malformed"] = IBAN_FAULTS.find(([code]) => errorCodes.includes(code)) ?? [];
  return `expected an IBAN without a slip: ${fault}`;
}

export const currencySchema = z
  .string()
  .regex(/^[A-Z]{3}$/, "expected an ISO 4217 currency such as EUR")
  .openapi({ example: "EUR" });

/** Where a creator wants to be paid. Strict: a member that is misspelt must not be lost. */
export const payoutDetailsSchema = z
  .discriminatedUnion("adapter", [
    z.strictObject({
      adapter: z.literal("csv"),
      currency: currencySchema,
      holder: lineSchema("a name"),
      account: z
        .string()
        .transform((text) => text.replaceAll(" ", ""))
        .pipe(
          z
            .string()
            .regex(/^[A-Za-z0-9-]{4,64}$/, "expected an IBAN or account number of 4 to 64 characters")
            .superRefine((account, check) => {
              const wrong = wrongIban(account);
              if (wrong !== undefined) check.addIssue({ code: "custom", message: wrong });
            })
            .transform((account) => (IBAN_LIKE.test(account) ? account.toUpperCase() : account)),
        ),
      bank: z
        .string()
        .regex(/^[A-Za-z0-9-]{1,35}$/, "expected a BIC or bank code")
        .optional(),
    }),
    z.strictObject({
      adapter: z.literal("stripe"),
      currency: currencySchema,
      stripe_account: z
        .string()
        .regex(/^acct_[A-Za-z0-9]{8,64}$/, "expected a connected account such as acct_1032D82eZvKYlo2C"),
    }),
  ])
  .openapi("PayoutDetailsInput");

export type PayoutDetailsInput = z.infer<typeof payoutDetailsSchema>;

/** What may be seen of payout details. */
export interface DetailsView {
  readonly currency: string;
  readonly adapter: DetailsRow["adapter"];
  /** The end of the account, as in `…6789`. */
  readonly hint: string;
  readonly changed_at: string;
}

const HINT_LENGTH = 4;

/** Puts a creator's payout details for a currency. Refuses `not_found`, `payout_adapter_unavailable` and `input_invalid` for an account that is none. */
export async function putPayoutDetails(
  ctx: Context,
  creatorId: string,
  { input, principal }: { readonly input: PayoutDetailsInput; readonly principal: Principal },
): Promise<Result<DetailsView>> {
  const { currency, ...destination } = input;
  const adapter = await adapterOf(ctx, destination.adapter);
  if (!adapter.ok) return adapter;
  const checked = await adapter.value.check(destination);
  if (!checked.ok) return checked;
  return writeFact(ctx, async (fact) => {
    const creator = await findCreator(fact.trx, creatorId);
    if (creator === undefined) return refuse("not_found", `there is no creator ${creatorId}`);
    const account = destination.adapter === "csv" ? destination.account : destination.stripe_account;
    const row: DetailsRow = {
      creator_id: creatorId,
      currency,
      adapter: destination.adapter,
      sealed_details: ctx.sealer.seal(detailsLabel(creatorId, currency), JSON.stringify(destination)),
      hint: `…${account.slice(-HINT_LENGTH)}`,
      changed_at: fact.now,
    };
    await saveDetails(fact.trx, row);
    fact.record({
      type: "payout-details.changed",
      aggregate: creator.aggregate,
      body: { creator_id: creatorId, currency, adapter: row.adapter, by: actorOf(principal) },
    });
    return accept(detailsView(row));
  });
}

/**
 * Forgets payout details that were changed after the backup: what the backup has may be an account
 * that was given up, or one that somebody else put. Nothing is paid out until its creator puts them
 * again. Refuses `not_found`.
 */
export async function losePayoutDetails(
  ctx: Context,
  { creatorId, currency }: { readonly creatorId: string; readonly currency: string },
): Promise<Result<true>> {
  return writeFact<true>(ctx, async (fact) => {
    const creator = await findCreator(fact.trx, creatorId);
    if (creator === undefined) return refuse("not_found", `there is no creator ${creatorId}`);
    const row = await deleteDetails(fact.trx, { creator_id: creatorId, currency });
    if (row !== undefined)
      fact.record({
        type: "payout-details.changed",
        aggregate: creator.aggregate,
        body: { creator_id: creatorId, currency, adapter: row.adapter, by: BY_RESTORE, is_removed: true },
      });
    return accept(true);
  });
}

export async function listPayoutDetails(ctx: Context, creatorId: string): Promise<readonly DetailsView[]> {
  return (await readDetails(ctx.db, [creatorId])).map(detailsView);
}

function detailsView({ currency, adapter, hint, changed_at }: DetailsRow): DetailsView {
  return { currency, adapter, hint, changed_at: formatInstant(changed_at) };
}

export function detailsLabel(creatorId: string, currency: string): string {
  return `payout_details/${creatorId}/${currency}`;
}

export function destinationLabel(payoutId: string): string {
  return `payout/${payoutId}`;
}

/** Opens what was sealed as a destination. */
export function openDestination(ctx: Pick<Context, "sealer">, label: string, sealed: Uint8Array): PayoutDestination {
  const value = readOwnJson(ctx.sealer.open(label, sealed), label);
  const { adapter, holder, account, bank, stripe_account } = value;
  if (adapter === "stripe" && typeof stripe_account === "string") return { adapter, stripe_account };
  if (adapter === "csv" && typeof holder === "string" && typeof account === "string")
    return { adapter, holder, account, ...(typeof bank === "string" ? { bank } : {}) };
  throw new TypeError(`${label}: expected a destination that we wrote`);
}
