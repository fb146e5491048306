import { z } from "@hono/zod-openapi";
import { type Result, accept, isIdentifier, parseInstant, refuse, sha256Hex } from "@licet/protocol";
import type { Context } from "../context.ts";
import { readJsonBody } from "../http/api.ts";
import { type EdgeEventRow, findBatch, insertBatch, insertEvents } from "./store.ts";

export const MAX_BATCH_BYTES = 1_048_576;
const MAX_BATCH_LINES = 1_000;
/** Empty lines count for little, but not for nothing. */
const MAX_SPLIT = MAX_BATCH_LINES * 2;
/** An edge keeps what it cannot send for hours, not for weeks; its clock may be a little ahead of ours. */
const MAX_AGE_MS = 7 * 86_400_000;
const MAX_AHEAD_MS = 60_000;
/** The name of a batch, as an Idempotency-Key may be. */
const BATCH_KEY = /^[\x21-\x7e]{1,255}$/;

const identifier = z.string().refine(isIdentifier, "expected an identifier");
const eventSchema = z.object({
  at: z.string().refine((text) => parseInstant(text) !== undefined, "expected an instant"),
  url_sha256: z.string().regex(/^[0-9a-f]{64}$/, "expected a SHA-256 in hex"),
  content_id: identifier.optional(),
  dataset_id: identifier.optional(),
  license_id: identifier.optional(),
  marketplace: identifier.optional(),
  agent: z.object({
    kind: z.string().regex(/^[a-z][a-z_-]{0,31}$/, "expected at most 32 small letters"),
    name: z.string().regex(/^[\x20-\x7e]{1,256}$/, "expected at most 256 printable ASCII characters"),
  }),
  decision: z.enum(["pass", "refuse"]),
  code: z
    .string()
    .regex(/^[a-z_]{1,64}$/, "expected a code")
    .optional(),
  mode: z.enum(["observe", "enforce"]),
});

/** What became of a batch. A line that is not as agreed is named and left out; the others count. */
export interface AcceptedBatch {
  readonly accepted: number;
  readonly refused: readonly RefusedLine[];
}

export interface RefusedLine {
  readonly line: number;
  readonly detail: string;
}

export interface EdgeBatch {
  readonly clientId: string;
  readonly batchKey: string | undefined;
  readonly body: string;
}

/**
 * Keeps what an edge decided, from lines of JSON. A batch is named by its Idempotency-Key: the same
 * again gets the first answer and counts once. Refuses `input_invalid` (no name), `body_too_large`
 * and `idempotency_key_reused`.
 */
export async function acceptBatch(ctx: Context, batch: EdgeBatch): Promise<Result<AcceptedBatch>> {
  const { clientId, batchKey = "", body } = batch;
  if (!BATCH_KEY.test(batchKey))
    return refuse(
      "input_invalid",
      `Idempotency-Key: expected a name for this batch, 1 to 255 printable ASCII characters, got ${batchKey === "" ? "none" : "another"}`,
    );
  const lines = body.split("\n", MAX_SPLIT);
  const filled = lines.flatMap((text, index) => (text.trim() === "" ? [] : [{ text, number: index + 1 }]));
  if (lines.length === MAX_SPLIT || filled.length > MAX_BATCH_LINES)
    return refuse("body_too_large", `expected at most ${MAX_BATCH_LINES} lines`);
  const receivedAtMs = ctx.clock.nowMs();
  const read = filled.map(({ text, number }) => ({ number, event: readEvent(text, receivedAtMs) }));
  const events = read.flatMap(({ number, event }): EdgeEventRow[] =>
    event.ok
      ? [{ ...event.value, received_at_ms: receivedAtMs, client_id: clientId, batch_key: batchKey, line: number }]
      : [],
  );
  const refused = read.flatMap(({ number, event }) =>
    event.ok ? [] : [{ line: number, detail: event.refusal.detail }],
  );
  const sha256 = sha256Hex(body);
  return ctx.db.transaction().execute(async (trx): Promise<Result<AcceptedBatch>> => {
    const row = { client_id: clientId, batch_key: batchKey, sha256, received_at_ms: receivedAtMs };
    const isNew = await insertBatch(trx, { ...row, accepted: events.length, refused: JSON.stringify(refused) });
    if (isNew) {
      await insertEvents(trx, events);
      return accept({ accepted: events.length, refused });
    }
    const known = await findBatch(trx, clientId, batchKey);
    return known?.sha256 === sha256
      ? accept({ accepted: known.accepted, refused: readRefused(known.refused) })
      : refuse("idempotency_key_reused", `the batch ${batchKey} came with other lines before`);
  });
}

/** What the first answer said, which the clock may judge otherwise by now. */
function readRefused(text: string): readonly RefusedLine[] {
  return z.array(z.object({ line: z.int(), detail: z.string() })).parse(JSON.parse(text));
}

type ReadEvent = Omit<EdgeEventRow, "received_at_ms" | "client_id" | "batch_key" | "line">;

function readEvent(text: string, nowMs: number): Result<ReadEvent> {
  const parsed = readJsonBody(text);
  if (!parsed.ok) return parsed;
  const input = eventSchema.safeParse(parsed.value);
  if (!input.success) {
    const details = input.error.issues.map(({ path, message }) => `${path.map(String).join(".")}: ${message}`);
    return refuse("input_invalid", details.join("; "));
  }
  const { at, agent, marketplace, content_id, dataset_id, license_id, code, ...event } = input.data;
  const at_ms = (parseInstant(at) ?? 0) * 1_000;
  if (at_ms < nowMs - MAX_AGE_MS || at_ms > nowMs + MAX_AHEAD_MS)
    return refuse("input_invalid", `at: expected an instant of the last seven days, got ${at}`);
  return accept({
    ...event,
    at_ms,
    agent_kind: agent.kind,
    agent_name: agent.name,
    marketplace_id: marketplace ?? null,
    content_id: content_id ?? null,
    dataset_id: dataset_id ?? null,
    license_id: license_id ?? null,
    code: code ?? null,
  });
}
