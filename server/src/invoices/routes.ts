import { z } from "@hono/zod-openapi";
import type { Context } from "../context.ts";
import { type Api, defineRoute, jsonAnswer, unwrap } from "../http/api.ts";
import { csvAnswer, csvWanted, jsonOrCsvAnswer } from "../http/csv.ts";
import { identifierSchema, instantSchema, pageOf, pageQuery } from "../http/parameters.ts";
import { invoiceCsv, listInvoices, readInvoice, readOwed } from "./read-invoices.ts";

const tags = ["invoices"];

const invoiceSchema = z
  .object({
    invoice_id: z.string(),
    number: z.string().openapi({ example: "2026-11-0001" }),
    marketplace_id: z.string(),
    currency: z.string(),
    period: z.string(),
    total_micros: z.string(),
    paid_micros: z.string(),
    state: z.enum(["paid", "open", "overdue"]),
    issued_at: instantSchema,
    due_at: instantSchema,
  })
  .openapi("Invoice");
const invoiceWithLinesSchema = invoiceSchema
  .extend({
    lines: z.array(
      z.object({
        position: z.int(),
        kind: z.string(),
        is_reversal: z.boolean(),
        dataset_id: z.string().nullable(),
        dataset_version: z.int().nullable(),
        license_id: z.string().nullable(),
        price: z.string().nullable(),
        unit: z.string().nullable(),
        units: z.string().nullable(),
        entries: z.int(),
        amount_micros: z.string(),
      }),
    ),
  })
  .openapi("InvoiceWithLines");
const owedSchema = z
  .object({
    marketplace_id: z.string(),
    balances: z.array(
      z.object({
        currency: z.string(),
        owed_micros: z.string(),
        not_invoiced_micros: z.string(),
        unpaid_micros: z.string(),
        overdue_micros: z.string(),
        oldest_due_at: instantSchema.nullable(),
      }),
    ),
  })
  .openapi("MarketplaceBalance");
const idParam = z.object({ id: identifierSchema });

/** What marketplaces owe: by month as invoices, and all told. */
export function addInvoiceRoutes(api: Api, ctx: Context): void {
  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/invoices",
      tags,
      summary: "List invoices, with what is paid of each",
      request: { query: z.object({ marketplace_id: identifierSchema.optional(), ...pageQuery }) },
      responses: {
        200: jsonAnswer("A page", z.object({ invoices: z.array(invoiceSchema), next: z.string().nullable() })),
      },
    }),
    async (c) => {
      const query = c.req.valid("query");
      const asked = { marketplaceId: query.marketplace_id, ...pageOf(query) };
      const { invoices, next } = unwrap(await listInvoices(ctx, c.get("principal"), asked));
      return c.json({ invoices: [...invoices], next }, 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/invoices/{id}",
      tags,
      summary: "An invoice: JSON, or CSV by Accept: text/csv or the ending .csv",
      request: { params: idParam },
      responses: { 200: jsonOrCsvAnswer("The invoice with its lines", invoiceWithLinesSchema) },
    }),
    async (c) => {
      const { name, isCsv } = csvWanted(c.req.valid("param").id, c.req.header("accept"));
      const invoice = unwrap(await readInvoice(ctx, c.get("principal"), name));
      if (isCsv) return csvAnswer(invoiceCsv(invoice), `invoice-${invoice.number}.csv`);
      return c.json({ ...invoice, lines: [...invoice.lines] }, 200);
    },
  );

  api.openapi(
    defineRoute(ctx, {
      method: "get",
      path: "/api/v1/marketplaces/{id}/balance",
      tags,
      summary: "What a marketplace owes, and what of it is overdue",
      request: { params: idParam },
      responses: { 200: jsonAnswer("By currency", owedSchema) },
    }),
    async (c) => {
      const { id } = c.req.valid("param");
      const balances = unwrap(await readOwed(ctx, c.get("principal"), id));
      return c.json({ marketplace_id: id, balances: [...balances] }, 200);
    },
  );
}
