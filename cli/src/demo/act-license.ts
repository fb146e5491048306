import { anyObject, identifier, instant, listOf, objectOf, sha256, textUpTo } from "@licet/protocol";
import { type LicetClient, createClient } from "@licet/sdk";
import { call, callRefused } from "../call-api.ts";
import { operatorOf } from "./act-consent.ts";
import type { OfferedDataset } from "./act-dataset.ts";
import { claim } from "../command-error.ts";
import type { Narrator } from "./narrate.ts";
import type { Stage } from "./start-processes.ts";

const LICENSE_DAYS = 90;
const SPEND_CAP_MICROS = "50000000";

const LICENSE = objectOf({
  license_id: identifier,
  agreement: textUpTo(128),
  model: objectOf({ model_id: textUpTo(256), fingerprint: sha256 }),
  price: textUpTo(64),
  currency: textUpTo(3),
  expires_at: instant,
  state: textUpTo(32),
});
const LICENSES = objectOf({ licenses: listOf(LICENSE, { max: 1_000 }) });

/** A license as the platform shows it. */
export type HeldLicense = ReturnType<typeof LICENSE>;

/** The marketplace as a client of the platform. */
export function clientOf({ origin }: Stage, { credentials }: OfferedDataset): LicetClient {
  const { client_id: clientId, client_secret: clientSecret, scope } = credentials;
  return createClient({ origin, clientId, clientSecret, scope });
}

/** The operator says once who may get which license; what is within that is decided at once. */
export async function actPolicy(stage: Stage, { dataset_id }: OfferedDataset, narrator: Narrator): Promise<void> {
  const path = `/api/v1/datasets/${dataset_id}/license-policy`;
  const rule = { scope: ["training"], spend_cap_micros: SPEND_CAP_MICROS };
  await narrator.step(
    () =>
      call(
        operatorOf(stage),
        { method: "PUT", path, body: { mode: "rule", rule, max_term_days: LICENSE_DAYS } },
        anyObject,
      ),
    () =>
      `The operator sets a rule: a license to train, for at most ${LICENSE_DAYS} days and 50 USD, is given at once; whatever goes further waits for a person.`,
  );
}

/** What the marketplace holds once it has asked. */
export async function readLicense(stage: Stage, dataset: OfferedDataset): Promise<HeldLicense> {
  const query = { dataset_id: dataset.dataset_id };
  const { licenses } = await call(
    clientOf(stage, dataset),
    { method: "GET", path: "/api/v1/licenses", query },
    LICENSES,
  );
  const [license] = licenses;
  claim(
    license !== undefined && licenses.length === 1 && license.state === "active",
    `expected one license in force, got ${licenses.length}`,
  );
  return license;
}

/** More than the creators allowed is refused, and every work that says no is named. */
export async function actRefusedScope(
  stage: Stage,
  dataset: OfferedDataset,
  license: HeldLicense,
  narrator: Narrator,
): Promise<void> {
  const path = `/api/v1/datasets/${dataset.dataset_id}/licenses`;
  const body = { model: license.model, scope: ["training", "commercial_derivative"] };
  await narrator.step(
    async () => {
      const refused = await callRefused(clientOf(stage, dataset), { method: "POST", path, body }, 422);
      const named = refused.offences?.length ?? 0;
      claim(
        named === dataset.items_count,
        `expected all ${dataset.items_count} works to be named, got ${named} (${refused.code}: ${refused.detail})`,
      );
      return named;
    },
    (named) =>
      `It asks for a license to sell works derived from these, too. Refused: no consent grants that, and each of the ${named} works is named with the reason.`,
  );
}
