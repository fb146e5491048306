import { PLATFORM_SCOPE, createPlatformClient } from "@licet/sdk/platform";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { describe, expect, test } from "vitest";
import { enrolCreator, expectStatus, giveConsent, registerMarketplace, uniqueId } from "./fixtures/actors.ts";
import { checkPlatform } from "./fixtures/check-platform.ts";
import { startPlatform } from "./fixtures/platform.ts";

const README = new URL("../sdk/README.md", import.meta.url);
const platform = await startPlatform();
const credentials = await makeClient();

async function makeClient(): Promise<{ readonly clientId: string; readonly clientSecret: string }> {
  const { body } = expectStatus(
    await platform.operator.post("/api/v1/clients", {
      name: "The platform's backend",
      scopes: PLATFORM_SCOPE.split(" "),
    }),
    201,
  );
  return { clientId: body.client_id, clientSecret: body.client_secret };
}

describe("the platform's backend", () => {
  const client = createPlatformClient({ origin: platform.origin, ...credentials });

  test("does what the README says it does", async () => {
    const [, program = ""] = /```ts\n([^`]*createPlatformClient[\s\S]*?)```/.exec(readFileSync(README, "utf8")) ?? [];
    const child = spawn(process.execPath, ["--conditions=@licet/source", "--input-type=module-typescript"], {
      cwd: new URL("../sdk/", import.meta.url),
      env: { LICET_ORIGIN: platform.origin, CLIENT_ID: credentials.clientId, CLIENT_SECRET: credentials.clientSecret },
      stdio: ["pipe", "pipe", "inherit"],
    });
    child.stdin.end(program);
    const [output] = await Promise.all([text(child.stdout), once(child, "exit")]);
    expect(output).toBe("active 1 revoked\n");
  });

  test("registers works one by one and in bulk, and is told about the line that is refused", async () => {
    const creator = await enrolCreator(platform);
    const work = (name: string) => ({
      creator_id: creator.creatorId,
      canonical_url: `https://works.example/${name}`,
      sha256: "a".repeat(64),
      mime_type: "text/plain",
      created_at: "2025-11-01T12:00:00Z",
    });
    const name = uniqueId("work-");
    const single = await client.registerWork(work(name), { idempotencyKey: name });
    expect(single).toMatchObject({ ok: true, value: { creator_id: creator.creatorId, revision: 1 } });
    const lines = await client.registerWorks([
      work(name),
      work(uniqueId("work-")),
      { ...work("x"), sha256: "not a hash" },
    ]);
    if (!lines.ok) throw new Error(lines.refusal.detail);
    expect(lines.value.map((line) => line.status)).toEqual(["unchanged", "created", "refused"]);
    expect(lines.value[2]?.problem).toMatchObject({ code: "input_invalid", status: 422 });
    const listed = await client.listWorks({ creator_id: creator.creatorId });
    expect(listed).toMatchObject({ ok: true, value: { next: null } });
    expect(listed.ok && listed.value.entries.length).toBe(2);
    const contentId = single.ok ? single.value.content_id : "";
    expect(await client.getWork(contentId)).toMatchObject({ ok: true, value: { content_id: contentId } });
  });

  test("signs for a creator who clicked, offers a dataset, and takes the consent back", async () => {
    const creatorId = uniqueId("user:");
    expect(await client.registerCreator(creatorId)).toMatchObject({ ok: true, value: { creator_id: creatorId } });
    const work = await client.registerWork({
      creator_id: creatorId,
      canonical_url: `https://works.example/${uniqueId("w")}`,
      sha256: "b".repeat(64),
      mime_type: "text/plain",
      created_at: "2025-11-01T12:00:00Z",
    });
    const draft = await client.draftConsent({
      creator_id: creatorId,
      subject: `creator:${creatorId}`,
      scope: ["training"],
      signer: "platform",
      evidence: { clicked: "I agree" },
    });
    if (!draft.ok || !work.ok) throw new Error("expected a draft and a work");
    const consent = await client.signForCreator(draft.value.jti);
    expect(consent).toMatchObject({ ok: true, value: { signed_by: "platform", state: "active" } });
    const dataset = await client.publishDataset({
      name: uniqueId("Collection "),
      content_items: [{ content_id: work.value.content_id }],
      pricing: { model_use: "per-token:0.0001" },
    });
    if (!dataset.ok) throw new Error(dataset.refusal.detail);
    const { marketplaceId } = await registerMarketplace(platform);
    expect(await client.offerDataset(dataset.value.dataset_id, marketplaceId)).toMatchObject({
      ok: true,
      value: { marketplace_id: marketplaceId, dataset_id: dataset.value.dataset_id },
    });
    const { jti } = draft.value;
    expect(await client.revokeConsent(jti, "changed my mind")).toMatchObject({
      ok: true,
      value: { revoked: true, datasets: [{ dataset_id: dataset.value.dataset_id, status: "revoked" }] },
    });
    expect(await client.getConsent(jti)).toMatchObject({
      ok: true,
      value: { state: "revoked", reason: "changed my mind" },
    });
  });

  test("is answered with problems, not exceptions", async () => {
    const stranger = createPlatformClient({ origin: platform.origin, clientId: "nobody", clientSecret: "nothing" });
    expect(await stranger.registerCreator("user:1")).toMatchObject({ ok: false, refusal: { status: 401 } });
    expect(await client.getConsent("ctok_AAAAAAAAAAAAAAAAAAAAAA")).toMatchObject({
      ok: false,
      refusal: { code: "not_found", status: 404 },
    });
    const creator = await enrolCreator(platform);
    await giveConsent(creator);
    const consents = await client.listConsents({ creator_id: creator.creatorId, limit: 1 });
    expect(consents).toMatchObject({ ok: true, value: { entries: [{ state: "active" }] } });
    expect(() => client.registerWorks(Array.from({ length: 1_001 }, () => ({})))).toThrow(RangeError);
  });

  test("leaves a platform that keeps its promises", async () => {
    const now = (): number => Math.floor(platform.clock.nowMs() / 1_000);
    await checkPlatform({ ...platform, now });
  });
});
