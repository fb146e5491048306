import type { Db } from "../db/open-database.ts";
import type { VersionName } from "./version-store.ts";

export interface LinePage {
  /** The last position the reader has; undefined to begin. */
  readonly after: number | undefined;
  readonly limit: number;
}

export interface ItemLineRow {
  readonly position: number;
  readonly item: string;
  readonly leaf_hash: string;
  readonly jti: string;
  readonly stands: boolean;
}

/** The items of a version after a position, one more than the limit, each with whether it stands now. */
export async function readItemLines(
  db: Db,
  { dataset_id, version }: VersionName,
  { after, limit }: LinePage,
): Promise<readonly ItemLineRow[]> {
  const rows = await db
    .selectFrom("dataset_item")
    .innerJoin("consent", "consent.jti", "dataset_item.jti")
    .innerJoin("content_item", "content_item.content_id", "dataset_item.content_id")
    .select(["position", "item", "leaf_hash", "dataset_item.jti"])
    .select(["consent.state", "content_item.withdrawn_at", "content_item.suspended_at"])
    .where("dataset_item.dataset_id", "=", dataset_id)
    .where("dataset_item.version", "=", version)
    .where("position", ">", after ?? -1)
    .orderBy("position")
    .limit(limit + 1)
    .execute();
  return rows.map(({ state, withdrawn_at, suspended_at, ...row }) => ({
    ...row,
    stands: state === "active" && withdrawn_at === null && suspended_at === null,
  }));
}

export interface ConsentLineRow {
  readonly position: number;
  readonly jti: string;
  readonly token: string;
  readonly acceptance: string;
  readonly kid: string;
  readonly signed_by: "creator" | "platform";
}

/** The consents a version stands on after a position, one more than the limit. */
export async function readConsentLines(
  db: Db,
  { dataset_id, version }: VersionName,
  { after, limit }: LinePage,
): Promise<readonly ConsentLineRow[]> {
  return db
    .selectFrom("dataset_consent")
    .innerJoin("consent", "consent.jti", "dataset_consent.jti")
    .select(["position", "consent.jti", "consent.token", "consent.acceptance", "consent.kid", "consent.signed_by"])
    .where("dataset_consent.dataset_id", "=", dataset_id)
    .where("dataset_consent.version", "=", version)
    .where("position", ">", after ?? -1)
    .orderBy("position")
    .limit(limit + 1)
    .execute();
}
