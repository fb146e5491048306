import { type DatasetState, MAX_NAMED_WITHDRAWN, type Withdrawn, datasetStateOf, formatInstant } from "@licet/protocol";
import type { Db, Trx } from "../db/open-database.ts";
import { type Ended, type Fallen, countFallen, readEnded } from "./standing-store.ts";
import type { DatasetRow, VersionRow } from "./store.ts";

/** What stands, and what does not, of a dataset. */
export interface Standing {
  readonly state: DatasetState;
  /** Items of the current version. */
  readonly withdrawnItems: number;
  /** Those of them that will never stand again. */
  readonly goneItems: number;
  /** Tokens of any valid version that do not stand, newest first, at most {@link MAX_NAMED_WITHDRAWN}; and how many there are in all. */
  readonly revokedJtis: readonly string[];
  readonly revokedCount: number;
  /** Tokens and single works of the current version, newest first. */
  readonly withdrawn: readonly Withdrawn[];
  readonly withdrawnCount: number;
}

/**
 * Derives what stands of published datasets from the consents and works as they are now, for all of
 * them at once: there is no second copy of it to keep true.
 */
export async function readStandings(
  db: Db | Trx,
  datasets: readonly DatasetRow[],
  versions: ReadonlyMap<string, VersionRow>,
): Promise<ReadonlyMap<string, Standing>> {
  const current = datasets.map((row) => ({ dataset_id: row.dataset_id, version: row.current_version }));
  const fallen = new Map((await countFallen(db, current)).map((row) => [row.dataset_id, row]));
  const spans = datasets.map((row) => ({
    dataset_id: row.dataset_id,
    first: Math.min(row.min_valid_version, row.current_version),
    current: row.current_version,
  }));
  const ended = Map.groupBy(await readEnded(db, spans), (row) => row.dataset_id);
  return new Map(
    datasets.map((row) => {
      const total = versions.get(row.dataset_id)?.items_count ?? 0;
      return [row.dataset_id, standingOf(row, total, fallen.get(row.dataset_id), ended.get(row.dataset_id) ?? [])];
    }),
  );
}

function standingOf(row: DatasetRow, total: number, fallen: Fallen | undefined, ended: readonly Ended[]): Standing {
  const { revoked, expired, suspended } = fallen ?? { revoked: 0, expired: 0, suspended: 0 };
  const [first] = ended;
  const tokens = ended.flatMap(({ jti, token_place }) =>
    jti !== null && token_place <= MAX_NAMED_WITHDRAWN ? [jti] : [],
  );
  return {
    state: stateOf(row, { total, revoked, expired, suspended }),
    withdrawnItems: revoked + expired + suspended,
    goneItems: revoked + expired,
    revokedJtis: tokens,
    revokedCount: first?.token_count ?? 0,
    withdrawn: ended.filter((entry) => entry.is_current && entry.current_place <= MAX_NAMED_WITHDRAWN).map(withdrawnOf),
    withdrawnCount: first?.current_count ?? 0,
  };
}

/** What was said of the dataset itself comes before what its works say together; its end before its suspension. */
function stateOf(row: DatasetRow, items: Parameters<typeof datasetStateOf>[0]): DatasetState {
  if (row.ended_at !== null) return "revoked";
  const together = datasetStateOf(items);
  return row.suspended_at !== null && together !== "revoked" && together !== "expired" ? "suspended" : together;
}

function withdrawnOf(entry: Ended): Withdrawn {
  const at = formatInstant(entry.ended_at);
  return entry.jti === null ? { at, content_id: entry.content_id ?? "" } : { at, jti: entry.jti };
}

/** How one version stands, whichever it is, and when it last lost something (seconds since the epoch). */
export interface VersionStanding {
  readonly state: DatasetRow["state"];
  readonly lastLostAt: number | undefined;
}

/** How versions stand by themselves. */
export async function readVersionsStanding(
  db: Db | Trx,
  versions: readonly VersionRow[],
): Promise<ReadonlyMap<VersionRow, VersionStanding>> {
  const fallen = new Map((await countFallen(db, versions)).map((row) => [`${row.dataset_id}/${row.version}`, row]));
  return new Map(
    versions.map((version) => {
      const row = fallen.get(`${version.dataset_id}/${version.version}`);
      const { revoked, expired, suspended } = row ?? { revoked: 0, expired: 0, suspended: 0 };
      const state = datasetStateOf({ total: version.items_count, revoked, expired, suspended });
      return [version, { state, lastLostAt: row?.last_fallen_at }];
    }),
  );
}
