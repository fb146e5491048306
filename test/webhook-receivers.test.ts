import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { afterAll, describe, expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  offerDataset,
  publishDataset,
  registerMarketplace,
  registerWork,
} from "./fixtures/actors.ts";
import { bareEnvironment, fileOf } from "./fixtures/child-process.ts";
import { startPlatform } from "./fixtures/platform.ts";
import { randomInt } from "node:crypto";

const RECEIVERS = {
  Hono: "examples/webhook-receivers/hono.ts",
  Express: "examples/webhook-receivers/express.ts",
  Next: "examples/webhook-receivers/next/serve-route.ts",
} as const;
const ports = Object.fromEntries(
  Object.keys(RECEIVERS).map((name, index) => [name, 20_000 + randomInt(4_000) * 3 + index]),
);

const platform = await startPlatform({ allowedHosts: Object.values(ports).map((port) => `127.0.0.1:${port}`) });
const started: ChildProcess[] = [];

afterAll(() => {
  for (const child of started) child.kill("SIGKILL");
});

/** Starts an example as its reader would, and answers the lines it prints. */
async function startExample(program: string, port: number, secret: string): Promise<AsyncIterator<string>> {
  const child = spawn(process.execPath, ["--conditions=@licet/source", fileOf(program)], {
    env: { ...bareEnvironment(), NODE_ENV: "test", PORT: String(port), WEBHOOK_SECRETS: secret },
    stdio: ["ignore", "pipe", "inherit"],
  });
  started.push(child);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const first = await lines.next();
  expect(JSON.parse(String(first.value)).ready).toBe(true);
  return lines;
}

describe.each(Object.entries(RECEIVERS))("the receiver for %s", (name, program) => {
  test("hears of a revocation, and takes nothing that is not signed", async () => {
    const port = ports[name] ?? 0;
    const url = `http://127.0.0.1:${port}/webhooks/consent-updated`;
    const marketplace = await registerMarketplace(platform, { webhook_url: url });
    const lines = await startExample(program, port, marketplace.webhookSecret);
    const creator = await enrolCreator(platform);
    const work = await registerWork(platform, creator.creatorId);
    const { jti } = await giveConsent(creator);
    const dataset = await publishDataset(platform, [work]);
    await offerDataset(platform, dataset.dataset_id, marketplace);
    expectStatus(await creator.caller.post(`/api/v1/consents/${jti}/revoke`, {}), 200);
    let heard: unknown;
    while (heard === undefined) {
      const line = await lines.next();
      if (line.done === true) throw new Error(`${program} ended before it heard of the revocation`);
      const event = JSON.parse(line.value);
      if (event.change === "revoked") heard = event;
    }
    expect(heard).toEqual({ change: "revoked", dataset_id: dataset.dataset_id });

    const forged = await fetch(url, { method: "POST", body: '{"change":"granted"}' });
    expect(forged.status).toBe(401);
    expect(forged.headers.get("content-type")).toBe("application/problem+json");
    expect((await fetch(url, { method: "POST", body: "x".repeat(70_000) })).status).toBe(413);
    started.at(-1)?.kill("SIGTERM");
    await once(started.at(-1) ?? process, "exit");
  });
});
