import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  offerDataset,
  publishDataset,
  registerMarketplace,
  registerWork,
} from "../../../test/fixtures/actors.ts";
import { acceptAgreement, setPolicy } from "../../../test/fixtures/licenses.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { renderDueSignals } from "./render-due.ts";

/** A Python that has `supertab-connect-sdk` (PyPI, 3.12 or newer): no client of RSL that we did not write is on npm. */
const python = process.env["LICET_RSL_PYTHON"] ?? "";
const SCRIPT = `
import asyncio, sys
from supertab_connect.customer import obtain_license_token
print(asyncio.run(obtain_license_token(client_id=sys.argv[1], client_secret=sys.argv[2], resource_url=sys.argv[3])))
`;

test.skipIf(python === "")("a client of RSL that we did not write gets a license from us, unchanged", async () => {
  const platform = await startPlatform();
  const marketplace = await registerMarketplace(platform);
  expectStatus(await acceptAgreement(platform, marketplace), 201);
  const creator = await enrolCreator(platform);
  const url = `${platform.origin}/works/song-1`;
  const work = await registerWork(platform, creator.creatorId, { canonical_url: url });
  await giveConsent(creator);
  const { dataset_id: datasetId } = await publishDataset(platform, [work]);
  await offerDataset(platform, datasetId, marketplace);
  expectStatus(await setPolicy(platform, datasetId), 200);
  await renderDueSignals(platform.server.ctx, new AbortController().signal);
  const { clientId, clientSecret } = marketplace;
  const { stdout } = await promisify(execFile)(python, ["-c", SCRIPT, clientId, clientSecret, url]);
  const [, payload = ""] = stdout.trim().split(".");
  expect(JSON.parse(Buffer.from(payload, "base64url").toString("utf8"))).toMatchObject({
    iss: platform.origin,
    sub: marketplace.marketplaceId,
    dataset_id: datasetId,
  });
});
