import { type JsonObject, isJsonObject, parseJsonObject } from "@licet/protocol";
import { ANA, BRAM, revoke } from "@licet/sdk/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { NOW, type Answered, type Stage, setStage } from "./testing/started-marketplace.ts";

let stage: Stage;

beforeEach(async () => {
  stage = await setStage();
  await stage.connect();
  await stage.register();
});
afterEach(() => stage.end());

const DATASET = "/api/v1/datasets/ds_sample";

/** A message that the feed holds, whether it was delivered or not. */
function keep(message: Parameters<Stage["platform"]["webhook"]>[0]): void {
  const parsed = parseJsonObject(stage.platform.webhook(message).body);
  const body: JsonObject | undefined = parsed.ok && isJsonObject(parsed.value) ? parsed.value : undefined;
  if (body !== undefined) stage.platform.feed.push(body);
}

async function dataset(): Promise<Answered["body"]> {
  return (await stage.call("GET", DATASET)).body;
}

describe("a marketplace that was away", () => {
  it("stops at its start for what was taken back meanwhile", async () => {
    expect(await dataset()).toMatchObject({ training: "allowed" });
    revoke(stage.platform.facts, BRAM.jti, NOW);
    keep({ change: "published", sequence: 1 });
    keep({ change: "resumed", sequence: 2 });
    keep({ change: "revoked", sequence: 3, jti: BRAM.jti });
    await stage.restart();
    await expect
      .poll(dataset)
      .toMatchObject({ training: "stopped", status: "partially_revoked", reason: expect.stringContaining(BRAM.jti) });
  });

  it("is not stopped again by what it heard of and verified since", async () => {
    revoke(stage.platform.facts, BRAM.jti, NOW);
    keep({ change: "revoked", sequence: 1, jti: BRAM.jti });
    await stage.deliver({ change: "revoked", sequence: 1, jti: BRAM.jti });
    await stage.call("POST", `${DATASET}/verifications`);
    expect(await dataset()).toMatchObject({ training: "allowed" });
    await stage.restart();
    keep({ change: "suspended", sequence: 2, jti: ANA.jti });
    expect(await dataset()).toMatchObject({ training: "allowed" });
    await stage.restart();
    await expect.poll(dataset).toMatchObject({ training: "stopped", reason: expect.stringContaining(ANA.jti) });
  });

  it("goes on where it stopped, and starts without a platform that answers", async () => {
    const asked: (string | null)[] = [];
    keep({ change: "resumed", sequence: 1 });
    keep({ change: "resumed", sequence: 2 });
    keep({ change: "resumed", sequence: 3 });
    await stage.restart();
    await stage.restart();
    stage.platform.answers.set("/api/v1/events", (request) => {
      asked.push(new URL(request.url).searchParams.get("after"));
      return new Response(null, { status: 500 });
    });
    await stage.restart();
    await expect.poll(() => asked).toEqual(["3"]);
    expect(await dataset()).toMatchObject({ training: "allowed" });
  });
});
