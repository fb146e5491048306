import type { Share, SplitMeasure } from "@licet/protocol";
import { sql } from "kysely";
import { anyOf } from "../db/any-of.ts";
import type { Db, Trx } from "../db/open-database.ts";
import type { ItemRow, VersionRow } from "./store.ts";

/** Rows that one statement writes. */
export const LINE_BATCH = 500;

export interface VersionName {
  readonly dataset_id: string;
  readonly version: number;
}

export async function insertVersionRow(trx: Trx, version: VersionRow): Promise<void> {
  await trx.insertInto("dataset_version").values(version).execute();
}

/** A line of a version; `position` is its place. */
export type ItemLine = Omit<ItemRow, "dataset_id" | "version">;
export interface ConsentLine {
  readonly position: number;
  readonly jti: string;
}

export async function insertItems(
  trx: Trx,
  { dataset_id, version }: VersionName,
  lines: readonly ItemLine[],
): Promise<void> {
  if (lines.length === 0) return;
  await sql`
    insert into dataset_item (dataset_id, version, position, content_id, creator_id, jti, item, leaf_hash)
    select ${dataset_id}, ${version}::int, line.*
      from unnest(${lines.map((line) => line.position)}::int[], ${lines.map((line) => line.content_id)}::text[],
                  ${lines.map((line) => line.creator_id)}::text[], ${lines.map((line) => line.jti)}::text[],
                  ${lines.map((line) => line.item)}::text[], ${lines.map((line) => line.leaf_hash)}::text[]) as line`.execute(
    trx,
  );
}

export async function insertConsents(
  trx: Trx,
  { dataset_id, version }: VersionName,
  lines: readonly ConsentLine[],
): Promise<void> {
  if (lines.length === 0) return;
  await sql`
    insert into dataset_consent (dataset_id, version, position, jti)
    select ${dataset_id}, ${version}::int, line.*
      from unnest(${lines.map((line) => line.position)}::int[], ${lines.map((line) => line.jti)}::text[]) as line`.execute(
    trx,
  );
}

export interface Build extends VersionName {
  readonly buildId: string;
}

/** Takes the writing of a dataset's next version for ourselves, until the lease ends; false while somebody else has it. */
export async function beginBuild(
  db: Db,
  { dataset_id, version, buildId }: Build,
  { nowMs, leaseUntilMs }: { readonly nowMs: number; readonly leaseUntilMs: number },
): Promise<boolean> {
  const { rows } = await sql`
    insert into dataset_build (dataset_id, build_id, version, lease_until_ms)
    values (${dataset_id}, ${buildId}, ${version}, ${leaseUntilMs})
    on conflict (dataset_id) do update
      set build_id = excluded.build_id, version = excluded.version, lease_until_ms = excluded.lease_until_ms
      where dataset_build.lease_until_ms < ${nowMs}
    returning build_id`.execute(db);
  return rows.length > 0;
}

/** Holds a build to the commit and extends its lease; false when it is no longer ours. */
export async function holdBuild(trx: Trx, { dataset_id, buildId }: Build, leaseUntilMs: number): Promise<boolean> {
  const held = await trx
    .updateTable("dataset_build")
    .set({ lease_until_ms: leaseUntilMs })
    .where("dataset_id", "=", dataset_id)
    .where("build_id", "=", buildId)
    .returning("build_id")
    .execute();
  return held.length > 0;
}

export async function deleteBuild(db: Db | Trx, { dataset_id, buildId }: Build): Promise<void> {
  await db.deleteFrom("dataset_build").where("dataset_id", "=", dataset_id).where("build_id", "=", buildId).execute();
}

/** Builds whose servers are gone. */
export async function readAbandonedBuilds(db: Db, nowMs: number, limit: number): Promise<readonly Build[]> {
  const rows = await db
    .selectFrom("dataset_build")
    .selectAll()
    .where("lease_until_ms", "<", nowMs)
    .orderBy("lease_until_ms")
    .limit(limit)
    .execute();
  return rows.map(({ dataset_id, version, build_id }) => ({ dataset_id, version, buildId: build_id }));
}

/** Deletes some of the lines of a version that was never published; false when none are left. */
export async function deleteSomeLines(trx: Trx, { dataset_id, version }: VersionName): Promise<boolean> {
  let deleted = 0;
  await trx.deleteFrom("creator_weight").where("dataset_id", "=", dataset_id).where("version", "=", version).execute();
  for (const table of ["dataset_item", "dataset_consent"] as const) {
    const { rows } = await sql`
      delete from ${sql.table(table)}
       where dataset_id = ${dataset_id} and version = ${version}
         and position in (select position from ${sql.table(table)}
                           where dataset_id = ${dataset_id} and version = ${version} limit ${LINE_BATCH})
      returning position`.execute(trx);
    deleted += rows.length;
  }
  return deleted > 0;
}

/** A line of a published version with how its consent and its work are now. */
export interface StandingLine extends ItemLine {
  readonly token: string;
  /** The revision of the work that the version pins. */
  readonly revision: number;
  /** False when it will never stand again. */
  readonly isLeft: boolean;
}

/** The lines of a version after a position, in order. */
export async function readStandingLines(
  db: Db,
  { dataset_id, version }: VersionName,
  { after, now }: { readonly after: number; readonly now: number },
): Promise<readonly StandingLine[]> {
  const rows = await db
    .selectFrom("dataset_item")
    .innerJoin("consent", "consent.jti", "dataset_item.jti")
    .innerJoin("content_item", "content_item.content_id", "dataset_item.content_id")
    .select(["position", "dataset_item.content_id", "dataset_item.creator_id", "dataset_item.jti", "item", "leaf_hash"])
    .select(["consent.token", sql<number>`(item::json->>'revision')::int`.as("revision")])
    .select((eb) =>
      eb
        .and([
          eb("consent.state", "in", ["active", "suspended"]),
          eb("consent.expires_at", ">", now),
          eb("content_item.withdrawn_at", "is", null),
        ])
        .as("isLeft"),
    )
    .where("dataset_item.dataset_id", "=", dataset_id)
    .where("dataset_item.version", "=", version)
    .where("position", ">", after)
    .orderBy("position")
    .limit(LINE_BATCH)
    .execute();
  return rows.map((row) => ({ ...row, isLeft: row.isLeft === true }));
}

/** The consent that each of these works stands on in a dataset's current version. */
export async function readCurrentJtis(
  db: Db | Trx,
  datasetId: string,
  contentIds: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const rows = await db
    .selectFrom("dataset_item")
    .innerJoin("dataset", (join) =>
      join
        .onRef("dataset.dataset_id", "=", "dataset_item.dataset_id")
        .onRef("dataset.current_version", "=", "dataset_item.version"),
    )
    .select(["dataset_item.content_id", "dataset_item.jti"])
    .where("dataset_item.dataset_id", "=", datasetId)
    .where("dataset_item.content_id", "=", anyOf(contentIds))
    .execute();
  return new Map(rows.map((row) => [row.content_id, row.jti]));
}

const WEIGHT_SQL: Record<SplitMeasure, string> = {
  items: "1",
  tokens: "(item::json->>'token_count')::numeric",
  seconds: "(item::json->>'length_ms')::numeric",
  bytes: "(item::json->>'size_bytes')::numeric",
};

/** Keeps what each creator's works of a version count in a split, once all of its lines are there. */
export async function keepCreatorWeights(trx: Trx, { dataset_id, version }: VersionName): Promise<void> {
  await sql`select keep_creator_weights(${dataset_id}, ${version}::int)`.execute(trx);
}

/** What each creator's works of a version count in a split, by creator; added up anew where nothing is kept. */
export async function readCreatorWeights(
  db: Db | Trx,
  { dataset_id, version }: VersionName,
  by: SplitMeasure,
): Promise<readonly Share[]> {
  const { rows } = await sql<{ creator_id: string; weight: string }>`
    select creator_id, ${sql.ref(by)}::text as weight
      from creator_weight where dataset_id = ${dataset_id} and version = ${version}
     order by creator_id collate "C"`.execute(db);
  if (rows.length === 0) return addUpCreatorWeights(db, { dataset_id, version }, by);
  return rows.map(({ creator_id, weight }) => ({ name: creator_id, weight: BigInt(weight) }));
}

/** The same, added up anew from the lines of the version, which never change. */
export async function addUpCreatorWeights(
  db: Db | Trx,
  { dataset_id, version }: VersionName,
  by: SplitMeasure,
): Promise<readonly Share[]> {
  const { rows } = await sql<{ creator_id: string; weight: string }>`
    select creator_id, sum(${sql.raw(WEIGHT_SQL[by])})::text as weight
      from dataset_item where dataset_id = ${dataset_id} and version = ${version}
     group by creator_id order by creator_id collate "C"`.execute(db);
  return rows.map(({ creator_id, weight }) => ({ name: creator_id, weight: BigInt(weight) }));
}
