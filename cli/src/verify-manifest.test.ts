import { BRAM, type SamplePlatform, createSamplePlatform, listen, revoke } from "@licet/sdk/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readSettings } from "./settings.ts";
import { createTerminal } from "./terminal.ts";
import { type VerifyFlags, verifyManifest } from "./verify-manifest.ts";

let platform: SamplePlatform;
let listener: Awaited<ReturnType<typeof listen>>;

beforeEach(async () => {
  listener = await listen();
  platform = await createSamplePlatform({ origin: listener.origin, now: nowSeconds });
  listener.answerWith(platform.handle);
});

afterEach(() => listener.close());

function nowSeconds(): number {
  return Math.floor(Date.now() / 1_000);
}

async function verify({
  flags = {},
  hasCredentials = true,
  clientSecret = platform.credentials.clientSecret,
}: {
  readonly flags?: VerifyFlags;
  readonly hasCredentials?: boolean;
  readonly clientSecret?: string;
} = {}): Promise<{
  readonly exitCode: number;
  readonly out: string;
}> {
  let out = "";
  const terminal = createTerminal({
    out: { write: (text) => (out += text) },
    err: { write: () => true },
    wantsColour: true,
  });
  const { clientId } = platform.credentials;
  const environment = hasCredentials ? { LICET_CLIENT_ID: clientId, LICET_CLIENT_SECRET: clientSecret } : {};
  const exitCode = await verifyManifest(platform.manifestUrl, flags, { settings: readSettings(environment), terminal });
  return { exitCode, out };
}

describe("licet verify", () => {
  it("finds nothing wrong with a dataset that holds", async () => {
    const { exitCode, out } = await verify();
    expect(exitCode).toBe(0);
    expect(out).not.toMatch(/[✗?] /);
    expect(out).toContain("✓ This dataset may be used: all 3 works stand");
  });

  it("checks the public documents without credentials, and names what it could not establish", async () => {
    const { exitCode, out } = await verify({ hasCredentials: false });
    expect(exitCode).toBe(0);
    expect(out).toContain("✓ The revocation view is signed and fresh");
    expect(out).toContain("? Every consent is signed by its signer and accepted by the platform");
    expect(out).toMatch(/\? Nothing speaks against this dataset, but 6 checks marked \? could not be made/);
  });

  it("fails and lists what is withdrawn, unless that is accepted", async () => {
    revoke(platform.facts, BRAM.jti, nowSeconds());
    const { exitCode, out } = await verify();
    expect(exitCode).toBe(1);
    expect(out).toContain(`– the consent ${BRAM.jti}`);
    expect(out).toMatch(/\n✗ \d of 3 works may not be used any more/);
    const accepted = await verify({ flags: { allowPartial: true } });
    expect(accepted.exitCode).toBe(0);
    expect(accepted.out).toMatch(
      /\n✓ This dataset may be used, without the \d of 3 works that (is|are) withdrawn\.\n$/,
    );
    expect(accepted.out).not.toContain("--allow-partial");
    expect((await verify({ hasCredentials: false })).exitCode).toBe(1);
  });

  it("fails when a document was tampered with", async () => {
    platform.answers.set(`/.well-known/dataset-status/${platform.facts.datasetId}`, () =>
      Response.json({ type: "dataset-status" }),
    );
    const { exitCode, out } = await verify({ flags: { allowPartial: true } });
    expect(exitCode).toBe(1);
    expect(out).toMatch(/✗ The dataset's status is signed.*\n {4}\S/);
  });

  it("says that it could not be tried, when the platform cannot be reached", async () => {
    await listener.close();
    const { exitCode, out } = await verify();
    expect(exitCode).toBe(2);
    expect(out).toContain("? The platform's key set is signed");
    expect(out).toMatch(/\n\? This dataset could not be checked\. The platform did not answer/);
    expect(out).not.toContain("Do not use");
    listener = await listen();
  });

  it("says that it could not be tried, when the platform does not take the credentials", async () => {
    const { exitCode, out } = await verify({ clientSecret: "wrong" });
    expect(exitCode).toBe(2);
    expect(out).toMatch(/\? Every consent is signed.*\n {4}client authentication failed/);
    expect(out).toMatch(/\n\? This dataset could not be checked\. The platform does not take LICET_CLIENT_ID/);
  });

  it("says that it could not be tried, when the dataset was not offered", async () => {
    const problem = { code: "not_yours", detail: "the dataset was not offered to mkt_1" };
    platform.answers.set(`/datasets/${platform.facts.datasetId}/versions/1/consents`, () =>
      Response.json(problem, { status: 403 }),
    );
    const { exitCode, out } = await verify();
    expect(exitCode).toBe(2);
    expect(out).toMatch(/expected status 200, got 403: the\s+dataset was not offered to mkt_1/);
    expect(out).toMatch(/\n\? This dataset could not be checked\. .*ask for\s+the dataset/);
  });

  it("prints the report for programs with --json", async () => {
    revoke(platform.facts, BRAM.jti, nowSeconds());
    const { exitCode, out } = await verify({ flags: { json: true } });
    expect(JSON.parse(out)).toMatchObject({
      manifest_url: platform.manifestUrl,
      verdict: "withdrawn",
      exit_code: exitCode,
      summary: { usable: true },
    });
  });
});
