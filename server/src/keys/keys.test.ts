import { type JsonObject, KEY_PURPOSES, readKeySet, thumbprint, verifyKeySet } from "@licet/protocol";
import { ConfigError, startServer } from "@licet/server";
import { type JWK, compactVerify, createLocalJWKSet } from "jose";
import { randomBytes } from "node:crypto";
import { readFile, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { sql } from "kysely";
import { describe, expect, inject, test } from "vitest";
import { enrolCreator, giveConsent, registerMarketplace } from "../../../test/fixtures/actors.ts";
import { configFor, createTestDatabase } from "../../../test/fixtures/databases.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { sealerOf } from "../db/sealing.ts";

const platform = await startPlatform({ masterKey: new Uint8Array(randomBytes(32)) });

async function readKeys(): Promise<JsonObject & { keys: (JWK & { purpose: string; status: string })[] }> {
  return (await platform.anonymous.get("/.well-known/keys.json")).body;
}

describe("the key set", () => {
  test("verifies, and has one active key for each purpose that signs today", async () => {
    const document = await readKeys();
    const now = Math.floor(platform.clock.nowMs() / 1_000);
    expect(await verifyKeySet(document, platform.origin, now)).toMatchObject({ ok: true });
    expect(document.keys.map((key) => [key.purpose, key.status]).sort()).toEqual([
      ["consent", "active"],
      ["document", "active"],
      ["license", "active"],
      ["receipt", "active"],
      ["webhook", "active"],
    ]);
    expect(document.keys.every((key) => KEY_PURPOSES.some((purpose) => purpose === key.purpose))).toBe(true);
  });

  test("is a JWKS that jose verifies our tokens with", async () => {
    await giveConsent(await enrolCreator(platform));
    const { text } = await platform.anonymous.get("/status-lists/1");
    const { protectedHeader } = await compactVerify(text, createLocalJWKSet(await readKeys()));
    expect(protectedHeader).toMatchObject({ alg: "EdDSA", typ: "statuslist+jwt" });
  });

  test("names each key by its thumbprint and holds public members only", async () => {
    const document = await readKeys();
    const read = readKeySet(document);
    if (!read.ok) throw new Error(read.refusal.detail);
    expect(read.value.keys.every((key) => key.kid === thumbprint(key.jwk))).toBe(true);
    expect(
      document.keys.flatMap((key) => Object.keys(key)).filter((member) => ["d", "p", "q", "k"].includes(member)),
    ).toEqual([]);
  });

  test("of another origin is refused by a reader", async () => {
    expect(
      await verifyKeySet(await readKeys(), "https://elsewhere.example", Math.floor(platform.clock.nowMs() / 1_000)),
    ).toMatchObject({ ok: false });
  });
});

describe("private keys and secrets", () => {
  test("are in the database sealed, never in clear", async () => {
    const { clientSecret, webhookSecret } = await registerMarketplace(platform);
    const { db, sealer } = platform.server.ctx;
    const signing = await db.selectFrom("signing_key").selectAll().execute();
    const oauth = await db.selectFrom("oauth_key").selectAll().execute();
    const secrets = [
      ...signing.map((row): string => JSON.parse(sealer.open(`signing_key/${row.kid}`, row.sealed_jwk)).d),
      ...oauth.map((row): string => JSON.parse(sealer.open(`oauth_key/${row.kid}`, row.sealed_jwk)).d),
      clientSecret,
      webhookSecret,
      platform.operatorToken,
    ];
    expect(secrets.every((secret) => secret.length >= 40)).toBe(true);
    const dump = await dumpDatabase();
    expect(dump).toContain(signing[0]?.kid);
    for (const secret of secrets)
      expect([secret, Buffer.from(secret).toString("hex")].filter((spelling) => dump.includes(spelling))).toEqual([]);
  });

  test("cannot be put in one another's place", async () => {
    const { db, sealer } = platform.server.ctx;
    const [first, second] = await db.selectFrom("signing_key").selectAll().execute();
    if (first === undefined || second === undefined) throw new Error("expected two keys");
    expect(() => sealer.open(`signing_key/${second.kid}`, first.sealed_jwk)).toThrow(ConfigError);
  });

  test("that were altered or sealed with another master key do not open", () => {
    const sealer = sealerOf(new Uint8Array(randomBytes(32)));
    const sealed = sealer.seal("a/label", "a secret");
    expect(sealer.open("a/label", sealed)).toBe("a secret");
    const altered = sealed.map((byte, index) => (index === sealed.length - 1 ? byte ^ 1 : byte));
    expect(() => sealer.open("a/label", altered)).toThrow(ConfigError);
    expect(() => sealerOf(new Uint8Array(randomBytes(32))).open("a/label", sealed)).toThrow(
      "the master key does not open a/label",
    );
    expect(Buffer.from(sealer.seal("a/label", "a secret"))).not.toEqual(Buffer.from(sealed));
  });
});

/** Every row of every table of ours, bytes as hexadecimal text. */
async function dumpDatabase(): Promise<string> {
  const { db } = platform.server.ctx;
  const { rows: tables } = await sql<{
    name: string;
  }>`select table_name as name from information_schema.tables where table_schema = 'public'`.execute(db);
  const dumps = await Promise.all(
    tables.map(({ name }) =>
      sql<{ row: string }>`select row_to_json(t)::text as row from ${sql.table(name)} t`.execute(db),
    ),
  );
  return dumps.flatMap(({ rows }) => rows.map(({ row }) => row)).join("\n");
}

test("a restart keeps the keys, the documents and the operator", async () => {
  const database = await createTestDatabase(inject("templateFolder"));
  const config = configFor(database, { origin: "http://localhost:4242" });
  const first = await startServer({ config });
  const document = first.ctx.signingKeys.signerFor("document").kid;
  const keySet = (await first.ctx.documents.read("/.well-known/keys.json"))?.etag;
  expect(first.bootstrapToken).toMatch(/^licet_op_[\w-]{43}$/);
  await first.stop();

  const second = await startServer({ config });
  expect(second.bootstrapToken).toBeUndefined();
  expect(second.ctx.signingKeys.signerFor("document").kid).toBe(document);
  expect((await second.ctx.documents.read("/.well-known/keys.json"))?.etag).toBe(keySet);
  await second.stop();
  await database.drop();
});

test("each purpose signs with a key of its own", async () => {
  const { signerFor } = platform.server.ctx.signingKeys;
  const { keys } = await readKeys();
  for (const purpose of KEY_PURPOSES)
    expect(keys.find((key) => key.kid === signerFor(purpose).kid)?.purpose).toBe(purpose);
});

describe("the master key", () => {
  test("is made once, in a file that only its owner reads, outside the database", async () => {
    const database = await createTestDatabase(inject("templateFolder"));
    const config = configFor(database, { origin: "http://localhost:4242" });
    await (await startServer({ config })).stop();
    const path = join(database.dataFolder, "master.key");
    const key = await readFile(path, "utf8");
    expect(Buffer.from(key, "base64url").length).toBe(32);
    expect(((await stat(path)).mode & 0o777).toString(8)).toBe("600");
    await (await startServer({ config })).stop();
    expect(await readFile(path, "utf8")).toBe(key);
    await database.drop();
  });

  test("that is another one stops the boot with one clear line, and releases the folder and the port", async () => {
    const database = await createTestDatabase(inject("templateFolder"));
    const right = configFor(database, { origin: "http://localhost:4242", masterKey: new Uint8Array(randomBytes(32)) });
    await (await startServer({ config: right })).stop();
    const wrong = startServer({ config: { ...right, masterKey: new Uint8Array(randomBytes(32)) } });
    await expect(wrong).rejects.toThrow(ConfigError);
    await expect(wrong).rejects.toThrow(
      /^the master key does not open signing_key\/[\w-]{43}: expected the key this database was sealed with$/,
    );
    expect((await readdir(database.dataFolder)).filter((name) => name.endsWith(".lock"))).toEqual([]);
    await (await startServer({ config: right })).stop();
    await database.drop();
  });
});
