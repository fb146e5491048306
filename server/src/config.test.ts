import { ConfigError, ENVIRONMENT, readConfig } from "@licet/server";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { describe, expect, inject, test } from "vitest";
import { DEFAULT_RATE_LIMITS } from "./http/rate-limit-policy.ts";
import { bareEnvironment, fileOf } from "../../test/fixtures/child-process.ts";
import { createTestDatabase, storageOf } from "../../test/fixtures/databases.ts";

type Environment = Readonly<Record<string, string>>;

/** What is said about money where nothing is said. */
const MONEY = {
  platformFeeBps: 0,
  closeAfterSeconds: 259_200,
  reconcileSeconds: 86_400,
  unreportedSeconds: 2_592_000,
  unsplitSeconds: 864_000,
  receiptPullSeconds: 3_600,
  modelListSeconds: 86_400,
  remediationSeconds: 2_592_000,
};

describe("without settings", () => {
  test("the server listens on this machine alone, keeps its data here, and is called localhost", () => {
    expect(readConfig({})).toEqual({
      origin: "http://localhost:4242",
      host: "127.0.0.1",
      port: 4242,
      dataFolder: resolve("data"),
      journalFolder: resolve("data/journal"),
      databaseUrl: undefined,
      masterKey: undefined,
      masterKeyPath: undefined,
      newMasterKey: undefined,
      newMasterKeyPath: undefined,
      mode: "live",
      logLevel: "info",
      allowedHosts: [],
      maxSourceBytes: 2_147_483_648,
      temporaryBytes: 4_294_967_296,
      sessionSeconds: 12 * 3_600,
      rateLimits: DEFAULT_RATE_LIMITS,
      interactionRetentionDays: 365,
      propagationDays: 30,
      drainSeconds: 10,
      compactionSeconds: 86_400,
      keyRotationSeconds: 31_536_000,
      unreadySeconds: 0,
      databaseLimits: { poolSize: 10, statementSeconds: 60, lockSeconds: 20, idleTransactionSeconds: 60 },
      copiesFolder: undefined,
      documentMemoryBytes: 268_435_456,
      tls: undefined,
      mtlsPort: undefined,
      mtlsCaPath: undefined,
      trustedProxies: { isEmpty: true, includes: expect.any(Function) },
      connectionLimits: {
        maxConnections: 10_000,
        maxConnectionsPerAddress: 256,
        headersSeconds: 15,
        requestSeconds: 120,
      },
      metricsPort: undefined,
      tracing: undefined,
      money: MONEY,
      payments: {
        holdSeconds: 604_800,
        minimums: { fallbackMicros: 10_000_000n, byCurrency: new Map() },
        payoutDay: undefined,
        payoutFolder: `${process.cwd()}/data/payouts`,
        stripe: undefined,
        invoiceDueSeconds: 2_592_000,
        sending: { intervalSeconds: 2, leaseMs: 30_000 },
      },
      purges: { targets: [], edges: [] },
      exitWithParent: false,
    });
  });
});

describe("a setting", () => {
  const key = randomBytes(32);

  test.each<[env: Environment, config: object]>([
    [{ LICET_PORT: "0" }, { origin: "", port: 0 }],
    [{ LICET_METRICS_PORT: "9464" }, { metricsPort: 9_464 }],
    [{ LICET_RECEIPT_PULL_MINUTES: "0" }, { money: { ...MONEY, receiptPullSeconds: undefined } }],
    [
      { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:4318/", OTEL_EXPORTER_OTLP_HEADERS: "a=b%20c" },
      {
        tracing: {
          url: "http://127.0.0.1:4318/v1/traces",
          headers: { a: "b c" },
          serviceName: "licet",
          sampleRatio: 1,
        },
      },
    ],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:4318", OTEL_SDK_DISABLED: "true" }, { tracing: undefined }],
    [
      { LICET_PORT: "0", LICET_HOST: "::1" },
      { origin: "", host: "::1" },
    ],
    [
      { LICET_PORT: "0", LICET_HOST: "0.0.0.0", LICET_ORIGIN: "https://licet.example.org" },
      { origin: "https://licet.example.org", host: "0.0.0.0" },
    ],
    [{ LICET_ORIGIN: "https://licet.example.org:8443" }, { origin: "https://licet.example.org:8443" }],
    [{ LICET_ORIGIN: "http://127.0.0.1:9000" }, { origin: "http://127.0.0.1:9000" }],
    [{ LICET_ORIGIN: "http://[::1]:9000" }, { origin: "http://[::1]:9000" }],
    [{ DATABASE_URL: "postgres://me@db/licet" }, { databaseUrl: "postgres://me@db/licet" }],
    [{ DATABASE_URL: "" }, { databaseUrl: undefined }],
    [{ LICET_MASTER_KEY: key.toString("base64url") }, { masterKey: new Uint8Array(key) }],
    [{ LICET_NEW_MASTER_KEY: key.toString("base64url") }, { newMasterKey: new Uint8Array(key) }],
    [{ LICET_NEW_MASTER_KEY_FILE: "/keys/next" }, { newMasterKeyPath: "/keys/next" }],
    [{ LICET_MODE: "test" }, { mode: "test" }],
    [{ LICET_MODE: "live" }, { mode: "live" }],
    [
      { LICET_ALLOW_HOSTS: " localhost:4300, [::1]:80 ,10.0.0.7:8080," },
      { allowedHosts: ["localhost:4300", "[::1]:80", "10.0.0.7:8080"] },
    ],
    [
      {
        LICET_SESSION_HOURS: "1",
        LICET_DRAIN_SECONDS: "0",
        LICET_EXIT_WITH_PARENT: "1",
        LICET_COMPACTION_AFTER_HOURS: "0",
        LICET_KEY_ROTATION_DAYS: "0",
      },
      {
        sessionSeconds: 3_600,
        drainSeconds: 0,
        exitWithParent: true,
        compactionSeconds: undefined,
        keyRotationSeconds: undefined,
      },
    ],
    [
      {
        LICET_UNREADY_SECONDS: "5",
        LICET_DATABASE_POOL: "20",
        LICET_STATEMENT_SECONDS: "30",
        LICET_LOCK_SECONDS: "30",
        LICET_IDLE_TRANSACTION_SECONDS: "5",
        LICET_COPIES_DIR: "/srv/licet",
        LICET_DOCUMENT_MEMORY_MB: "1",
      },
      {
        unreadySeconds: 5,
        databaseLimits: { poolSize: 20, statementSeconds: 30, lockSeconds: 30, idleTransactionSeconds: 5 },
        copiesFolder: "/srv/licet",
        documentMemoryBytes: 1_048_576,
      },
    ],
    [
      { LICET_RATE_LIMITS: "reading=10/1,bulk=off", LICET_INTERACTION_RETENTION_DAYS: "30" },
      {
        rateLimits: { ...DEFAULT_RATE_LIMITS, reading: { quota: 10, windowSeconds: 1 }, bulk: null },
        interactionRetentionDays: 30,
      },
    ],
    [{ LICET_CLIENT_ID: "of the command line", PATH: "/bin" }, {}],
  ])("%j is taken", (env, config) => {
    expect(readConfig(env)).toMatchObject(config);
  });
});

describe("the boot is stopped by", () => {
  test.each<[env: Environment, setting: string]>([
    [{ LICET_ORIGIN: "" }, "LICET_ORIGIN"],
    [{ LICET_ORIGIN: "licet.example.org" }, "LICET_ORIGIN"],
    [{ LICET_ORIGIN: "https://licet.example.org/" }, "LICET_ORIGIN"],
    [{ LICET_ORIGIN: "https://licet.example.org/licet" }, "LICET_ORIGIN"],
    [{ LICET_ORIGIN: "https://LICET.example.org" }, "LICET_ORIGIN"],
    [{ LICET_ORIGIN: "https://licet.example.org:443" }, "LICET_ORIGIN"],
    [{ LICET_ORIGIN: "https://me:secret@licet.example.org" }, "LICET_ORIGIN"],
    [{ LICET_ORIGIN: "http://licet.example.org" }, "LICET_ORIGIN"],
    [{ LICET_ORIGIN: "http://192.168.1.7:4242" }, "LICET_ORIGIN"],
    [{ LICET_ORIGIN: "http://127.0.0.1.example.org" }, "LICET_ORIGIN"],
    [{ LICET_ORIGIN: "ftp://localhost" }, "LICET_ORIGIN"],
    [{ LICET_PORT: "0", LICET_HOST: "0.0.0.0" }, "LICET_ORIGIN"],
    [{ LICET_PORT: "0", LICET_HOST: "192.168.1.7" }, "LICET_ORIGIN"],
    [{ LICET_PORT: "0", LICET_HOST: "::" }, "LICET_ORIGIN"],
    [{ LICET_HOST: "" }, "LICET_HOST"],
    [{ LICET_PORT: "" }, "LICET_PORT"],
    [{ LICET_PORT: "65536" }, "LICET_PORT"],
    [{ LICET_PORT: "-1" }, "LICET_PORT"],
    [{ LICET_PORT: "80.5" }, "LICET_PORT"],
    [{ LICET_PORT: "0x50" }, "LICET_PORT"],
    [{ LICET_PORT: "http" }, "LICET_PORT"],
    [{ LICET_DATA_DIR: "" }, "LICET_DATA_DIR"],
    [{ DATABASE_URL: "mysql://db/licet" }, "DATABASE_URL"],
    [{ DATABASE_URL: "db.example.org" }, "DATABASE_URL"],
    [{ LICET_MASTER_KEY: "" }, "LICET_MASTER_KEY"],
    [{ LICET_MASTER_KEY: "c2hvcnQ" }, "LICET_MASTER_KEY"],
    [{ LICET_MASTER_KEY: "ab".repeat(32) }, "LICET_MASTER_KEY"],
    [{ LICET_MASTER_KEY: `${"A".repeat(43)}=` }, "LICET_MASTER_KEY"],
    [{ LICET_LOG_LEVEL: "verbose" }, "LICET_LOG_LEVEL"],
    [{ LICET_LOG_LEVEL: "INFO" }, "LICET_LOG_LEVEL"],
    [{ LICET_ALLOW_HOSTS: "localhost" }, "LICET_ALLOW_HOSTS"],
    [{ LICET_MAX_SOURCE_MEGABYTES: "0" }, "LICET_MAX_SOURCE_MEGABYTES"],
    [{ LICET_TEMPORARY_MEGABYTES: "2047" }, "LICET_TEMPORARY_MEGABYTES: expected a whole number from 2048"],
    [{ LICET_ALLOW_HOSTS: "http://localhost:80" }, "LICET_ALLOW_HOSTS"],
    [{ LICET_ALLOW_HOSTS: "*:80" }, "LICET_ALLOW_HOSTS"],
    [{ LICET_ALLOW_HOSTS: "localhost:70000" }, "LICET_ALLOW_HOSTS"],
    [{ LICET_SESSION_HOURS: "0" }, "LICET_SESSION_HOURS"],
    [{ LICET_SESSION_HOURS: "1e3" }, "LICET_SESSION_HOURS"],
    [{ LICET_DRAIN_SECONDS: "601" }, "LICET_DRAIN_SECONDS"],
    [{ LICET_COMPACTION_AFTER_HOURS: "8785" }, "LICET_COMPACTION_AFTER_HOURS"],
    [{ LICET_KEY_ROTATION_DAYS: "701" }, "LICET_KEY_ROTATION_DAYS"],
    [{ LICET_KEY_ROTATION_DAYS: "29" }, "LICET_KEY_ROTATION_DAYS: expected 0, or a whole number from 30 to 700"],
    [{ LICET_UNREADY_SECONDS: "-1" }, "LICET_UNREADY_SECONDS"],
    [{ LICET_DATABASE_POOL: "1" }, "LICET_DATABASE_POOL"],
    [{ LICET_STATEMENT_SECONDS: "0" }, "LICET_STATEMENT_SECONDS"],
    [{ LICET_STATEMENT_SECONDS: "10", LICET_LOCK_SECONDS: "11" }, "LICET_LOCK_SECONDS"],
    [{ LICET_IDLE_TRANSACTION_SECONDS: "never" }, "LICET_IDLE_TRANSACTION_SECONDS"],
    [{ LICET_COPIES_DIR: "" }, "LICET_COPIES_DIR"],
    [{ LICET_DOCUMENT_MEMORY_MB: "0" }, "LICET_DOCUMENT_MEMORY_MB"],
    [{ LICET_RATE_LIMITS: "reading" }, "LICET_RATE_LIMITS"],
    [{ LICET_RATE_LIMITS: "reading=1/1,reading=off" }, "LICET_RATE_LIMITS"],
    [{ LICET_INTERACTION_RETENTION_DAYS: "0" }, "LICET_INTERACTION_RETENTION_DAYS"],
    [{ LICET_EXIT_WITH_PARENT: "yes" }, "LICET_EXIT_WITH_PARENT"],
    [{ LICET_ORIGN: "https://licet.example.org" }, "LICET_ORIGN"],
  ])("%j, in one line that names the setting", (env, setting) => {
    const message = messageOf(() => readConfig(env));
    expect(message).toContain(setting);
    expect(message).toContain("expected");
    expect(message).not.toContain("\n");
  });

  test.each<[env: Environment, secret: string]>([
    [{ LICET_MASTER_KEY: "a-master-key-that-is-wrong" }, "a-master-key"],
    [{ DATABASE_URL: "mysql://me:secret@db/licet" }, "secret"],
  ])("%j, without showing the secret in it", (env, secret) => {
    expect(messageOf(() => readConfig(env))).not.toContain(secret);
  });
});

function messageOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  throw new Error("expected a ConfigError");
}

describe("Stripe's settings", () => {
  const key = { LICET_STRIPE_SECRET_KEY: "sk_live_abc" };

  test("need the key, of this server's mode, and none of them is repeated in a refusal", () => {
    const { stripe } = readConfig({ ...key, LICET_STRIPE_WEBHOOK_SECRET: "whsec_abc" }).payments;
    expect([stripe?.secretKey, stripe?.webhookSecret, stripe?.api.origin]).toEqual([
      "sk_live_abc",
      "whsec_abc",
      "https://api.stripe.com",
    ]);
    for (const env of [
      { LICET_STRIPE_SECRET_KEY: "sk_test_abc" },
      { LICET_STRIPE_SECRET_KEY: "sk_live_abc", LICET_MODE: "test" },
      { LICET_STRIPE_SECRET_KEY: "sesame" },
      { ...key, LICET_STRIPE_WEBHOOK_SECRET: "sesame" },
      { ...key, LICET_STRIPE_API: "https://stripe.example/v1" },
      { ...key, LICET_STRIPE_SECRET_KEY_FILE: "/nowhere" },
      { LICET_STRIPE_WEBHOOK_SECRET: "whsec_abc" },
    ])
      expect(() => readConfig(env)).toThrow(/^LICET_STRIPE_\w+: (?!.*(sesame|_abc))/);
  });
});

test("a minimum is for all currencies or for one", () => {
  const { minimums } = readConfig({ LICET_PAYOUT_MINIMUM_MICROS: "5000000, JPY=900000000" }).payments;
  expect(minimums).toEqual({ fallbackMicros: 5_000_000n, byCurrency: new Map([["JPY", 900_000_000n]]) });
  for (const text of ["-1", "EUR", "eur=1", "1.5", ""])
    expect(() => readConfig({ LICET_PAYOUT_MINIMUM_MICROS: text })).toThrow(/^LICET_PAYOUT_MINIMUM_MICROS: /);
});

test("every setting is described for whoever runs --help", () => {
  expect(Object.values(ENVIRONMENT).every((description) => description.length > 20)).toBe(true);
});

describe("as a process", () => {
  async function run(
    env: Environment,
  ): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
    const child = execFile(process.execPath, ["--conditions=@licet/source", fileOf("server/src/main.ts")], {
      env: { ...bareEnvironment(), ...env },
    });
    const output = { stdout: "", stderr: "" };
    child.stdout?.on("data", (chunk) => (output.stdout += chunk));
    child.stderr?.on("data", (chunk) => (output.stderr += chunk));
    const [code]: (number | null)[] = await once(child, "close");
    return { code: code ?? null, ...output };
  }

  test("a bad setting ends with 2, one line on stderr, nothing on stdout, and nothing in the data folder", async () => {
    const folder = await mkdtemp(join(tmpdir(), "licet-config-"));
    const ended = await run({ LICET_DATA_DIR: folder, LICET_ORIGIN: "http://licet.example.org" });
    expect(ended).toEqual({
      code: 2,
      stdout: "",
      stderr:
        "licet: LICET_ORIGIN: expected https, since licet.example.org is not this machine, got http://licet.example.org\n",
    });
    expect(await readdir(folder)).toEqual([]);
    await rm(folder, { recursive: true });
  });

  test("a port that is taken ends with 2 and names the port", async () => {
    const database = await createTestDatabase(inject("templateFolder"));
    const holder = createServer().listen(0, "127.0.0.1");
    await once(holder, "listening");
    const address = holder.address();
    const port = typeof address === "object" && address !== null ? String(address.port) : "";
    const ended = await run({ ...storageOf(database), LICET_PORT: port });
    expect({ ...ended, stderr: lastLine(ended.stderr) }).toEqual({
      code: 2,
      stdout: "",
      stderr: expect.stringMatching(new RegExp(`^licet: LICET_PORT: cannot listen on 127\\.0\\.0\\.1:${port}`)),
    });
    holder.close();
    await database.drop();
  });

  test("a master key that others can read ends with 2 and says how to mend it", async () => {
    const database = await createTestDatabase(inject("templateFolder"));
    await writeFile(join(database.dataFolder, "master.key"), randomBytes(32).toString("base64url"), { mode: 0o644 });
    const ended = await run({ ...storageOf(database), LICET_PORT: "0", LICET_LOG_LEVEL: "silent" });
    expect([ended.code, ended.stdout]).toEqual([2, ""]);
    expect(lastLine(ended.stderr)).toMatch(
      /^licet: .*master\.key: expected a file only its owner can read \(chmod 600\), got mode 644$/,
    );
    await database.drop();
  });
});

function lastLine(text: string): string {
  return text.trimEnd().split("\n").at(-1) ?? "";
}

describe("the transport", () => {
  const files = { LICET_TLS_CERT: "/tls/cert.pem", LICET_TLS_KEY: "/tls/key.pem" };

  test("with a certificate makes the origin https", () => {
    expect(readConfig({ ...files, LICET_MTLS_PORT: "4243", LICET_MTLS_CA: "/tls/ca.pem" })).toMatchObject({
      origin: "https://localhost:4242",
      tls: { certPath: "/tls/cert.pem", keyPath: "/tls/key.pem" },
      mtlsPort: 4243,
      mtlsCaPath: "/tls/ca.pem",
    });
    expect(readConfig({ ...files, LICET_PORT: "443" }).origin).toBe("https://localhost");
  });

  test("knows the proxies that may speak for others", () => {
    const { trustedProxies } = readConfig({ LICET_TRUSTED_PROXIES: "10.0.0.0/8, 192.0.2.1,2001:db8::/32" });
    const addresses = ["10.9.8.7", "192.0.2.1", "::ffff:10.1.1.1", "2001:db8::1", "192.0.2.2", "11.0.0.1", "nobody"];
    expect(addresses.filter((address) => trustedProxies.includes(address))).toEqual(addresses.slice(0, 4));
  });

  test.each<[env: Environment, message: RegExp]>([
    [{ LICET_TLS_CERT: "/tls/cert.pem" }, /^LICET_TLS_KEY: expected with LICET_TLS_CERT/],
    [{ LICET_TLS_KEY: "/tls/key.pem" }, /^LICET_TLS_CERT: expected with LICET_TLS_KEY/],
    [{ ...files, LICET_ORIGIN: "http://localhost:4242" }, /^LICET_ORIGIN: expected https, since LICET_TLS_CERT/],
    [{ LICET_METRICS_PORT: "4242" }, /^LICET_METRICS_PORT: expected a port of its own/],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: "collector" }, /^OTEL_EXPORTER_OTLP_ENDPOINT: expected a URL/],
    [{ LICET_MASTER_KEY_FILE: "/k", LICET_MASTER_KEY: "A".repeat(43) }, /^LICET_MASTER_KEY_FILE: expected it or/],
    [{ LICET_MTLS_PORT: "4243" }, /^LICET_MTLS_PORT: expected with LICET_TLS_CERT/],
    [{ ...files, LICET_MTLS_PORT: "4242" }, /^LICET_MTLS_PORT: expected another port/],
    [{ ...files, LICET_MTLS_CA: "/tls/ca.pem" }, /^LICET_MTLS_CA: expected with LICET_MTLS_PORT or/],
    [{ LICET_TRUSTED_PROXIES: "10.0.0.1, proxy.example" }, /^LICET_TRUSTED_PROXIES: .*got proxy\.example$/],
    [{ LICET_TRUSTED_PROXIES: "10.1" }, /^LICET_TRUSTED_PROXIES: .*got 10\.1$/],
    [{ LICET_HEADERS_SECONDS: "20", LICET_REQUEST_SECONDS: "10" }, /^LICET_REQUEST_SECONDS: expected at least/],
  ])("%j is refused", (env, message) => {
    expect(() => readConfig(env)).toThrow(message);
  });
});
