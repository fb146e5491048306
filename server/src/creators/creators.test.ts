import {
  type JsonObject,
  type PrivateJwk,
  type Signer,
  generatePrivateJwk,
  publicJwkOf,
  signCompactJws,
  signerOf,
  verifyCreatorKey,
  verifyKeySet,
} from "@licet/protocol";
import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { enrolCreator, expectStatus, fetchAccessToken, uniqueId } from "../../../test/fixtures/actors.ts";
import type { Answer, Caller } from "../../../test/fixtures/caller.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";

const SESSION_SECONDS = 2 * 3_600;
const platform = await startPlatform({ sessionSeconds: SESSION_SECONDS });

/** A creator who has a session and no key yet. */
async function newCreator(
  creatorId = uniqueId("user:"),
): Promise<{ readonly creatorId: string; readonly caller: Caller; readonly session: Answer["body"] }> {
  expectStatus(await platform.operator.post("/api/v1/creators", { creator_id: creatorId }), 201);
  const { body: session } = expectStatus(await platform.operator.post(`/api/v1/creators/${creatorId}/sessions`), 201);
  return { creatorId, caller: platform.as(session.creator_token), session };
}

interface Key {
  readonly jwk: PrivateJwk;
  readonly signer: Signer;
}

async function newKey(alg: "EdDSA" | "ES256" = "EdDSA"): Promise<Key> {
  const jwk = await generatePrivateJwk(alg);
  return { jwk, signer: await signerOf(jwk) };
}

async function challengeOf(creatorId: string, caller: Caller): Promise<string> {
  return expectStatus(await caller.post(`/api/v1/creators/${creatorId}/key-challenges`), 201).body.challenge;
}

interface Proof {
  readonly creatorId: string;
  readonly nonce: string;
  readonly signer: Signer;
  readonly claims?: JsonObject;
  readonly typ?: string;
}

async function proofOf({ creatorId, nonce, signer, claims = {}, typ = "key-proof+jwt" }: Proof): Promise<string> {
  const iat = Math.floor(platform.clock.nowMs() / 1_000);
  return signCompactJws(
    typ,
    { iss: `${platform.origin}/creators/${creatorId}`, aud: platform.origin, nonce, iat, ...claims },
    signer,
  );
}

async function enrol(creatorId: string, caller: Caller, key: Key, proof?: string): Promise<Answer> {
  const sent = proof ?? (await proofOf({ creatorId, nonce: await challengeOf(creatorId, caller), signer: key.signer }));
  return caller.post(`/api/v1/creators/${creatorId}/keys`, { jwk: publicJwkOf(key.jwk), proof: sent });
}

async function keysOf(creatorId: string): Promise<readonly { kid: string }[]> {
  return (await platform.operator.get(`/api/v1/creators/${creatorId}`)).body.keys;
}

describe("a creator", () => {
  test("is registered under the platform's pseudonym, in which a colon is allowed", async () => {
    const creatorId = uniqueId("user:eu-west:");
    const answer = await platform.operator.post("/api/v1/creators", { creator_id: creatorId });
    expect(answer).toMatchObject({
      status: 201,
      body: { creator_id: creatorId, issuer: `${platform.origin}/creators/${creatorId}` },
    });
    expect((await platform.operator.get(`/api/v1/creators/${encodeURIComponent(creatorId)}`)).body).toMatchObject({
      creator_id: creatorId,
      keys: [],
    });
  });

  test("is registered once, whatever the case", async () => {
    const creatorId = uniqueId("User:A");
    expectStatus(await platform.operator.post("/api/v1/creators", { creator_id: creatorId }), 201);
    for (const again of [creatorId, creatorId.toLowerCase(), creatorId.toUpperCase()]) {
      expect(await platform.operator.post("/api/v1/creators", { creator_id: again })).toMatchObject({
        status: 409,
        body: { code: "already_exists" },
      });
    }
    expect((await platform.operator.get(`/api/v1/creators/${creatorId.toLowerCase()}`)).status).toBe(404);
  });

  const impossible = [
    "..",
    "a..b",
    ".",
    "a.",
    "-a",
    "",
    "user/1",
    "user:../x",
    "a b",
    "ünal",
    "me@example.org",
    "x".repeat(129),
  ];
  test.each(impossible)("cannot be called %j", async (creatorId) => {
    expect(await platform.operator.post("/api/v1/creators", { creator_id: creatorId })).toMatchObject({
      status: 422,
      body: { code: "input_invalid" },
    });
  });

  test("of ten simultaneous registrations is registered once", async () => {
    const creatorId = uniqueId("user:");
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => platform.operator.post("/api/v1/creators", { creator_id: creatorId })),
    );
    expect(answers.map((answer) => answer.status).sort()).toEqual([201, ...Array<number>(9).fill(409)]);
  });

  test("sees themselves and nobody else, existing or not", async () => {
    const [ana, bram] = [await newCreator(), await newCreator()];
    expect((await ana.caller.get(`/api/v1/creators/${ana.creatorId}`)).status).toBe(200);
    for (const other of [bram.creatorId, "nobody", ana.creatorId.toUpperCase()]) {
      expect(await ana.caller.get(`/api/v1/creators/${other}`)).toMatchObject({
        status: 403,
        body: { code: "not_yours" },
      });
    }
    expect((await ana.caller.get("/api/v1/creators")).status).toBe(403);
  });

  test("is listed with keys, page by page", async () => {
    const { creatorId, kid } = await enrolCreator(platform, { creatorId: uniqueId("aaa:") });
    const { body } = await platform.operator.get("/api/v1/creators?limit=1&after=aa");
    expect(body.creators).toMatchObject([{ creator_id: creatorId, keys: [{ kid, alg: "EdDSA" }] }]);
    expect(body.next).toBe(creatorId);
    expect(
      (await platform.operator.get(`/api/v1/creators?limit=1000&after=${body.next}`)).body.creators,
    ).not.toContainEqual(expect.objectContaining({ creator_id: creatorId }));
  });
});

describe("a session", () => {
  test("is opened by the platform's backend, too", async () => {
    const { creatorId } = await newCreator();
    const client = expectStatus(
      await platform.operator.post("/api/v1/clients", { name: "Backend", scopes: ["sessions:write"] }),
      201,
    ).body;
    const token = await fetchAccessToken(platform, {
      clientId: client.client_id,
      clientSecret: client.client_secret,
      scope: client.scope,
    });
    const answer = await platform.as(token).post(`/api/v1/creators/${creatorId}/sessions`);
    expect(answer).toMatchObject({ status: 201, body: { creator_id: creatorId } });
    expect(answer.headers.get("cache-control")).toBe("no-store");
  });

  test("is not opened for somebody nobody registered, nor by a creator", async () => {
    const ana = await newCreator();
    expect((await platform.operator.post("/api/v1/creators/nobody/sessions")).status).toBe(404);
    expect((await ana.caller.post(`/api/v1/creators/${ana.creatorId}/sessions`)).body.code).toBe("forbidden");
  });

  test("is kept as a hash", async () => {
    const { session } = await newCreator();
    const rows = await platform.server.ctx.db.selectFrom("session_token").selectAll().execute();
    expect(JSON.stringify(rows)).not.toContain(session.creator_token);
    expect(rows.map((row) => row.token_sha256)).toContain(
      createHash("sha256").update(session.creator_token).digest("hex"),
    );
  });

  test("expires, and says so", async () => {
    const { creatorId, caller, session } = await newCreator();
    expect(Date.parse(session.expires_at)).toBeLessThanOrEqual(platform.clock.nowMs() + SESSION_SECONDS * 1_000);
    platform.clock.advance(SESSION_SECONDS - 30);
    expect((await caller.get(`/api/v1/creators/${creatorId}`)).status).toBe(200);
    platform.clock.advance(31);
    const late = await caller.get(`/api/v1/creators/${creatorId}`);
    expect(late).toMatchObject({ status: 401, body: { code: "token_invalid" } });
    expect(late.headers.get("www-authenticate")).toMatch(/^Bearer error="invalid_token", /);
  });
});

describe("a key", () => {
  test.each(["EdDSA", "ES256"] as const)(
    "by %s is enrolled with proof of possession, as a document that verifies",
    async (alg) => {
      const { creatorId, caller } = await newCreator();
      const key = await newKey(alg);
      const { body: document } = expectStatus(await enrol(creatorId, caller, key), 201);
      const now = Math.floor(platform.clock.nowMs() / 1_000);
      const keys = await verifyKeySet(
        (await platform.anonymous.get("/.well-known/keys.json")).body,
        platform.origin,
        now,
      );
      if (!keys.ok) throw new Error(keys.refusal.detail);
      expect(await verifyCreatorKey(document, keys.value, now)).toMatchObject({
        ok: true,
        value: { creator_id: creatorId, kid: key.signer.kid, alg },
      });
      expect(await keysOf(creatorId)).toMatchObject([{ kid: key.signer.kid, alg, jwk: publicJwkOf(key.jwk) }]);
    },
  );

  test("is refused with its private member, and what was sent is not repeated", async () => {
    const { creatorId, caller } = await newCreator();
    const key = await newKey();
    const proof = await proofOf({ creatorId, nonce: await challengeOf(creatorId, caller), signer: key.signer });
    const answer = await caller.post(`/api/v1/creators/${creatorId}/keys`, { jwk: key.jwk, proof });
    expect(answer).toMatchObject({ status: 400, body: { code: "key_malformed" } });
    expect(answer.text).not.toContain(key.jwk.d);
  });

  test.each<[what: string, jwk: JsonObject]>([
    ["RSA", { kty: "RSA", n: "AQAB", e: "AQAB" }],
    ["a symmetric key", { kty: "oct", k: "c2VjcmV0" }],
    ["a curve of another kind", { kty: "OKP", crv: "X25519", x: "A".repeat(43) }],
    ["a short coordinate", { kty: "OKP", crv: "Ed25519", x: "AAAA" }],
    [
      "a point of small order, under which anybody can sign",
      {
        kty: "OKP",
        crv: "Ed25519",
        x: Buffer.from("0100000000000000000000000000000000000000000000000000000000000000", "hex").toString("base64url"),
      },
    ],
  ])("is refused when it is %s", async (_what, jwk) => {
    const { creatorId, caller } = await newCreator();
    const { signer } = await newKey();
    const proof = await proofOf({ creatorId, nonce: await challengeOf(creatorId, caller), signer });
    expect(await caller.post(`/api/v1/creators/${creatorId}/keys`, { jwk, proof })).toMatchObject({
      status: 400,
      body: { code: "key_malformed" },
    });
    expect(await keysOf(creatorId)).toEqual([]);
  });

  test("is enrolled once, by whomever", async () => {
    const [ana, bram] = [await newCreator(), await newCreator()];
    const key = await newKey();
    expectStatus(await enrol(ana.creatorId, ana.caller, key), 201);
    for (const { creatorId, caller } of [ana, bram]) {
      expect(await enrol(creatorId, caller, key)).toMatchObject({ status: 409, body: { code: "key_exists" } });
    }
    expect(await keysOf(bram.creatorId)).toEqual([]);
  });

  test("is enrolled for oneself only", async () => {
    const [ana, bram] = [await newCreator(), await newCreator()];
    const isNotHers = { status: 403, body: { code: "not_yours" } };
    expect(await ana.caller.post(`/api/v1/creators/${bram.creatorId}/key-challenges`)).toMatchObject(isNotHers);
    const key = await newKey();
    const proof = await proofOf({
      creatorId: bram.creatorId,
      nonce: await challengeOf(bram.creatorId, bram.caller),
      signer: key.signer,
    });
    expect(await enrol(bram.creatorId, ana.caller, key, proof)).toMatchObject(isNotHers);
    expect(
      (await platform.operator.post(`/api/v1/creators/${bram.creatorId}/keys`, { jwk: publicJwkOf(key.jwk), proof }))
        .body.code,
    ).toBe("forbidden");
  });
});

describe("a proof of possession does not hold", () => {
  interface Broken {
    readonly code: string;
    readonly proof: (creatorId: string, nonce: string, key: Key) => Promise<string>;
  }

  const elsewhere = "https://elsewhere.example";
  const cases: readonly [what: string, broken: Broken][] = [
    [
      "by another key under its own kid",
      {
        code: "proof_invalid",
        proof: async (creatorId, nonce) => proofOf({ creatorId, nonce, signer: (await newKey()).signer }),
      },
    ],
    [
      "by another key under this kid",
      {
        code: "signature_invalid",
        proof: async (creatorId, nonce, { signer }) =>
          proofOf({ creatorId, nonce, signer: { ...(await newKey()).signer, kid: signer.kid } }),
      },
    ],
    [
      "under a kid that is no thumbprint",
      {
        code: "proof_invalid",
        proof: async (creatorId, nonce, { signer }) =>
          proofOf({ creatorId, nonce, signer: { ...signer, kid: "my-key" } }),
      },
    ],
    [
      "for another audience",
      {
        code: "proof_invalid",
        proof: async (creatorId, nonce, { signer }) =>
          proofOf({ creatorId, nonce, signer, claims: { aud: elsewhere } }),
      },
    ],
    [
      "in another creator's name",
      {
        code: "proof_invalid",
        proof: async (_creatorId, nonce, { signer }) => proofOf({ creatorId: "somebody", nonce, signer }),
      },
    ],
    [
      "without a nonce",
      {
        code: "proof_invalid",
        proof: async (creatorId, _nonce, { signer }) => proofOf({ creatorId, nonce: "", signer }),
      },
    ],
    [
      "with a nonce nobody gave out",
      {
        code: "proof_invalid",
        proof: async (creatorId, _nonce, { signer }) => proofOf({ creatorId, nonce: "A".repeat(32), signer }),
      },
    ],
    [
      "as a token of another type",
      {
        code: "typ_wrong",
        proof: async (creatorId, nonce, { signer }) => proofOf({ creatorId, nonce, signer, typ: "consent+jwt" }),
      },
    ],
    ["as no token at all", { code: "jws_malformed", proof: async () => "proof" }],
  ];

  test.each(cases)("%s", async (_what, { code, proof }) => {
    const { creatorId, caller } = await newCreator();
    const key = await newKey();
    const nonce = await challengeOf(creatorId, caller);
    expect((await enrol(creatorId, caller, key, await proof(creatorId, nonce, key))).body.code).toBe(code);
    expect(await keysOf(creatorId)).toEqual([]);
    expect((await enrol(creatorId, caller, key, await proofOf({ creatorId, nonce, signer: key.signer }))).status).toBe(
      201,
    );
  });

  test("with a challenge used before", async () => {
    const { creatorId, caller } = await newCreator();
    const [first, second] = [await newKey(), await newKey()];
    const nonce = await challengeOf(creatorId, caller);
    expectStatus(await enrol(creatorId, caller, first, await proofOf({ creatorId, nonce, signer: first.signer })), 201);
    expect(
      (await enrol(creatorId, caller, second, await proofOf({ creatorId, nonce, signer: second.signer }))).body.code,
    ).toBe("proof_invalid");
  });

  test("with a challenge used twice at once", async () => {
    const { creatorId, caller } = await newCreator();
    const nonce = await challengeOf(creatorId, caller);
    const keys = await Promise.all(Array.from({ length: 5 }, () => newKey()));
    const answers = await Promise.all(
      keys.map(async (key) => enrol(creatorId, caller, key, await proofOf({ creatorId, nonce, signer: key.signer }))),
    );
    expect(answers.filter((answer) => answer.status === 201).length).toBe(1);
  });

  test("with another creator's challenge", async () => {
    const [ana, bram] = [await newCreator(), await newCreator()];
    const key = await newKey();
    const nonce = await challengeOf(bram.creatorId, bram.caller);
    expect(
      (
        await enrol(
          ana.creatorId,
          ana.caller,
          key,
          await proofOf({ creatorId: ana.creatorId, nonce, signer: key.signer }),
        )
      ).body.code,
    ).toBe("proof_invalid");
  });

  test("with a challenge older than ten minutes", async () => {
    const { creatorId, caller } = await newCreator();
    const key = await newKey();
    const nonce = await challengeOf(creatorId, caller);
    platform.clock.advance(601);
    expect(
      (await enrol(creatorId, caller, key, await proofOf({ creatorId, nonce, signer: key.signer }))).body.code,
    ).toBe("proof_invalid");
  });
});
