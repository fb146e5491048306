import { count, identifier, listOf, objectOf, oneOf, textUpTo, webUrl, sha256 } from "@licet/protocol";
import { type LicetClient, createClient } from "@licet/sdk";
import { type ExitCode, claim } from "../command-error.ts";
import type { Settings } from "../settings.ts";
import type { Terminal } from "../terminal.ts";
import { verifyManifest } from "../verify-manifest.ts";
import { type Consenting, DEMO_LICENSE, operatorOf } from "./act-consent.ts";
import { call, waitFor } from "../call-api.ts";
import type { Narrator } from "./narrate.ts";
import type { Stage } from "./start-processes.ts";

const CREDENTIALS = objectOf({
  marketplace_id: identifier,
  client_id: textUpTo(256),
  client_secret: textUpTo(1_024),
  scope: textUpTo(4_096),
  webhook_secret: textUpTo(256),
});

/** What opens the platform to the marketplace. */
type MarketplaceCredentials = ReturnType<typeof CREDENTIALS>;

const PUBLISHED = objectOf({
  dataset_id: identifier,
  version: count,
  items_count: count,
  consents_count: count,
  manifest_url: webUrl,
  items_root: sha256,
});

/** A dataset that is published and registered with the marketplace. */
export interface OfferedDataset extends ReturnType<typeof PUBLISHED> {
  readonly credentials: MarketplaceCredentials;
}

const DATASET_NAME = "Three creators: recordings, essays and pictures";
const PRICE = "0.0001";

export function marketplaceOf({ marketplace, marketplaceToken }: Stage): LicetClient {
  return createClient({ origin: marketplace, token: marketplaceToken, timeoutSeconds: 60 });
}

/** The marketplace is let in; one dataset is published, offered, verified and taken. */
export async function actDataset(
  stage: Stage,
  creators: readonly Consenting[],
  narrator: Narrator,
): Promise<OfferedDataset> {
  narrator.heading("One dataset: published, offered, verified");
  const credentials = await connectMarketplace(stage, narrator);
  const published = await publish(stage, creators, narrator);
  await offer(stage, { ...published, credentials }, narrator);
  return { ...published, credentials };
}

async function connectMarketplace(stage: Stage, narrator: Narrator): Promise<MarketplaceCredentials> {
  const operator = operatorOf(stage);
  const { marketplace, receiptJwk } = stage;
  return narrator.step(
    async () => {
      const body = {
        name: "Reference marketplace",
        base_url: marketplace,
        webhook_url: `${marketplace}/webhooks/consent-updated`,
        platform_token: stage.platformToken,
      };
      const credentials = await call(operator, { method: "POST", path: "/api/v1/marketplaces", body }, CREDENTIALS);
      const { marketplace_id, client_id, client_secret, scope, webhook_secret } = credentials;
      const connection = { origin: stage.origin, marketplace_id, client_id, client_secret, scope, webhook_secret };
      await call(marketplaceOf(stage), { method: "PUT", path: "/api/v1/connection", body: connection }, objectOf({}));
      await call(
        operator,
        { method: "POST", path: `/api/v1/marketplaces/${marketplace_id}/receipt-keys`, body: { jwk: receiptJwk } },
        objectOf({ kid: textUpTo(128) }),
      );
      return credentials;
    },
    () =>
      "The platform's operator lets the marketplace in: with credentials, a secret for signed messages, and the key it will sign receipts with.",
  );
}

function publish(
  stage: Stage,
  creators: readonly Consenting[],
  narrator: Narrator,
): Promise<ReturnType<typeof PUBLISHED>> {
  const contentIds = creators.flatMap((creator) => creator.contentIds);
  const body = {
    name: DATASET_NAME,
    content_items: contentIds.map((content_id) => ({ content_id })),
    pricing: { model_use: `per-token:${PRICE}` },
    scope: ["training", "commercial"],
    license: DEMO_LICENSE,
    revenue_split: { platform_fee_bps: 1_000 },
  };
  return narrator.step(
    async () => {
      const published = await call(operatorOf(stage), { method: "POST", path: "/api/v1/datasets", body }, PUBLISHED);
      const { items_count, consents_count } = published;
      claim(
        items_count === contentIds.length && consents_count === creators.length,
        `expected ${contentIds.length} works under ${creators.length} consents, got ${items_count} under ${consents_count}`,
      );
      return published;
    },
    ({ items_count, consents_count }) =>
      `“${DATASET_NAME}” is published: ${items_count} works under ${consents_count} consents, for commercial training, at ${PRICE} USD for each token, a tenth of it for the platform. The signed manifest is public and names no person.`,
  );
}

const OFFERS = objectOf({
  offers: listOf(
    objectOf(
      { marketplace_id: identifier, state: oneOf("pending", "registered", "refused") },
      { last_error: textUpTo(4_096) },
    ),
    { max: 1_000 },
  ),
});
const REGISTRATION_SECONDS = 30;

async function offer(
  stage: Stage,
  { dataset_id, credentials, items_count }: OfferedDataset,
  narrator: Narrator,
): Promise<void> {
  const operator = operatorOf(stage);
  const path = `/api/v1/datasets/${dataset_id}/offers`;
  await narrator.step(
    async () => {
      await call(
        operator,
        { method: "POST", path, body: { marketplace_id: credentials.marketplace_id } },
        objectOf({}),
      );
      await waitFor("the marketplace to register the dataset", REGISTRATION_SECONDS, async () => {
        const [made] = (await call(operator, { method: "GET", path }, OFFERS)).offers;
        claim(
          made?.state !== "refused",
          `expected the marketplace to take the dataset, got a refusal: ${made?.last_error ?? "without a reason"}`,
        );
        return made?.state === "registered" ? made : undefined;
      });
      const dataset = await readMarketplaceDataset(stage, dataset_id);
      claim(
        dataset.training === "allowed" && dataset.items_count === items_count,
        `expected the marketplace to allow training on ${items_count} works, got training ${dataset.training} on ${dataset.items_count}`,
      );
    },
    () =>
      `It is offered to the marketplace, which takes nobody's word for it: it fetched the manifest, checked every signature, every consent and all ${items_count} works against it, and took the dataset in.`,
  );
}

const MARKETPLACE_DATASET = objectOf(
  { dataset_id: identifier, training: oneOf("allowed", "stopped"), items_count: count, status: textUpTo(32) },
  { reason: nullableText() },
);

export function readMarketplaceDataset(
  stage: Stage,
  datasetId: string,
): Promise<ReturnType<typeof MARKETPLACE_DATASET>> {
  return call(marketplaceOf(stage), { method: "GET", path: `/api/v1/datasets/${datasetId}` }, MARKETPLACE_DATASET);
}

function nullableText(): (value: unknown) => string | null {
  return (value) => (typeof value === "string" ? value : null);
}

/** Runs `licet verify` with the marketplace's credentials, and answers what it printed and its exit code. */
export async function runVerify(
  { manifest_url, credentials }: OfferedDataset,
  { settings, terminal }: { readonly settings: Settings; readonly terminal: Terminal },
  columns: number,
): Promise<{ readonly lines: readonly string[]; readonly exitCode: ExitCode }> {
  const lines: string[] = [];
  const captured = { ...terminal, columns, print: (text: string) => void lines.push(...text.split("\n")) };
  const { client_id: clientId, client_secret: clientSecret } = credentials;
  const exitCode = await verifyManifest(
    manifest_url,
    {},
    { settings: { ...settings, clientId, clientSecret }, terminal: captured },
  );
  return { lines, exitCode };
}
