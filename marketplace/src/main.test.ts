import { ANA, BRAM, type SamplePlatform, createSamplePlatform, listen, revoke } from "@licet/sdk/testing";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { bareEnvironment } from "../../test/fixtures/child-process.ts";
import { PLATFORM_TOKEN, TOKEN, callAt, connectionOf, registrationOf } from "./testing/started-marketplace.ts";

const MAIN = new URL("./main.ts", import.meta.url);

interface Started {
  readonly child: ChildProcess;
  readonly lines: string[];
  readonly origin: string;
  readonly receiptKid: string;
}

let dataDir: string;
let platform: SamplePlatform;
let listener: Awaited<ReturnType<typeof listen>>;
const children: ChildProcess[] = [];

beforeEach(async () => {
  dataDir = mkdtempSync(join(tmpdir(), "licet-marketplace-"));
  listener = await listen();
  platform = await createSamplePlatform({ origin: listener.origin, now: () => Math.floor(Date.now() / 1000) });
  listener.answerWith(platform.handle);
});

afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGKILL");
      await once(child, "exit");
    }
  }
  await listener.close();
  rmSync(dataDir, { recursive: true });
});

async function start(env: Record<string, string> = {}): Promise<Started> {
  const child = spawn(process.execPath, ["--conditions=@licet/source", MAIN.pathname], {
    env: {
      ...bareEnvironment(),
      MARKETPLACE_PORT: "0",
      MARKETPLACE_DATA_DIR: dataDir,
      MARKETPLACE_TOKEN: TOKEN,
      MARKETPLACE_PLATFORM_TOKEN: PLATFORM_TOKEN,
      MARKETPLACE_ALLOW_HOSTS: new URL(listener.origin).host,
      ...env,
    },
    stdio: ["pipe", "pipe", "inherit"],
  });
  children.push(child);
  const lines: string[] = [];
  const reader = createInterface({ input: child.stdout });
  reader.on("line", (line) => lines.push(line));
  await once(reader, "line");
  const { ready, origin, receipt_jwk } = JSON.parse(lines[0] ?? "{}");
  expect(ready).toBe(true);
  return { child, lines, origin, receiptKid: JSON.stringify(receipt_jwk) };
}

function deliver(origin: string, message: Parameters<SamplePlatform["webhook"]>[0]): ReturnType<typeof callAt> {
  return callAt(origin, "POST", "/webhooks/consent-updated", platform.webhook(message));
}

describe("the process", () => {
  it("keeps a stop through kill -9 the moment after it was answered", async () => {
    const first = await start();
    expect(
      await callAt(first.origin, "PUT", "/api/v1/connection", { token: TOKEN, body: connectionOf(platform) }),
    ).toMatchObject({ status: 200 });
    expect(
      await callAt(first.origin, "POST", "/api/v1/datasets", { token: PLATFORM_TOKEN, body: registrationOf(platform) }),
    ).toMatchObject({ status: 201 });
    expect(
      await callAt(first.origin, "POST", "/api/v1/datasets/ds_sample/training-runs", { token: TOKEN }),
    ).toMatchObject({ status: 201, body: { usage: [{ receipt_state: "posted" }] } });

    // A training hangs on one work while the revocation comes in and the process dies.
    const hanging = Promise.withResolvers<void>();
    platform.answers.set("/works/river", () => (hanging.resolve(), new Promise(() => undefined)));
    const training = callAt(first.origin, "POST", "/api/v1/datasets/ds_sample/training-runs", { token: TOKEN }).catch(
      (error: unknown) => error,
    );
    await hanging.promise;
    revoke(platform.facts, BRAM.jti, Math.floor(Date.now() / 1000));
    expect(await deliver(first.origin, { change: "revoked", sequence: 1, jti: BRAM.jti })).toMatchObject({
      status: 200,
      body: { effect: "stopped" },
    });
    first.child.kill("SIGKILL");
    await Promise.all([once(first.child, "exit"), training]);
    expect(first.lines).toHaveLength(1);

    const second = await start();
    expect(second.receiptKid).toBe(first.receiptKid);
    expect(await callAt(second.origin, "GET", "/api/v1/datasets/ds_sample", { token: TOKEN })).toMatchObject({
      body: { training: "stopped", reason: expect.stringContaining(BRAM.jti) },
    });
    expect(
      await callAt(second.origin, "GET", "/api/v1/datasets/ds_sample/training-runs", { token: TOKEN }),
    ).toMatchObject({ body: { training_runs: [{ state: "stopped" }, { state: "completed" }] } });
    const { body } = await callAt(second.origin, "GET", "/api/v1/usage-receipts", { token: PLATFORM_TOKEN });
    expect(body["receipts"]).toMatchObject([{ valid_for_future_training: false }]);
  });

  it("counts a training as stopped that kill -9 interrupted", async () => {
    const first = await start({ MARKETPLACE_CONNECTION: JSON.stringify(connectionOf(platform)) });
    await callAt(first.origin, "POST", "/api/v1/datasets", { token: PLATFORM_TOKEN, body: registrationOf(platform) });
    const hanging = Promise.withResolvers<void>();
    platform.answers.set("/works/river", () => (hanging.resolve(), new Promise(() => undefined)));
    const training = callAt(first.origin, "POST", "/api/v1/datasets/ds_sample/training-runs", { token: TOKEN }).catch(
      (error: unknown) => error,
    );
    await hanging.promise;
    first.child.kill("SIGKILL");
    await Promise.all([once(first.child, "exit"), training]);
    const second = await start();
    expect(
      await callAt(second.origin, "GET", "/api/v1/datasets/ds_sample/training-runs", { token: TOKEN }),
    ).toMatchObject({ body: { training_runs: [{ state: "stopped", reason: "the marketplace went down" }] } });
    expect(await deliver(second.origin, { change: "suspended", sequence: 1, jti: ANA.jti })).toMatchObject({
      status: 200,
      body: { effect: "stopped" },
    });
  });

  it("keeps its secrets to its owner", async () => {
    await start();
    for (const file of ["marketplace.sqlite", "marketplace.sqlite-wal", "receipt-key.jwk.json"])
      expect(statSync(join(dataDir, file)).mode & 0o777).toBe(0o600);
  });

  it("ends with its parent, or when it is told to", async () => {
    const orphan = await start({ MARKETPLACE_EXIT_WITH_PARENT: "1" });
    orphan.child.stdin?.end();
    expect(await once(orphan.child, "exit")).toEqual([0, null]);
    const told = await start();
    told.child.kill("SIGTERM");
    expect(await once(told.child, "exit")).toEqual([0, null]);
  });
});
