import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { expect, it } from "vitest";
import { DATASET_CHECKS } from "./dataset-report.ts";
import { createSamplePlatform, listen } from "./testing/index.ts";

it("has a README whose quickstart runs as it stands", async () => {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const [, quickstart = ""] = /```ts\n([\s\S]*?)```/.exec(readme) ?? [];
  const listener = await listen();
  const platform = await createSamplePlatform({ origin: listener.origin, now: () => Math.floor(Date.now() / 1000) });
  listener.answerWith(platform.handle);
  const { clientId, clientSecret } = platform.credentials;
  const child = spawn(process.execPath, ["--conditions=@licet/source", "--input-type=module-typescript"], {
    cwd: new URL("..", import.meta.url),
    env: { LICET_ORIGIN: listener.origin, CLIENT_ID: clientId, CLIENT_SECRET: clientSecret },
    stdio: ["pipe", "pipe", "inherit"],
  });
  child.stdin.end(quickstart);
  const [output] = await Promise.all([text(child.stdout), once(child, "exit")]);
  await listener.close();
  expect(output).toBe(
    `${Object.values(DATASET_CHECKS)
      .map((title) => `passed ${title}\n`)
      .join("")}receipt countersigned\n`,
  );
});
