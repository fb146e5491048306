import type { Db } from "../db/open-database.ts";
import type { Sealer } from "../db/sealing.ts";
import { ConfigError } from "../config.ts";
import { openKey } from "./create-key.ts";
import { readSigningKeys } from "./store.ts";

/** True when the platform's keys open with this master key; undefined when there are none yet. */
export async function opensKeys(db: Db, sealer: Sealer): Promise<boolean | undefined> {
  const [first] = await readSigningKeys(db);
  if (first === undefined) return undefined;
  try {
    openKey(sealer, first);
    return true;
  } catch (error) {
    if (error instanceof ConfigError) return false;
    throw error;
  }
}
