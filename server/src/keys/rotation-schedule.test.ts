import { describe, expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  publishDataset,
  registerWork,
} from "../../../test/fixtures/actors.ts";
import { checkPlatform } from "../../../test/fixtures/check-platform.ts";
import { type Platform, startFurtherServer, startPlatform } from "../../../test/fixtures/platform.ts";
import { engine } from "../../../test/fixtures/settings.ts";
import { rotateDueOauthKey } from "../http/oauth/rotate-key.ts";
import { rotateDueKeys } from "./rotate-due-keys.ts";
import { retireKeys } from "./rotate-keys.ts";

const DAY = 86_400;
const PURPOSES = ["consent", "document", "receipt", "webhook", "license"];

interface ListedKey {
  readonly kid: string;
  readonly purpose: string;
  readonly alg: string;
  readonly status: string;
}

async function readKeys({ anonymous }: Platform): Promise<readonly ListedKey[]> {
  return expectStatus(await anonymous.get("/.well-known/keys.json"), 200).body.keys;
}

async function readRotations({ server }: Platform): Promise<readonly string[]> {
  const rows = await server.ctx.db
    .selectFrom("event")
    .innerJoin("event_body", "event_body.event_id", "event.id")
    .select(["type", "body"])
    .where("type", "in", ["key.rotated", "oauth-key.rotated"])
    .execute();
  return rows.map(({ type, body }) => `${type} by ${JSON.parse(body).body.by}`).toSorted();
}

/** What the sweep does. */
async function sweep({ server }: Platform): Promise<void> {
  await rotateDueKeys(server.ctx);
  await rotateDueOauthKey(server.ctx, "schedule");
}

describe("a key that is older than LICET_KEY_ROTATION_DAYS", () => {
  test("is handed over by itself, once, to one of the same algorithm, announced by an event", async () => {
    const platform = await startPlatform({ keyRotationSeconds: 30 * DAY });
    const { operator, clock } = platform;
    const now = () => Math.floor(clock.nowMs() / 1_000);
    expectStatus(await operator.post("/api/v1/keys/rotations", { purposes: ["receipt"], alg: "ES256" }), 201);
    const creator = await enrolCreator(platform);
    const work = await registerWork(platform, creator.creatorId);
    await giveConsent(creator);
    await publishDataset(platform, [work]);
    const before = await readKeys(platform);
    clock.advance(29 * DAY);
    await sweep(platform);
    await retireKeys(platform.server.ctx);
    expect(await readRotations(platform)).toEqual(["key.rotated by operator"]);
    clock.advance(DAY + 1);
    await Promise.all([sweep(platform), sweep(platform)]);
    expect(await readRotations(platform)).toEqual([
      "key.rotated by operator",
      ...PURPOSES.map(() => "key.rotated by schedule"),
      "oauth-key.rotated by schedule",
    ]);
    const added = (await readKeys(platform)).filter((key) => !before.some(({ kid }) => kid === key.kid));
    expect(added.map(({ purpose, alg }) => `${purpose} ${alg}`).toSorted()).toEqual([
      "consent EdDSA",
      "document EdDSA",
      "license EdDSA",
      "receipt ES256",
      "webhook EdDSA",
    ]);
    clock.advance(1_300);
    await retireKeys(platform.server.ctx);
    const active = (await readKeys(platform)).filter((key) => key.status === "active");
    expect(active.map(({ kid }) => kid).toSorted()).toEqual(added.map(({ kid }) => kid).toSorted());
    await checkPlatform({ ...platform, now });
  });

  test("stays when the setting is 0, until seven days before its end", async () => {
    const platform = await startPlatform({ keyRotationSeconds: undefined });
    platform.clock.advance(700 * DAY);
    await sweep(platform);
    expect(await readRotations(platform)).toEqual([]);
    platform.clock.advance(26 * DAY);
    await sweep(platform);
    expect(await readRotations(platform)).toEqual(PURPOSES.map(() => "key.rotated by schedule"));
  });

  test.runIf(engine === "postgres")("is handed over once, however many servers look", async () => {
    const platform = await startPlatform({ keyRotationSeconds: 30 * DAY });
    const further = await startFurtherServer(platform, { keyRotationSeconds: 30 * DAY });
    platform.clock.advance(31 * DAY);
    await Promise.all([sweep(platform), sweep({ ...platform, server: further.server })]);
    expect(await readRotations(platform)).toHaveLength(PURPOSES.length + 1);
  });
});
