import { anyObject, count, flag, identifier, listOf, objectOf, sha256, textUpTo } from "@licet/protocol";
import type { LicetClient } from "@licet/sdk";
import { type Consenting, operatorOf } from "./act-consent.ts";
import { type OfferedDataset, marketplaceOf } from "./act-dataset.ts";
import { actPolicy, actRefusedScope, readLicense } from "./act-license.ts";
import { call, waitFor } from "../call-api.ts";
import { claim } from "../command-error.ts";
import type { Narrator } from "./narrate.ts";
import type { Stage } from "./start-processes.ts";

const RUN = objectOf({
  run_id: textUpTo(128),
  state: textUpTo(32),
  items: count,
  model_id: identifier,
  model_fingerprint: sha256,
});

/** A training the marketplace has carried out. */
export type TrainingRun = ReturnType<typeof RUN>;

export function trainOn(stage: Stage, datasetId: string): Promise<TrainingRun> {
  return call(
    marketplaceOf(stage),
    { method: "POST", path: `/api/v1/datasets/${datasetId}/training-runs`, body: {} },
    RUN,
  );
}

const RECEIPT = objectOf({
  receipt_id: identifier,
  usage: objectOf({ unit: textUpTo(16), count }),
  valid_for_future_training: flag,
  countersignature: anyObject,
});
const RECEIPTS = objectOf({ receipts: listOf(RECEIPT, { max: 1_000 }) });

/** A receipt the server has accepted: it carries the platform's countersignature. */
export type AcceptedReceipt = ReturnType<typeof RECEIPT>;

const RECEIPT_SECONDS = 30;

export async function readReceipts(client: LicetClient, datasetId: string): Promise<readonly AcceptedReceipt[]> {
  const { receipts } = await call(
    client,
    { method: "GET", path: "/api/v1/usage-receipts", query: { dataset_id: datasetId } },
    RECEIPTS,
  );
  return receipts;
}

/** A license is taken, a model is trained, and every creator can read what was used. */
export async function actTraining(
  stage: Stage,
  dataset: OfferedDataset,
  creators: readonly Consenting[],
  narrator: Narrator,
): Promise<void> {
  narrator.heading("A license, a training, and a receipt for it");
  const { dataset_id, items_count } = dataset;
  await actPolicy(stage, dataset, narrator);
  await narrator.step(
    async () => {
      const run = await trainOn(stage, dataset_id);
      claim(run.items === items_count, `expected a training on ${items_count} works, got one on ${run.items}`);
      return run;
    },
    ({ items, model_id }) =>
      `The marketplace accepts the platform's agreement with its signature, takes a license, and trains ${model_id}: it fetched ${items} works from the platform and compared each with its fingerprint.`,
  );
  const license = await narrator.step(
    () => readLicense(stage, dataset),
    ({ license_id, model, price, currency, expires_at }) =>
      `The license ${license_id} is for ${model.model_id} alone, at ${price} ${currency}, until ${expires_at.slice(0, 10)}, and has a bit of its own in the status lists.`,
  );
  await actRefusedScope(stage, dataset, license, narrator);
  const receipts = await narrator.step(
    () =>
      waitFor("a receipt to be accepted", RECEIPT_SECONDS, async () => {
        const found = await readReceipts(operatorOf(stage), dataset_id);
        claim(
          found.every((receipt) => receipt.valid_for_future_training),
          "expected receipts that are valid for future training, got one that is not",
        );
        return found.length > 0 ? found : undefined;
      }),
    (found) =>
      `It reports what its license counts (${found.map(({ usage }) => `${usage.count} ${usage.unit}`).join(", ")}) in a signed receipt. Licet checked it, charged it and signed it too.`,
  );
  await pullReceipts(stage, dataset, narrator);
  await narrator.step(
    async () => {
      for (const { creatorId, client } of creators) {
        const own = await readReceipts(client, dataset_id);
        claim(
          own.length === receipts.length,
          `expected ${creatorId} to see ${receipts.length} receipts, got ${own.length}`,
        );
      }
    },
    () => `${creators.map(({ name }) => name).join(", ")}: each of them can read the receipt.`,
  );
}

const PULLED = objectOf({
  datasets: listOf(objectOf({ accepted: count, known: count, refused: count }), { max: 1_000 }),
});

/** The other way round: Licet asks, and what it has already costs nobody anything. */
async function pullReceipts(stage: Stage, { credentials }: OfferedDataset, narrator: Narrator): Promise<void> {
  const path = `/api/v1/marketplaces/${credentials.marketplace_id}/receipt-pulls`;
  await narrator.step(
    async () => {
      const { datasets } = await call(operatorOf(stage), { method: "POST", path }, PULLED);
      const [pulled] = datasets;
      claim(
        pulled !== undefined && pulled.accepted === 0 && pulled.known > 0 && pulled.refused === 0,
        `expected only receipts that are known, got ${pulled?.accepted ?? 0} new ones and ${pulled?.refused ?? 0} refused`,
      );
      return pulled.known;
    },
    (known) =>
      `Licet also asks the marketplace for its receipts: ${known} came by this way, too, and the same bytes count once.`,
  );
}
