import { type JsonObject, type JsonValue, accept } from "@licet/protocol";
import type { Context } from "../context.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { endLicenses } from "../licenses/end-license.ts";
import { extendLicense, findLicense, lockLicenses } from "../licenses/lookup.ts";
import { loseLicensePolicy } from "../licenses/license-policy.ts";
import { restoreStatuses } from "../status-lists/restore-statuses.ts";
import type { JournalEvent, JournalFact } from "./read-journal.ts";

/** Ends licenses again, and lets those go on that were renewed. Answers the types of the events that changed something. */
export async function replayLicenses(
  fact: Fact,
  events: readonly JournalEvent[],
  reason: string,
): Promise<readonly string[]> {
  const licenseIds = events.filter(({ type }) => type.startsWith("license.")).map((event) => event.aggregate);
  const rows = await lockLicenses(fact.trx, [...new Set(licenseIds)].sort());
  const changed: string[] = [];
  for (const { type, aggregate, body } of events) {
    const row = rows.find((license) => license.license_id === aggregate);
    if (row === undefined) continue;
    const by = typeof body["by"] === "string" ? body["by"] : "restore";
    if (type === "license.revoked" || type === "license.expired") {
      const state = type === "license.revoked" ? "revoked" : "expired";
      if ((await endLicenses(fact, [row], { state, by, reason })).length > 0) changed.push(type);
    } else if (type === "license.renewed" && typeof body["expires_at"] === "number") {
      if (await extendLicense(fact.trx, row, body["expires_at"])) changed.push(type);
    }
  }
  return changed;
}

/** Licenses that are refused in one fact. */
const BATCH = 500;

/**
 * Refuses the licenses that were issued after the backup and are lost: nobody could charge, renew or
 * revoke them any more. Answers their ids; their marketplaces ask for new ones.
 */
export async function refuseLostLicenses(ctx: Context, facts: readonly JournalFact[]): Promise<readonly string[]> {
  const issued = facts.flatMap((fact) => fact.events.filter(({ type }) => type === "license.issued"));
  const lost: string[] = [];
  for (let at = 0; at < issued.length; at += BATCH) {
    const batch = issued.slice(at, at + BATCH);
    await writeFact(ctx, async (fact) => {
      for (const { aggregate, body } of batch) {
        if ((await findLicense(fact.trx, aggregate)) !== undefined) continue;
        lost.push(aggregate);
        await restoreStatuses(fact, [placeOf(body)]);
      }
      return accept(undefined);
    });
  }
  return lost;
}

/** Has a person decide where the policy was changed after the backup: who set it does so again. */
export async function loseLicensePolicies(ctx: Context, facts: readonly JournalFact[]): Promise<void> {
  const changed = facts.flatMap((fact) => fact.events.filter(({ type }) => type === "license-policy.changed"));
  for (const datasetId of new Set(changed.map(({ aggregate }) => aggregate))) await loseLicensePolicy(ctx, datasetId);
}

function placeOf(body: JsonObject) {
  return {
    status_list: numberOf(body["status_list"]),
    status_idx: numberOf(body["status_idx"]),
    status: "revoked",
  } as const;
}

function numberOf(value: JsonValue | undefined): number {
  if (typeof value !== "number") throw new TypeError("journal: expected a place in a status list that we wrote");
  return value;
}
