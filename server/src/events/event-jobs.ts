import type { QueueName } from "../jobs/jobs.ts";

/**
 * Everything that can happen, and the jobs each thing causes. A fact never calls a later slice:
 * it is listed here, and the slice's worker finds the event by its id.
 */
export const EVENT_JOBS = {
  "key.created": [],
  "terms.published": [],
  "creator.registered": [],
  "creator-key.enrolled": [],
  "content.registered": [],
  "content.revised": [],
  "content.withdrawn": ["fan-out"],
  "consent.drafted": [],
  "consent.draft-closed": [],
  "consent.granted": [],
  "consent.revoked": ["fan-out"],
  "consent.expired": ["fan-out"],
  "marketplace.registered": [],
  "receipt-key.registered": [],
  "dataset.drafted": [],
  "dataset.published": ["fan-out"],
  "dataset.offered": ["register-dataset"],
  "receipt.accepted": [],
} as const satisfies Record<string, readonly QueueName[]>;

export type EventType = keyof typeof EVENT_JOBS;
