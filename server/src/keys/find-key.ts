import type { PlatformKey } from "@licet/protocol";
import type { Db, Trx } from "../db/open-database.ts";
import { holdSigningKeys, platformKeyOf, readSigningKeys } from "./store.ts";

export async function readPlatformKeys(db: Db | Trx): Promise<readonly PlatformKey[]> {
  return (await readSigningKeys(db)).map(platformKeyOf);
}

/** The same, held: until the transaction ends, the key is not revoked. */
export async function holdPlatformKey(trx: Trx, kid: string): Promise<PlatformKey | undefined> {
  await holdSigningKeys(trx);
  return findPlatformKey(trx, kid);
}

/** The platform's key that a token or a document names, with its lifetime. */
async function findPlatformKey(db: Db | Trx, kid: string): Promise<PlatformKey | undefined> {
  return (await readPlatformKeys(db)).find((key) => key.kid === kid);
}
