import { type DatasetState, MAX_NAMED_WITHDRAWN, type Withdrawn, datasetStateOf, formatInstant } from "@licet/protocol";
import { sql } from "kysely";
import type { Db, Trx } from "../db/open-database.ts";

/** What stands, and what no longer stands, of a dataset's version. */
export interface Standing {
  readonly state: DatasetState;
  readonly withdrawnItems: number;
  /** Tokens that ended, newest first, at most {@link MAX_NAMED_WITHDRAWN}; and how many there are in all. */
  readonly revokedJtis: readonly string[];
  readonly revokedCount: number;
  /** Tokens and single works, newest first. */
  readonly withdrawn: readonly Withdrawn[];
  readonly withdrawnCount: number;
}

interface Ended {
  readonly jti: string | null;
  readonly content_id: string | null;
  readonly ended_at: number;
}

/** Derives what stands from the consents and works as they are now: there is no second copy of it to keep true. */
export async function readStanding(trx: Trx | Db, datasetId: string, version: number): Promise<Standing> {
  const items = await countItems(trx, datasetId, version);
  const ended = await readEnded(trx, datasetId, version);
  const revoked = ended.filter((entry) => entry.jti !== null);
  return {
    state: datasetStateOf(items),
    withdrawnItems: items.revoked + items.suspended + items.expired,
    revokedJtis: revoked.map((entry) => entry.jti ?? "").slice(0, MAX_NAMED_WITHDRAWN),
    revokedCount: revoked.length,
    withdrawn: ended.slice(0, MAX_NAMED_WITHDRAWN).map(withdrawnOf),
    withdrawnCount: ended.length,
  };
}

function withdrawnOf(entry: Ended): Withdrawn {
  const at = formatInstant(entry.ended_at);
  return entry.jti === null ? { at, content_id: entry.content_id ?? "" } : { at, jti: entry.jti };
}

async function countItems(
  trx: Trx | Db,
  datasetId: string,
  version: number,
): Promise<Parameters<typeof datasetStateOf>[0]> {
  const { rows } = await sql<{ total: number; revoked: number; suspended: number; expired: number }>`
    select count(*) as total,
           count(*) filter (where content_item.withdrawn_at is not null or consent.state = 'revoked') as revoked,
           count(*) filter (where content_item.withdrawn_at is null and consent.state = 'suspended') as suspended,
           count(*) filter (where content_item.withdrawn_at is null and consent.state = 'expired') as expired
      from dataset_item
      join consent on consent.jti = dataset_item.jti
      join content_item on content_item.content_id = dataset_item.content_id
     where dataset_item.dataset_id = ${datasetId} and dataset_item.version = ${version}`.execute(trx);
  const [counts] = rows;
  if (counts === undefined) throw new TypeError("expected one row of counts");
  return counts;
}

async function readEnded(trx: Trx | Db, datasetId: string, version: number): Promise<readonly Ended[]> {
  const { rows } = await sql<Ended>`
    select consent.jti, null as content_id, consent.ended_at
      from dataset_consent
      join consent on consent.jti = dataset_consent.jti
     where dataset_consent.dataset_id = ${datasetId} and dataset_consent.version = ${version} and consent.state <> 'active'
    union all
    select null as jti, content_item.content_id, content_item.withdrawn_at as ended_at
      from dataset_item
      join content_item on content_item.content_id = dataset_item.content_id
     where dataset_item.dataset_id = ${datasetId} and dataset_item.version = ${version} and content_item.withdrawn_at is not null
     order by ended_at desc, jti, content_id`.execute(trx);
  return rows;
}
