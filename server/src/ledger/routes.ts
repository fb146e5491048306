import { z } from "@hono/zod-openapi";
import { formatInstant, formatMoney, parseMicros, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import { type Api, defineRoute, jsonAnswer, jsonBody, unwrap } from "../http/api.ts";
import { countOf, identifierSchema, instantSchema, pageOf, pageQuery, reasonSchema } from "../http/parameters.ts";
import { actorOf } from "../http/principal.ts";
import { closePeriod, listPeriods, viewOf } from "./close-period.ts";
import { type Explanation, explainEntry } from "./explain-entry.ts";
import { listAccounts, listEntries, listMonths, readTransaction } from "./read-ledger.ts";
import { recordPayment } from "./record-payment.ts";
import { reverseTransaction } from "./reverse-transaction.ts";
import { splitPoolNow } from "./split-pool.ts";
import type { AccountRow, EntryRow, TransactionRow } from "./store.ts";

const tags = ["ledger"];
const ACCOUNT_KINDS = ["marketplace", "pool", "creator", "platform_fee", "clearing", "cash"] as const;

const currencySchema = z
  .string()
  .regex(/^[A-Z]{3}$/, "expected an ISO 4217 currency such as USD")
  .openapi({ example: "USD" });
/** An amount that comes in: above nothing. */
const amountSchema = z
  .string()
  .refine((text) => (parseMicros(text) ?? 0n) > 0n, "expected micro-units in decimal digits, above 0")
  .openapi({ example: "12345600", description: "micro-units: 1000000 are one of the currency" });
const microsSchema = z.string().openapi({ example: "-12345600", description: "micro-units; positive is a debit" });
const numberSchema = z.string().regex(/^\d{1,15}$/, "expected a number");
const transactionIdSchema = z.string().regex(/^ltx_[0-9A-HJKMNP-TV-Z]{26}$/, "expected a transaction's id");

const accountSchema = z
  .object({
    account_id: z.int(),
    kind: z.enum(ACCOUNT_KINDS),
    owner: z.string(),
    currency: currencySchema,
    balance_micros: microsSchema,
  })
  .openapi("LedgerAccount");

const entrySchema = z
  .object({
    entry_id: z.int(),
    transaction_id: z.string(),
    account_id: z.int(),
    account: z.object({ kind: z.enum(ACCOUNT_KINDS), owner: z.string() }),
    amount_micros: microsSchema,
    currency: currencySchema,
    transaction_kind: z.string().optional(),
    reference: z.string().optional(),
    value_at: instantSchema.optional(),
  })
  .openapi("LedgerEntry");

const transactionSchema = z
  .object({
    transaction_id: z.string(),
    sequence: z.int(),
    kind: z.string(),
    reference: z.string(),
    currency: currencySchema,
    value_at: instantSchema,
    recorded_at: instantSchema,
    reverses: z.string().optional(),
    entries: z.array(entrySchema),
  })
  .openapi("LedgerTransaction");

const explanationSchema = z
  .object({
    entry: entrySchema,
    transaction: transactionSchema.omit({ entries: true }),
    steps: z.array(z.object({ says: z.string(), numbers: z.looseObject({}) })),
    amount: z.string().openapi({ example: "12.3456 USD" }),
    next: z.string().nullable(),
  })
  .openapi("LedgerExplanation");

const monthSchema = z
  .object({
    period: z.string().openapi({ example: "2026-11" }),
    amount_micros: microsSchema,
    balance_micros: microsSchema.openapi({ description: "what counted for the account at the month's end" }),
  })
  .openapi("LedgerMonth");

const periodSchema = z
  .object({
    period: z.string().openapi({ example: "2026-11" }),
    state: z.enum(["open", "closed"]),
    from: instantSchema,
    until: instantSchema,
    closed_at: instantSchema.optional(),
    closed_by: z.string().optional(),
  })
  .openapi("LedgerPeriod");

/** The ledger: read by those it is about, corrected by its opposite, closed month by month. */
export function addLedgerRoutes(api: Api, ctx: Context): void {
  addAccountRoutes(api, ctx);
  addMonthsRoute(api, ctx);
  addTransactionRoutes(api, ctx);
  addPeriodRoutes(api, ctx);
  addSplitRoute(api, ctx);
  addPaymentRoute(api, ctx);
}

function addAccountRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/ledger/accounts",
      tags,
      summary: "Accounts and their balances",
      request: {
        query: z.object({
          kind: z.enum(ACCOUNT_KINDS).optional(),
          owner: z.string().max(300).optional(),
          currency: currencySchema.optional(),
          ...pageQuery,
        }),
      },
      responses: {
        200: jsonAnswer("A page", z.object({ accounts: z.array(accountSchema), next: z.string().nullable() })),
      },
    }),
    async (c) => {
      const { kind, owner, currency, ...page } = c.req.valid("query");
      const query = { kind, owner, currency, after: unwrap(countOf(page.after)), limit: pageOf(page).limit };
      const { accounts, next } = unwrap(await listAccounts(ctx, c.get("principal"), query));
      return c.json({ accounts: accounts.map(accountView), next }, 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/ledger/accounts/{id}/entries",
      tags,
      summary: "An account's entries, oldest first",
      request: { params: z.object({ id: numberSchema }), query: z.object(pageQuery) },
      responses: {
        200: jsonAnswer(
          "A page",
          z.object({ account: accountSchema, entries: z.array(entrySchema), next: z.string().nullable() }),
        ),
      },
    }),
    async (c) => {
      const query = c.req.valid("query");
      const { account, entries, next } = unwrap(
        await listEntries(ctx, c.get("principal"), {
          accountId: Number(c.req.valid("param").id),
          after: unwrap(countOf(query.after)),
          limit: pageOf(query).limit,
        }),
      );
      return c.json({ account: accountView(account), entries: entries.map(entryView), next }, 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/ledger/entries/{id}/explanation",
      tags,
      summary: "How an amount came to be, step by step",
      request: { params: z.object({ id: numberSchema }), query: z.object({ after: pageQuery.after }) },
      responses: { 200: jsonAnswer("From the price to the amount", explanationSchema) },
    }),
    async (c) => {
      const page = { entryId: Number(c.req.valid("param").id), after: unwrap(countOf(c.req.valid("query").after)) };
      const explained = await explainEntry(ctx, c.get("principal"), page);
      return c.json(explanationView(unwrap(explained)), 200);
    },
  );
}

function addMonthsRoute(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/ledger/accounts/{id}/months",
      tags,
      summary: "What counted for an account in each month, oldest first",
      request: { params: z.object({ id: numberSchema }) },
      responses: {
        200: jsonAnswer("All of them", z.object({ account: accountSchema, months: z.array(monthSchema) })),
      },
    }),
    async (c) => {
      const accountId = Number(c.req.valid("param").id);
      const { account, months } = unwrap(await listMonths(ctx, c.get("principal"), accountId));
      const shown = months.map(({ period, amountMicros, balanceMicros }) => ({
        period,
        amount_micros: String(amountMicros),
        balance_micros: String(balanceMicros),
      }));
      return c.json({ account: accountView(account), months: shown }, 200);
    },
  );
}

function addTransactionRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/ledger/transactions/{id}",
      tags,
      summary: "A transaction and its entries",
      request: { params: z.object({ id: transactionIdSchema }) },
      responses: { 200: jsonAnswer("The transaction", transactionSchema) },
    }),
    async (c) => {
      const read = unwrap(await readTransaction(ctx, c.get("principal"), c.req.valid("param").id));
      return c.json(transactionView(read.transaction, read.entries), 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/ledger/transactions/{id}/reversal",
      tags,
      summary: "Take a transaction back by its opposite",
      request: {
        params: z.object({ id: transactionIdSchema }),
        body: jsonBody(z.strictObject({ reason: reasonSchema.min(1) }).openapi("LedgerReversalInput")),
      },
      responses: { 201: jsonAnswer("The reversal", transactionSchema) },
    }),
    async (c) => {
      const principal = c.get("principal");
      const { reason } = c.req.valid("json");
      const { transactionId } = unwrap(
        await reverseTransaction(ctx, c.req.valid("param").id, { reason, by: actorOf(principal) }),
      );
      const read = unwrap(await readTransaction(ctx, principal, transactionId));
      return c.json(transactionView(read.transaction, read.entries), 201);
    },
  );
}

function addPeriodRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/ledger/periods",
      tags,
      summary: "The months, newest first",
      responses: { 200: jsonAnswer("All of them", z.object({ periods: z.array(periodSchema) })) },
    }),
    async (c) => c.json({ periods: [...(await listPeriods(ctx))] }, 200),
  );

  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/ledger/periods/{period}/close",
      tags,
      summary: "Close a month: share out what its pools hold",
      request: { params: z.object({ period: z.string().max(16) }) },
      responses: { 200: jsonAnswer("Closed", periodSchema) },
    }),
    async (c) => {
      const row = unwrap(await closePeriod(ctx, c.req.valid("param").period, actorOf(c.get("principal"))));
      return c.json(viewOf(row.period, row), 200);
    },
  );
}

function addSplitRoute(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/ledger/pools/{id}/{version}/split",
      tags,
      summary: "Share out what a version has earned, ahead of the month's close",
      request: { params: z.object({ id: identifierSchema, version: numberSchema }) },
      responses: { 201: jsonAnswer("Shared out", transactionSchema) },
    }),
    async (c) => {
      const { id, version } = c.req.valid("param");
      const { transactionId } = unwrap(await splitPoolNow(ctx, { datasetId: id, version: Number(version) }));
      const read = unwrap(await readTransaction(ctx, c.get("principal"), transactionId));
      return c.json(transactionView(read.transaction, read.entries), 201);
    },
  );
}

function addPaymentRoute(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "post",
      path: "/api/v1/marketplaces/{id}/payments",
      tags,
      summary: "Record money that came in from a marketplace",
      request: {
        params: z.object({ id: identifierSchema }),
        body: jsonBody(
          z
            .strictObject({ amount_micros: amountSchema, currency: currencySchema, reference: identifierSchema })
            .openapi("PaymentInput"),
        ),
      },
      responses: {
        200: jsonAnswer("It was recorded before", transactionSchema),
        201: jsonAnswer("Recorded", transactionSchema),
      },
    }),
    async (c) => {
      const principal = c.get("principal");
      const { amount_micros, currency, reference } = c.req.valid("json");
      const amountMicros = parseMicros(amount_micros);
      if (amountMicros === undefined) return unwrap(refuse("input_invalid", "amount_micros: expected micro-units"));
      const { isNew, transactionId } = unwrap(
        await recordPayment(ctx, {
          marketplaceId: c.req.valid("param").id,
          amountMicros,
          currency,
          reference,
          by: actorOf(principal),
        }),
      );
      const read = unwrap(await readTransaction(ctx, principal, transactionId));
      return c.json(transactionView(read.transaction, read.entries), isNew ? 201 : 200);
    },
  );
}

function accountView({ balanceMicros, ...account }: AccountRow): z.infer<typeof accountSchema> {
  return { ...account, balance_micros: String(balanceMicros) };
}

type EntryWithContext = EntryRow & {
  readonly transaction_kind?: string;
  readonly reference?: string;
  readonly value_at?: number;
};

function entryView(entry: EntryWithContext): z.infer<typeof entrySchema> {
  const { entry_id, transaction_id, account_id, kind, owner, amountMicros, currency } = entry;
  const { transaction_kind, reference, value_at } = entry;
  return {
    entry_id,
    transaction_id,
    account_id,
    account: { kind, owner },
    amount_micros: String(amountMicros),
    currency,
    ...(transaction_kind === undefined ? {} : { transaction_kind }),
    ...(reference === undefined ? {} : { reference }),
    ...(value_at === undefined ? {} : { value_at: formatInstant(value_at) }),
  };
}

function transactionView(row: TransactionRow, entries: readonly EntryRow[]): z.infer<typeof transactionSchema> {
  const { transaction_id, sequence, kind, reference, currency, value_at, recorded_at, reverses } = row;
  return {
    transaction_id,
    sequence,
    kind,
    reference,
    currency,
    value_at: formatInstant(value_at),
    recorded_at: formatInstant(recorded_at),
    ...(reverses === null ? {} : { reverses }),
    entries: entries.map(entryView),
  };
}

function explanationView({ entry, transaction, steps, next }: Explanation): z.infer<typeof explanationSchema> {
  const { entries: _entries, ...view } = transactionView(transaction, []);
  return {
    entry: entryView(entry),
    transaction: view,
    steps: steps.map(({ says, numbers }) => ({ says, numbers: { ...numbers } })),
    amount: formatMoney(entry.amountMicros, entry.currency),
    next,
  };
}
