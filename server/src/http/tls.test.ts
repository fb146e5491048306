import { startServer } from "@licet/server";
import { execFile, execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { Agent, get } from "node:https";
import { type ConnectionOptions, connect } from "node:tls";
import { describe, expect, inject, test, vi } from "vitest";
import { makeAuthority, makeServerPair } from "../../../test/fixtures/certificates.ts";
import { configFor, createTestDatabase } from "../../../test/fixtures/databases.ts";
import { startSecurePlatform, writePair } from "../../../test/fixtures/secure-platform.ts";
import { isCi } from "../../../test/fixtures/settings.ts";

const platform = await startSecurePlatform();
const port = Number(new URL(platform.origin).port);
const WAIT = { timeout: 30_000, interval: 50 };

/** The protocol version that both sides agree on, and the certificate that the server shows. */
async function shakeHands(
  options: ConnectionOptions = {},
): Promise<{ readonly version: string | null; readonly serial: string }> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, ca: platform.authority.cert, ...options }, () => {
      const serial = socket.getPeerX509Certificate()?.serialNumber ?? "";
      resolve({ version: socket.getProtocol(), serial });
      socket.destroy();
    });
    socket.on("error", reject);
  });
}

/** Whether a command is on this machine; what needs it is skipped elsewhere, but never in CI. */
function isHere(command: string, argument: string): boolean {
  try {
    execFileSync(command, [argument], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

async function run(
  command: string,
  args: readonly string[],
): Promise<{ readonly code: number; readonly output: string }> {
  return new Promise((resolve) => {
    const child = execFile(command, [...args], { timeout: 20_000 }, (error, stdout, stderr) =>
      resolve({ code: typeof error?.code === "number" ? error.code : 0, output: stdout + stderr }),
    );
    child.stdin?.end();
  });
}

describe("TLS by the server itself", () => {
  test("makes the origin https, and tells browsers to stay with it", async () => {
    expect(platform.origin).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
    for (const path of ["/healthz", "/.well-known/keys.json", "/oauth/jwks", "/nothing"]) {
      const response = await platform.fetchBy()(platform.origin + path, { method: "GET", headers: {} });
      expect(response.headers.get("strict-transport-security")).toBe("max-age=63072000");
    }
  });

  test("speaks TLS 1.3 and refuses clients that only know 1.2", async () => {
    expect((await shakeHands()).version).toBe("TLSv1.3");
    await expect(shakeHands({ maxVersion: "TLSv1.2" })).rejects.toThrow(/protocol version|alert/i);
  });

  test("answers nothing to those who speak plain HTTP", async () => {
    await expect(fetch(`http://127.0.0.1:${port}/healthz`)).rejects.toThrow("fetch failed");
  });
});

describe("a new certificate", () => {
  test("is taken into use without a restart; open connections stay, and a broken one changes nothing", async () => {
    const before = (await shakeHands()).serial;
    const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: platform.authority.cert });
    const ask = async (): Promise<{ readonly status: number; readonly port: number }> =>
      new Promise((resolve, reject) => {
        get(`${platform.origin}/healthz`, { agent }, (incoming) => {
          const local = incoming.socket.localPort ?? 0;
          incoming.resume();
          incoming.on("end", () => resolve({ status: incoming.statusCode ?? 0, port: local }));
        }).on("error", reject);
      });
    const first = await ask();

    await writeFile(platform.files.certPath, "-----BEGIN CERTIFICATE-----\nbroken\n-----END CERTIFICATE-----\n");
    const foreign = await makeServerPair(await makeAuthority());
    await writeFile(platform.files.keyPath, foreign.key);
    expect((await shakeHands()).serial).toBe(before);

    const renewed = await makeServerPair(platform.authority);
    await writePair(platform.files, renewed);
    const serial = new X509Certificate(renewed.cert).serialNumber;
    await vi.waitFor(async () => expect((await shakeHands()).serial).toBe(serial), WAIT);
    expect((await shakeHands()).version).toBe("TLSv1.3");
    await expect(shakeHands({ maxVersion: "TLSv1.2" })).rejects.toThrow(/protocol version|alert/i);
    expect(await ask()).toEqual({ status: 200, port: first.port });
    agent.destroy();
  });
});

describe("a boot stops", () => {
  async function boot(settings: Parameters<typeof configFor>[1]): Promise<void> {
    const database = await createTestDatabase(inject("templateFolder"));
    try {
      await (await startServer({ config: configFor(database, settings) })).stop();
    } finally {
      await database.drop();
    }
  }

  test("without the files, and with a key that is not the certificate's", async () => {
    const { certPath, keyPath, caPath } = platform.files;
    await expect(boot({ tls: { certPath: `${certPath}.nowhere`, keyPath } })).rejects.toThrow(
      /LICET_TLS_CERT: cannot read/,
    );
    await expect(boot({ tls: { certPath, keyPath: `${keyPath}.nowhere` } })).rejects.toThrow(
      /LICET_TLS_KEY: cannot read/,
    );
    await expect(boot({ tls: { certPath: caPath, keyPath } })).rejects.toThrow(
      /LICET_TLS_CERT, LICET_TLS_KEY: expected a PEM certificate and its key/,
    );
    await expect(boot({ tls: { certPath, keyPath }, mtlsPort: 0, mtlsCaPath: keyPath })).rejects.toThrow(
      /LICET_MTLS_CA/,
    );
  });

  test("when the second port is taken, and gives the first one back", async () => {
    const { certPath, keyPath } = platform.files;
    await expect(boot({ tls: { certPath, keyPath }, mtlsPort: port })).rejects.toThrow(
      /LICET_MTLS_PORT: cannot listen/,
    );
  });
});

const hasCurl = isHere("curl", "--version");
const hasOpenssl = isHere("openssl", "version");

test.skipIf(!hasCurl && !isCi)("curl, where it is installed, gets an answer by TLS 1.3 and none by 1.2", async () => {
  const url = `https://localhost:${port}/healthz`;
  const modern = await run("curl", ["--silent", "--show-error", "--cacert", platform.files.caPath, url]);
  expect(modern).toEqual({ code: 0, output: expect.stringContaining('"status":"ok"') });
  const old = await run("curl", [
    "--silent",
    "--show-error",
    "--cacert",
    platform.files.caPath,
    "--tls-max",
    "1.2",
    url,
  ]);
  expect(old.code).not.toBe(0);
});

test.skipIf(!hasOpenssl && !isCi)(
  "openssl, where it is installed, shakes hands by TLS 1.3 and not by 1.2",
  async () => {
    const place = ["-connect", `localhost:${port}`, "-CAfile", platform.files.caPath, "-verify_return_error"];
    const modern = await run("openssl", ["s_client", "-tls1_3", ...place]);
    expect(modern.output).toMatch(/TLSv1\.3/);
    expect(modern.output).toMatch(/Verify return code: 0|Verification: OK/);
    const old = await run("openssl", ["s_client", "-tls1_2", ...place]);
    expect(old.output).toMatch(/alert protocol version/);
  },
);
