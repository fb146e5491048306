import type { JsonObject } from "@licet/protocol";
import type { FeedAudience } from "../db/tables.ts";

/** Who may read an event: of the audience, whoever the id names. */
export interface Audience {
  readonly audience: FeedAudience;
  readonly id: string;
}

/** An event as far as its readers are to be found; without a body, which was erased, only the platform reads it. */
export interface FeedEvent {
  readonly type: string;
  readonly aggregate: string;
  readonly body: JsonObject | undefined;
}

/** What a dataset's own events may be: the ones that the world can see happen to it. */
const OF_DATASETS: readonly string[] = [
  "dataset.published",
  "dataset.suspended",
  "dataset.resumed",
  "dataset.withdrawn",
];
/** What happens to consents and works is told to marketplaces by the datasets it touches. */
const TOUCHING = /^(consent|content)\.(revoked|suspended|resumed|expired|withdrawn)$/;
/** A first version is no news to anybody: whoever has the dataset by then was offered it afterwards. */
const FIRST_VERSION = 1;

/** Where an event is read, in the order of its positions. */
export function audiencesOf({ type, aggregate, body = {} }: FeedEvent): readonly Audience[] {
  const { creator_id, dataset_ids, marketplace_id, version } = body;
  const audiences: Audience[] = [{ audience: "platform", id: "" }];
  if (typeof creator_id === "string") audiences.push({ audience: "creator", id: creator_id });
  if (type === "dataset.offered" && typeof marketplace_id === "string")
    audiences.push({ audience: "from-offer", id: startName(aggregate, marketplace_id) });
  if (type === "dataset.published" && typeof version === "number")
    audiences.push({ audience: "from-version", id: startName(aggregate, version) });
  if (OF_DATASETS.includes(type)) {
    audiences.push({ audience: "dataset", id: aggregate });
    if (version !== FIRST_VERSION) audiences.push({ audience: "offer", id: aggregate });
  }
  if (TOUCHING.test(type) && Array.isArray(dataset_ids)) {
    for (const id of dataset_ids) if (typeof id === "string") audiences.push({ audience: "offer", id });
  }
  return audiences;
}

/** How the beginning of an offer, or of a version, is named; no identifier holds a slash. */
function startName(datasetId: string, of: string | number): string {
  return `${datasetId}/${of}`;
}
