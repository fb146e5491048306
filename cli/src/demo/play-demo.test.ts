import { createClient, verifyDataset } from "@licet/sdk";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { collect, runLicet, startLicet } from "../testing/run-licet.ts";

const DEMO_TIMEOUT_MS = 180_000;

let temporary: string;
let running: ChildProcess | undefined;

beforeEach(() => {
  temporary = mkdtempSync(join(tmpdir(), "licet-demo-test-"));
});

afterEach(async () => {
  if (running !== undefined && running.exitCode === null && running.signalCode === null) {
    running.kill("SIGKILL");
    await once(running, "exit");
  }
  running = undefined;
  rmSync(temporary, { recursive: true, force: true });
});

/** Starts `licet demo --json` and waits for its one line. */
async function startDemo(): Promise<{
  readonly child: ChildProcess;
  readonly out: () => string;
  readonly handOver: Record<string, unknown>;
}> {
  const child = startLicet(["demo", "--json"], { TMPDIR: temporary });
  running = child;
  const out = collect(child.stdout);
  const err = collect(child.stderr);
  while (!out().includes("\n")) {
    if (child.exitCode !== null)
      throw new Error(`expected the demo to stay up, got exit code ${child.exitCode}: ${err()}`);
    await pause(50);
  }
  return { child, out, handOver: JSON.parse(out()) };
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** True while somebody answers there. */
async function answers(origin: unknown): Promise<boolean> {
  return fetch(`${String(origin)}/healthz`).then(
    (response) => response.ok,
    () => false,
  );
}

describe("licet demo", () => {
  it(
    "tells the whole story, checks it, and leaves nothing behind",
    async () => {
      const { exitCode, out, err } = await runLicet(["demo", "--once"], { TMPDIR: temporary });
      expect({ exitCode, err }).toEqual({ exitCode: 0, err: "" });
      expect(out).toContain("3 creators signed exactly the words they were shown");
      expect(out).toContain("GPTBot asks for a work of Bram's and has no license. 402");
      expect(out).toContain("crawler-price: USD 0.01");
      expect(out).toContain("The entries add up to zero");
      expect(out).toContain("0.0001 USD a token ×");
      expect(out).toContain("with the license that opened the work a moment ago: 403, consent_revoked.");
      for (const leg of ["committed", "purge", "webhook", "acknowledgement"])
        expect(out).toMatch(new RegExp(`\\n {5}${leg} +[\\d.]+ m?s  `));
      expect(out).toContain("Asked to train again, the marketplace refuses.");
      expect(out).toContain("5 of 15 works may not be used any more.");
      expect(out).toContain("Bram accepts. The case is closed");
      expect(out).toMatch(/\nEverything held\. It took [\d.]+ s\.\n$/);
      expect(Math.max(...out.split("\n").map((line) => line.length))).toBeLessThanOrEqual(100);
      expect(readdirSync(temporary)).toEqual([]);
    },
    DEMO_TIMEOUT_MS,
  );

  it(
    "hands over with --json what another program needs to go on, and stops on SIGTERM",
    async () => {
      const { child, out, handOver } = await startDemo();
      expect(Object.keys(handOver)).toEqual([
        "origin",
        "edge",
        "marketplace",
        "token_endpoint",
        "scope",
        "client_id",
        "client_secret",
        "operator_token",
        "marketplace_token",
        "marketplace_id",
        "creator_token",
        "creator_id",
        "consent_jti",
        "content_ids",
        "dataset_id",
        "webhook_secret",
      ]);
      const {
        origin,
        client_id,
        client_secret,
        scope,
        creator_token,
        consent_jti,
        content_ids,
        dataset_id,
        marketplace,
        edge,
      } = handOver;
      const client = createClient({
        origin: String(origin),
        clientId: String(client_id),
        clientSecret: String(client_secret),
        scope: String(scope),
      });
      const manifestUrl = `${String(origin)}/datasets/${String(dataset_id)}/manifest.json`;
      const report = await verifyDataset(manifestUrl, { client });
      expect(report.summary).toMatchObject({ usable: true, state: "active" });
      const works = report.items.filter(({ jti }) => jti === consent_jti).map(({ content_id }) => content_id);
      expect(new Set(works)).toEqual(new Set(Array.isArray(content_ids) ? content_ids : []));
      const creator = createClient({ origin: String(origin), token: String(creator_token) });
      const revoked = await creator.sendJson({
        method: "POST",
        path: `/api/v1/consents/${String(consent_jti)}/revoke`,
        body: {},
      });
      expect(revoked.ok).toBe(true);
      const environment = { LICET_CLIENT_ID: String(client_id), LICET_CLIENT_SECRET: String(client_secret) };
      expect(await runLicet(["verify", manifestUrl], environment)).toMatchObject({
        exitCode: 1,
        out: expect.stringContaining(String(consent_jti)),
      });
      expect(await runLicet(["verify", manifestUrl, "--allow-partial"], environment)).toMatchObject({ exitCode: 0 });
      child.kill("SIGTERM");
      await once(child, "exit");
      expect(child.exitCode).toBe(0);
      expect(out().trimEnd().split("\n")).toHaveLength(1);
      expect(await answers(origin)).toBe(false);
      expect(await answers(marketplace)).toBe(false);
      expect(await answers(edge)).toBe(false);
      expect(readdirSync(temporary)).toEqual([]);
    },
    DEMO_TIMEOUT_MS,
  );

  it(
    "leaves no program running when it is killed",
    async () => {
      const { child, handOver } = await startDemo();
      const programs = [handOver["origin"], handOver["marketplace"], handOver["edge"]];
      const answering = async (): Promise<readonly boolean[]> => Promise.all(programs.map(answers));
      expect(await answering()).toEqual([true, true, true]);
      child.kill("SIGKILL");
      await once(child, "exit");
      const endsAt = Date.now() + 20_000;
      while ((await answering()).includes(true) && Date.now() < endsAt) await pause(100);
      expect(await answering()).toEqual([false, false, false]);
    },
    DEMO_TIMEOUT_MS,
  );
});
