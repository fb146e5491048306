import type { JsonCall } from "@licet/sdk";

/** What an event is made of: one consent, one work under it, and the dataset that both are in. */
export interface Fixture {
  readonly creatorId: string;
  readonly contentId: string;
  readonly jti: string;
  readonly datasetId: string;
}

/** An event a developer can have: the calls that cause it, and the change that webhooks name. */
export interface TriggeredEvent {
  readonly change: string;
  readonly says: string;
  /** Called before, so that there is something to lift. */
  readonly before?: (fixture: Fixture) => JsonCall;
  readonly cause: (fixture: Fixture) => JsonCall;
}

const REASON = "licet_trigger";

function post(path: string): JsonCall {
  return { method: "POST", path: `/api/v1/${path}`, body: { reason: REASON } };
}

/** Everything `licet trigger` can cause, by its name. */
export const TRIGGERED_EVENTS = {
  "consent.revoked": {
    change: "revoked",
    says: "the consent is taken back",
    cause: ({ jti }) => post(`consents/${jti}/revoke`),
  },
  "consent.suspended": {
    change: "suspended",
    says: "the consent is suspended",
    cause: ({ jti }) => post(`consents/${jti}/suspend`),
  },
  "consent.resumed": {
    change: "resumed",
    says: "the consent was suspended, and stands again",
    before: ({ jti }) => post(`consents/${jti}/suspend`),
    cause: ({ jti }) => post(`consents/${jti}/resume`),
  },
  "content.withdrawn": {
    change: "withdrawn",
    says: "the work is withdrawn by its creator",
    cause: ({ creatorId, contentId }) => ({
      method: "POST",
      path: `/api/v1/creators/${encodeURIComponent(creatorId)}/revocations`,
      body: { content_id: contentId, reason: REASON },
    }),
  },
  "content.suspended": {
    change: "suspended",
    says: "the work is suspended",
    cause: ({ contentId }) => post(`content/${contentId}/suspend`),
  },
  "content.resumed": {
    change: "resumed",
    says: "the work was suspended, and stands again",
    before: ({ contentId }) => post(`content/${contentId}/suspend`),
    cause: ({ contentId }) => post(`content/${contentId}/resume`),
  },
  "dataset.published": {
    change: "published",
    says: "the dataset has a new version, which offers it for non-commercial training",
    cause: ({ datasetId, contentId }) => ({
      method: "POST",
      path: "/api/v1/datasets",
      body: {
        dataset_id: datasetId,
        name: `licet trigger, again at ${new Date().toISOString()}`,
        content_items: [{ content_id: contentId }],
        pricing: { model_use: "per-token:0.0001" },
      },
    }),
  },
  "dataset.suspended": {
    change: "suspended",
    says: "the dataset is suspended",
    cause: ({ datasetId }) => post(`datasets/${datasetId}/suspend`),
  },
  "dataset.resumed": {
    change: "resumed",
    says: "the dataset was suspended, and stands again",
    before: ({ datasetId }) => post(`datasets/${datasetId}/suspend`),
    cause: ({ datasetId }) => post(`datasets/${datasetId}/resume`),
  },
  "dataset.withdrawn": {
    change: "withdrawn",
    says: "the dataset is taken from offer for good",
    cause: ({ datasetId }) => post(`datasets/${datasetId}/withdraw`),
  },
} as const satisfies Record<string, TriggeredEvent>;

/** The event of that name; undefined when there is none. */
export function findTriggeredEvent(name: string): TriggeredEvent | undefined {
  const found = Object.entries<TriggeredEvent>(TRIGGERED_EVENTS).find(([known]) => known === name);
  return found?.[1];
}
