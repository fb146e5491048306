import type { JsonObject } from "@licet/protocol";
import type { FeedAudience } from "../db/tables.ts";
import { readersOf } from "./event-readers.ts";

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

/** A first version is no news to anybody: whoever has the dataset by then was offered it afterwards. */
const FIRST_VERSION = 1;

/** Where an event is read, in the order of its positions. */
export function audiencesOf({ type, aggregate, body = {} }: FeedEvent): readonly Audience[] {
  const { creator_id, marketplace_id, dataset_id, version } = body;
  const readers = readersOf(type);
  const audiences: Audience[] = [{ audience: "platform", id: "" }];
  if (readers.creator === "own" && typeof creator_id === "string")
    audiences.push({ audience: "creator", id: creator_id });
  if (type === "dataset.offered" && typeof marketplace_id === "string")
    audiences.push({ audience: "from-offer", id: startName(aggregate, marketplace_id) });
  if (type === "dataset.published" && typeof version === "number")
    audiences.push({ audience: "from-version", id: startName(aggregate, version) });
  if (readers.creator === "held")
    audiences.push({ audience: "dataset", id: typeof dataset_id === "string" ? dataset_id : aggregate });
  if (readers.marketplace === "offered") {
    for (const id of offeredIn(aggregate, body)) audiences.push({ audience: "offer", id });
  }
  if (readers.marketplace === "own" && typeof marketplace_id === "string")
    audiences.push({ audience: "marketplace", id: marketplace_id });
  return audiences;
}

/** The datasets by which marketplaces are told: the ones that are touched, or the one it is about. */
function offeredIn(aggregate: string, { dataset_ids, version }: JsonObject): readonly string[] {
  if (Array.isArray(dataset_ids)) return dataset_ids.filter((id) => typeof id === "string");
  return version === FIRST_VERSION ? [] : [aggregate];
}

/** How the beginning of an offer, or of a version, is named; no identifier holds a slash. */
function startName(datasetId: string, of: string | number): string {
  return `${datasetId}/${of}`;
}
