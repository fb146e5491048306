import { anyObject, objectOf, readCurrentManifest } from "@licet/protocol";
import { fetchDatasetStatus } from "@licet/sdk";
import { claim, orFail } from "../command-error.ts";
import type { Settings } from "../settings.ts";
import type { Terminal } from "../terminal.ts";
import { type Consenting, operatorOf } from "./act-consent.ts";
import { type OfferedDataset, marketplaceOf, readMarketplaceDataset, runVerify } from "./act-dataset.ts";
import { readReceipts, trainOn } from "./act-training.ts";
import { call, callRefused, readPublic, waitFor } from "../call-api.ts";
import { revokeConsent } from "../creator.ts";
import { type Crawler, awaitRefusal, seeEdgeAfterwards } from "./act-edge.ts";
import { actTimeline } from "./act-timeline.ts";
import type { Narrator } from "./narrate.ts";
import type { Stage } from "./start-processes.ts";

/** What this act plays with. */
export interface Revocation {
  readonly stage: Stage;
  readonly dataset: OfferedDataset;
  readonly creator: Consenting;
  readonly crawler: Crawler;
  readonly narrator: Narrator;
  readonly surroundings: { readonly settings: Settings; readonly terminal: Terminal };
}

/** `licet verify` as a marketplace would run it, and everything holds. */
export async function actVerification({
  dataset,
  narrator,
  surroundings,
}: Omit<Revocation, "creator" | "crawler">): Promise<void> {
  narrator.heading("licet verify, as the marketplace would run it");
  const { lines } = await narrator.step(
    async () => {
      const verified = await runVerify(dataset, surroundings, narrator.columns);
      claim(
        verified.exitCode === 0,
        `expected licet verify to find nothing wrong, got exit code ${verified.exitCode}:\n${verified.lines.join("\n")}`,
      );
      return verified;
    },
    () => "Exit code 0. It says:",
  );
  narrator.quote(lines.join("\n"));
}

/** One creator takes it back, and everybody notices. */
export async function actRevocation(play: Revocation): Promise<void> {
  const { narrator, creator, dataset } = play;
  narrator.heading(`${creator.name} takes it back`);
  const startedAt = performance.now();
  await narrator.step(
    () => revokeConsent(creator, { datasetId: dataset.dataset_id, jti: creator.jti }),
    () =>
      `One call, without a key, and ${creator.name}'s consent is revoked. When the answer comes, every public document says so already:`,
    startedAt,
  );
  const stopped = marketplaceStops(play, startedAt);
  const refused = awaitRefusal(play.stage, play.crawler);
  // A failure of the steps in between is told first; these are then of no interest.
  stopped.catch(() => undefined);
  refused.catch(() => undefined);
  await seeDocuments(play);
  narrator.measured(
    `The marketplace got the signed message and stopped training: it took this long from ${creator.name}'s call.`,
    await stopped,
  );
  await seeEdgeAfterwards(play, await refused);
  await seeRefusals(play);
  await seeVerification(play);
  await actTimeline(play.stage, creator, narrator);
  await goOnWithRest(play);
}

const WEBHOOK_SECONDS = 15;

/** Answers the milliseconds since `startedAt`. */
function marketplaceStops({ stage, dataset: { dataset_id }, creator }: Revocation, startedAt: number): Promise<number> {
  return waitFor("the marketplace to stop training because of the webhook", WEBHOOK_SECONDS, async () => {
    const held = await readMarketplaceDataset(stage, dataset_id);
    const hasStopped = held.training === "stopped" && held.reason?.includes(creator.jti) === true;
    return hasStopped ? performance.now() - startedAt : undefined;
  });
}

async function seeDocuments({ stage: { origin }, dataset, creator, narrator }: Revocation): Promise<void> {
  const { dataset_id, manifest_url, items_count } = dataset;
  const works = creator.contentIds.length;
  await narrator.step(
    async () => {
      const { status } = orFail(await fetchDatasetStatus({ origin, datasetId: dataset_id }), 1);
      const isToldSo =
        status.status === "partially_revoked" &&
        status.revoked_jtis.includes(creator.jti) &&
        status.withdrawn_items_count === works;
      claim(
        isToldSo,
        `expected the status partially_revoked with ${works} works withdrawn, got ${status.status} with ${status.withdrawn_items_count}`,
      );
    },
    () => `The dataset's public status: partially revoked. ${works} of ${items_count} works are withdrawn.`,
  );
  await narrator.step(
    async () => {
      const manifest = orFail(readCurrentManifest(await readPublic(manifest_url, anyObject)), 1);
      const isToldSo =
        manifest.status === "partially_revoked" &&
        manifest.version === dataset.version &&
        manifest.withdrawn.some(({ jti }) => jti === creator.jti);
      claim(
        isToldSo,
        `expected a manifest that names ${creator.jti} as withdrawn, got status ${manifest.status} of version ${manifest.version}`,
      );
    },
    () => "The manifest names the consent that no longer stands. It is the same version: nothing was rebuilt.",
  );
}

async function seeRefusals({ stage, dataset: { dataset_id }, creator, narrator }: Revocation): Promise<void> {
  await narrator.step(
    async () => {
      const path = `/api/v1/datasets/${dataset_id}/training-runs`;
      await callRefused(marketplaceOf(stage), { method: "POST", path, body: {} }, 409);
    },
    () => "Asked to train again, the marketplace refuses.",
  );
  await narrator.step(
    async () => {
      const receipts = await readReceipts(operatorOf(stage), dataset_id);
      const valid = receipts.filter((receipt) => receipt.valid_for_future_training).length;
      claim(
        receipts.length > 0 && valid === 0,
        `expected no receipt to be valid for future training, got ${valid} of ${receipts.length}`,
      );
    },
    () => `The receipt stays, as proof of what ${creator.name} is owed, but no longer counts for future training.`,
  );
}

async function seeVerification({ dataset, narrator, surroundings }: Revocation): Promise<void> {
  const { lines } = await narrator.step(
    async () => {
      const verified = await runVerify(dataset, surroundings, narrator.columns);
      claim(verified.exitCode === 1, `expected licet verify to end with exit code 1, got ${verified.exitCode}`);
      return verified;
    },
    () => "licet verify now ends with exit code 1, and says:",
  );
  // The checks are the same as before; what is new comes after them.
  narrator.quote(lines.slice(lines.findIndex((line) => line.includes("Withdrawn:"))).join("\n"));
}

const AGAIN = objectOf({});

async function goOnWithRest({
  stage,
  dataset: { dataset_id, items_count },
  creator,
  narrator,
}: Revocation): Promise<void> {
  const rest = items_count - creator.contentIds.length;
  await narrator.step(
    async () => {
      await call(
        marketplaceOf(stage),
        { method: "POST", path: `/api/v1/datasets/${dataset_id}/verifications`, body: {} },
        AGAIN,
      );
      const run = await trainOn(stage, dataset_id);
      claim(run.items === rest, `expected a training on the ${rest} works that stand, got one on ${run.items}`);
    },
    () => `The marketplace verifies again and may go on with the other ${rest} works: it trains on those alone.`,
  );
}
