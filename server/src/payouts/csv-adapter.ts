import { accept } from "@licet/protocol";
import { randomBytes } from "node:crypto";
import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { csvOf } from "../http/csv.ts";
import { attemptError } from "../jobs/attempt-error.ts";
import { decimalOf } from "./payable-amount.ts";
import type { PayoutAdapter, PayoutOrder, PayoutOutcome } from "./payout-adapter.ts";

const HEAD = ["payout_id", "creator_id", "holder", "account", "bank", "amount", "currency", "reference"] as const;
/** A batch is one file, so all of it goes at once. */
const MAX_AT_ONCE = 1_000;

/** The name of a batch's file. */
export function payoutFileName(batchId: string): string {
  return `payouts-${batchId}.csv`;
}

/**
 * Pays by a file for the operator's bank: the same batch is the same bytes under the same name. The
 * operator says later what became of each line.
 */
export function csvAdapterOf(folder: string): PayoutAdapter {
  return {
    name: "csv",
    maxAtOnce: MAX_AT_ONCE,
    send: async (orders, readBatch) => {
      const outcome = await writeBatch(folder, orders[0]?.batchId ?? "", await readBatch());
      return new Map(orders.map((order) => [order.payoutId, outcome]));
    },
    check: async () => accept(true),
    find: async ({ batchId, payoutId }) => {
      const name = payoutFileName(batchId);
      const text = await readFile(join(folder, name), "utf8").catch(() => "");
      return text.includes(`\r\n${payoutId},`) ? { kind: "sent", externalId: name } : { kind: "absent" };
    },
  };
}

async function writeBatch(folder: string, batchId: string, batch: readonly PayoutOrder[]): Promise<PayoutOutcome> {
  const name = payoutFileName(batchId);
  try {
    await writeWhole(folder, name, csvOf(HEAD, batch.map(rowOf)));
    return { kind: "sent", externalId: name };
  } catch (error) {
    return { kind: "unclear", reason: attemptError(`${name} could not be written: ${String(error)}`) };
  }
}

function rowOf({ payoutId, creatorId, currency, amountMicros, destination }: PayoutOrder) {
  const { holder, account, bank } =
    destination?.adapter === "csv" ? destination : { holder: "", account: "", bank: undefined };
  return [payoutId, creatorId, holder, account, bank ?? "", { number: decimalOf(amountMicros) }, currency, payoutId];
}

/** Nobody ever sees a half of it: it is on disk before it has its name. */
async function writeWhole(folder: string, name: string, text: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, name);
  if ((await readFile(path, "utf8").catch(() => undefined)) === text) return;
  const temporary = join(folder, `.${name}.${randomBytes(6).toString("hex")}.tmp`);
  try {
    const file = await open(temporary, "wx", 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  const directory = await open(folder, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
