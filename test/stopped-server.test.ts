import { afterAll, describe, expect, test } from "vitest";
import { enrolCreator, expectStatus, giveConsent, publishDataset, registerWork } from "./fixtures/actors.ts";
import { createCaller } from "./fixtures/caller.ts";
import { checkPlatform } from "./fixtures/check-platform.ts";
import { fileOf, startChild } from "./fixtures/child-process.ts";
import { freePort, startPlatform } from "./fixtures/platform.ts";
import { engine } from "./fixtures/settings.ts";

const VIEW = "/.well-known/consent-revocations.json";
const PATIENCE = { timeout: 30_000, interval: 10 };
const ROUNDS = 3;
/** The promise between servers, and what a busy machine takes to do as it was told. */
const PROMISED_MS = 250;

/**
 * A process that is stopped and goes on knows nothing of the time in between, and has what it
 * missed still before it: the request was there before the notice. It must not answer from memory.
 */
describe.skipIf(engine === "pglite")(
  "a server whose process stands still (the embedded database takes one)",
  async () => {
    if (engine === "pglite") return;
    const platform = await startPlatform();
    const port = await freePort();
    const address = `http://127.0.0.1:${port}`;
    const far = await startChild(fileOf("server/src/main.ts"), {
      LICET_PORT: String(port),
      LICET_ORIGIN: platform.origin,
      LICET_DATA_DIR: platform.database.dataFolder,
      DATABASE_URL: platform.database.databaseUrl ?? "",
      LICET_LOG_LEVEL: "silent",
      LICET_EXIT_WITH_PARENT: "1",
    });
    afterAll(() => far.kill());
    const anonymous = createCaller(address);
    const ana = await enrolCreator(platform);

    test("while another one revokes says so in its first answer, although the question came before the notice", async () => {
      for (let round = 0; round < ROUNDS; round += 1) {
        const work = await registerWork(platform, ana.creatorId);
        const { jti } = await giveConsent(ana, { subject: `content:${work}` });
        const path = `/.well-known/dataset-status/${(await publishDataset(platform, [work])).dataset_id}`;
        await expect.poll(async () => (await anonymous.get(path)).body.status, PATIENCE).toBe("active");
        expect(await listedBy(anonymous.get(VIEW))).not.toContain(jti);
        far.process.kill("SIGSTOP");
        const asked = [anonymous.get(path), anonymous.get(VIEW)] as const;
        expectStatus(await ana.caller.post(`/api/v1/consents/${jti}/revoke`, {}), 200);
        await new Promise((resolve) => setTimeout(resolve, PROMISED_MS));
        far.process.kill("SIGCONT");
        expect((await asked[0]).body.status).toBe("revoked");
        expect(await listedBy(asked[1])).toContain(jti);
      }
    });

    test("and every server says it once the promised time is over, however often it was asked before", async () => {
      const work = await registerWork(platform, ana.creatorId);
      const { jti } = await giveConsent(ana, { subject: `content:${work}` });
      expect(await listedBy(anonymous.get(VIEW))).not.toContain(jti);
      expectStatus(await ana.caller.post(`/api/v1/consents/${jti}/revoke`, {}), 200);
      await new Promise((resolve) => setTimeout(resolve, PROMISED_MS));
      expect(await listedBy(anonymous.get(VIEW))).toContain(jti);
    });

    test("and both keep the platform's promises", async () => {
      const now = () => Math.floor(platform.clock.nowMs() / 1_000);
      await checkPlatform({ hasCrashed: true, ...platform, now, furtherAddresses: [address] });
    });

    async function listedBy(answer: ReturnType<typeof anonymous.get>): Promise<readonly string[]> {
      const { body } = expectStatus(await answer, 200);
      return body.revocations.map((entry: { readonly jti: string }) => entry.jti);
    }
  },
);
