import { type JsonObject, PROPAGATION_PATH } from "@licet/protocol";
import { type Consenting, TERMS_PATH } from "./act-consent.ts";
import type { OfferedDataset } from "./act-dataset.ts";
import type { Stage } from "./start-processes.ts";

/** Everything another program needs to go on where the story stopped. */
export function handOver(stage: Stage, { dataset_id, credentials }: OfferedDataset, creator: Consenting): JsonObject {
  return {
    origin: stage.origin,
    edge: stage.edge,
    marketplace: stage.marketplace,
    token_endpoint: `${stage.origin}/oauth/token`,
    scope: credentials.scope,
    client_id: credentials.client_id,
    client_secret: credentials.client_secret,
    operator_token: stage.operatorToken,
    marketplace_token: stage.marketplaceToken,
    marketplace_id: credentials.marketplace_id,
    creator_token: creator.token,
    creator_id: creator.creatorId,
    consent_jti: creator.jti,
    content_ids: [...creator.contentIds],
    dataset_id,
    webhook_secret: credentials.webhook_secret,
  };
}

/** Addresses a visitor opens next, with the tokens that some of them need. */
export function worthOpening(
  stage: Stage,
  { dataset_id, manifest_url, credentials }: OfferedDataset,
  commandName: string,
): readonly string[] {
  const { origin, platform, edge, marketplace } = stage;
  return [
    "the platform and its works",
    `  ${platform}/`,
    "the same through the edge, as a person and as a crawler",
    `  ${edge}/`,
    `  curl -i -A GPTBot ${edge}/`,
    "how long refusals took to get everywhere",
    `  ${origin}${PROPAGATION_PATH}`,
    "the dataset's manifest, its status, and what was taken back",
    `  ${manifest_url}`,
    `  ${origin}/.well-known/dataset-status/${dataset_id}`,
    `  ${origin}/.well-known/consent-revocations.json`,
    "the public keys, and the terms creators agree to",
    `  ${origin}/.well-known/keys.json`,
    `  ${origin}${TERMS_PATH}`,
    "everything the server does",
    `  ${origin}/openapi.json`,
    "where each work comes from, for those the dataset was offered to",
    ...curl(`${origin}/api/v1/datasets/${dataset_id}/provenance`, stage.operatorToken),
    "the dataset as the marketplace sees it",
    ...curl(`${marketplace}/api/v1/datasets/${dataset_id}`, stage.marketplaceToken),
    "the checklist",
    `  LICET_CLIENT_ID=${credentials.client_id} \\`,
    `  LICET_CLIENT_SECRET=${credentials.client_secret} \\`,
    `  ${commandName} verify \\`,
    `    ${manifest_url}`,
  ];
}

function curl(url: string, token: string): readonly string[] {
  return [`  curl -H "Authorization: Bearer ${token}" \\`, `    ${url}`];
}
