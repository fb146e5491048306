import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";
import { enrolCreator, giveConsent, publishDataset, registerMarketplace, registerWork } from "./fixtures/actors.ts";
import { bareEnvironment, fileOf } from "./fixtures/child-process.ts";
import { type Platform, startPlatform } from "./fixtures/platform.ts";
import { startSink } from "./fixtures/webhook-sink.ts";

/** `licet trigger`, as a developer runs it, against a server in test mode. */
const sink = await startSink();
const platform = await startPlatform({ mode: "test", allowedHosts: [sink.host] });

const TIMEOUT_MS = 120_000;

interface Ended {
  readonly exitCode: number | null;
  readonly out: string;
  readonly err: string;
}

async function trigger(args: readonly string[], { origin, operatorToken }: Platform = platform): Promise<Ended> {
  const env = { ...bareEnvironment(), LICET_ORIGIN: origin, LICET_TOKEN: operatorToken };
  const node = ["--conditions=@licet/source", fileOf("cli/src/main.ts"), "trigger", ...args];
  const child = spawn(process.execPath, node, { env, stdio: ["ignore", "pipe", "pipe"] });
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
  return { exitCode: child.exitCode, out, err };
}

async function marketplaceAt(path: string): Promise<string> {
  return (await registerMarketplace(platform, { base_url: sink.url("/base"), webhook_url: sink.url(path) }))
    .marketplaceId;
}

test(
  "licet trigger says what it makes, what it causes, and that the marketplace took it",
  { timeout: TIMEOUT_MS },
  async () => {
    const marketplace = await marketplaceAt("/made");
    const { exitCode, out, err } = await trigger(["consent.revoked", "--marketplace", marketplace]);
    expect({ exitCode, err }).toEqual({ exitCode: 0, err: "" });
    expect(out.trimEnd().split("\n")).toEqual([
      expect.stringMatching(/^creator trigger:[0-9a-f]{12}, with a key of their own$/),
      expect.stringMatching(/^work content_/),
      expect.stringMatching(/^consent ctok_.*, signed by the creator$/),
      expect.stringMatching(/^dataset ds_.*, version 1$/),
      `offered to ${marketplace}`,
      "consent.revoked: the consent is taken back",
      expect.stringMatching(/^evt_\S+ to whe_\S+: delivered \(status 200.*\)$/),
    ]);
    expect(JSON.parse(sink.received("/made")[0]?.body ?? "")).toMatchObject({ change: "revoked", test: true });
    const [, jti = ""] = /^consent (\S+),/m.exec(out) ?? [];
    expect((await platform.operator.get(`/api/v1/consents/${jti}`)).body.state).toBe("revoked");
  },
);

test.each([
  ["consent.suspended", "suspended"],
  ["consent.resumed", "resumed"],
  ["content.withdrawn", "withdrawn"],
  ["content.suspended", "suspended"],
  ["content.resumed", "resumed"],
  ["dataset.published", "published"],
  ["dataset.suspended", "suspended"],
  ["dataset.resumed", "resumed"],
  ["dataset.withdrawn", "withdrawn"],
])("licet trigger %s happens to a dataset that is there", { timeout: TIMEOUT_MS }, async (name, change) => {
  const creator = await enrolCreator(platform);
  const work = await registerWork(platform, creator.creatorId);
  await giveConsent(creator);
  const { dataset_id: dataset } = await publishDataset(platform, [work]);
  const marketplace = await marketplaceAt(`/${name}`);
  const { exitCode, out, err } = await trigger([name, "--dataset", dataset, "--marketplace", marketplace]);
  expect({ exitCode, err }).toEqual({ exitCode: 0, err: "" });
  expect(out).toMatch(/: delivered \(status 200.*\)$/m);
  const said = sink.received(`/${name}`).map(({ body }) => JSON.parse(body));
  expect(said).toContainEqual(expect.objectContaining({ change, dataset_id: dataset }));
});

test("licet trigger ends with 1 when the marketplace does not take it", { timeout: TIMEOUT_MS }, async () => {
  sink.reply("/broken", () => ({ status: 500 }));
  const marketplace = await marketplaceAt("/broken");
  const { exitCode, out } = await trigger(["content.withdrawn", "--marketplace", marketplace]);
  expect(exitCode).toBe(1);
  expect(out).toMatch(/^evt_\S+ to whe_\S+: waiting \(status 500.*\)$/m);
});

test("licet trigger ends with 1 and the server's words when a step is refused", { timeout: TIMEOUT_MS }, async () => {
  const { exitCode, err } = await trigger(["consent.revoked", "--marketplace", "mkt_none"]);
  expect(exitCode).toBe(1);
  expect(err).toMatch(/^licet: POST .*\/offers: expected a success, got status 404 \(not_found\): .*mkt_none/);
});

test(
  "licet trigger keeps away from a live server, unless it is on this machine and --live is given",
  { timeout: TIMEOUT_MS },
  async () => {
    const live = await startPlatform();
    const refused = await trigger(["consent.revoked"], live);
    expect({ exitCode: refused.exitCode, out: refused.out }).toEqual({ exitCode: 2, out: "" });
    expect(refused.err).toMatch(
      /^licet: expected a server in test mode \(LICET_MODE=test\), got a live one .*, or --live, .*\n$/,
    );
    expect((await live.operator.get("/api/v1/creators")).body.creators).toEqual([]);
    const allowed = await trigger(["consent.revoked", "--live"], live);
    expect(allowed).toMatchObject({ exitCode: 0, err: "", out: expect.stringContaining("nobody waits for it here") });
  },
);
