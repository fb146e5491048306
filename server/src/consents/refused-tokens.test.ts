import { type JsonObject, type Signer, generatePrivateJwk, signerOf, signJwsInput } from "@licet/protocol";
import { describe, expect, test } from "vitest";
import { type Creator, enrolCreator, expectStatus, registerWork } from "../../../test/fixtures/actors.ts";
import type { Answer } from "../../../test/fixtures/caller.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";

/*
 * Tokens are forged from a real draft and signed with a key that is enrolled, so that each check is
 * reached; whatever is refused must have left everything as it was.
 */
const platform = await startPlatform();
const ana = await enrolCreator(platform);
const bram = await enrolCreator(platform, { alg: "ES256" });
const stranger = await signerOf(await generatePrivateJwk("EdDSA"));
const anasWork = await registerWork(platform, ana.creatorId);
const bramsWork = await registerWork(platform, bram.creatorId);

/** What a forger changes; the rest stays as it was drafted. */
interface Forgery {
  readonly header?: JsonObject;
  readonly claims?: JsonObject;
  /** Claims left out. */
  readonly without?: readonly string[];
  readonly signer?: Signer;
  /** Replaces the payload's text. */
  readonly payload?: (text: string) => string;
  /** Spoils the finished token. */
  readonly token?: (token: string) => string;
}

async function draft(creator: Creator, input: JsonObject = {}): Promise<Answer["body"]> {
  const body = { subject: `creator:${creator.creatorId}`, scope: ["training", "commercial"], ...input };
  return expectStatus(await creator.caller.post("/api/v1/consents/drafts", body), 201).body;
}

async function forge(creator: Creator, forgery: Forgery, drafted?: Answer["body"]): Promise<string> {
  const { claims } = drafted ?? (await draft(creator));
  const { header = {}, without = [], signer = creator.signer, payload = String, token = String } = forgery;
  const changed = Object.entries({ ...claims, ...forgery.claims }).filter(([name]) => !without.includes(name));
  const head = { alg: creator.signer.alg, kid: creator.kid, typ: "consent+jwt", ...header };
  const input = `${segment(JSON.stringify(head))}.${segment(payload(JSON.stringify(Object.fromEntries(changed))))}`;
  return token(await signJwsInput(input, signer));
}

function segment(text: string): string {
  return Buffer.from(text).toString("base64url");
}

/** Everything that a refused token must not change. */
async function state(): Promise<unknown> {
  const [consents, list, revocations] = await Promise.all(
    ["/api/v1/consents?limit=1000", "/status-lists/1", "/.well-known/consent-revocations.json"].map((path) =>
      platform.operator.get(path),
    ),
  );
  const { db } = platform.server.ctx;
  const events = await db.selectFrom("event").select("id").orderBy("id").execute();
  const drafts = await db.selectFrom("consent_draft").select(["jti", "state"]).orderBy("jti").execute();
  return { consents: consents?.text, list: list?.text, revocations: revocations?.text, events, drafts };
}

async function expectRefused(token: string, code: string, creator: Creator = ana): Promise<void> {
  const before = await state();
  const answer = await creator.caller.post("/api/v1/consents", { token });
  expect({ code: answer.body.code, detail: answer.body.detail }).toMatchObject({ code });
  expect(answer.status).toBe(answer.body.status);
  expect(answer.status).toBeGreaterThanOrEqual(400);
  expect(await state()).toEqual(before);
}

const now = Math.floor(platform.clock.nowMs() / 1_000);
const HOUR = 3_600;

/** The order of P-256. Whoever has (r, s) can write (r, n − s), and it verifies as well. */
const N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

function withOtherSignature(token: string): string {
  const [header, payload, signature = ""] = token.split(".");
  const hex = Buffer.from(signature, "base64url").toString("hex");
  const s = (N - BigInt(`0x${hex.slice(64)}`)).toString(16).padStart(64, "0");
  return [header, payload, Buffer.from(hex.slice(0, 64) + s, "hex").toString("base64url")].join(".");
}

describe("a token is refused, and nothing changes, for", () => {
  const cases: readonly [what: string, code: string, forgery: Forgery][] = [
    ["alg none", "alg_not_allowed", { header: { alg: "none" } }],
    [
      "alg none and no signature",
      "alg_not_allowed",
      { header: { alg: "none" }, token: (token) => token.slice(0, token.lastIndexOf(".") + 1) },
    ],
    ["an HMAC alg", "alg_not_allowed", { header: { alg: "HS256" } }],
    ["an alg the key does not have", "key_alg_mismatch", { header: { alg: "ES256" }, claims: { sig_alg: "ES256" } }],
    ["another key's signature", "signature_invalid", { signer: stranger }],
    ["no signature", "signature_invalid", { token: (token) => token.slice(0, token.lastIndexOf(".") + 1) }],
    ["a key nobody enrolled", "key_unknown", { header: { kid: stranger.kid }, signer: stranger }],
    ["a padded segment", "jws_malformed", { token: (token) => `${token}=` }],
    ["a space in a segment", "jws_malformed", { token: (token) => token.replace(".", " .") }],
    ["a line feed at the end", "jws_malformed", { token: (token) => `${token}\n` }],
    ["base64 instead of base64url", "jws_malformed", { token: (token) => `${token.slice(0, -1)}+` }],
    ["stray bits at the end", "jws_malformed", { token: withStrayBits }],
    ["two segments", "jws_malformed", { token: (token) => token.slice(0, token.lastIndexOf(".")) }],
    ["four segments", "jws_malformed", { token: (token) => `${token}.` }],
    ["typ JWT", "typ_wrong", { header: { typ: "JWT" } }],
    ["typ of another token of ours", "typ_wrong", { header: { typ: "key-proof+jwt" } }],
    ["typ in capitals", "typ_wrong", { header: { typ: "Consent+JWT" } }],
    ["a key inside the header", "header_invalid", { header: { jwk: { kty: "OKP" } } }],
    ["a critical header member", "header_invalid", { header: { crit: ["exp"] } }],
    ["duplicate claims", "json_malformed", { payload: (text) => text.replace("{", '{"sub":"creator:somebody",') }],
    ["a fraction in exp", "json_malformed", { payload: (text) => text.replace(/"exp":\d+/, '"exp":1.5') }],
    ["an exponent in exp", "json_malformed", { payload: (text) => text.replace(/"exp":\d+/, '"exp":1e99') }],
    ["sig_alg unlike the header", "sig_alg_mismatch", { claims: { sig_alg: "ES256" } }],
    ["sig_alg none", "sig_alg_mismatch", { claims: { sig_alg: "none" } }],
    ["missing exp", "claim_missing", { without: ["exp"] }],
    ["missing jti", "claim_missing", { without: ["jti"] }],
    ["missing scope", "claim_missing", { without: ["scope"] }],
    ["missing status", "claim_missing", { without: ["status"] }],
    ["a negative exp", "claim_invalid", { claims: { exp: -1 } }],
    ["exp as text", "claim_invalid", { claims: { exp: "2030-01-01T00:00:00Z" } }],
    ["exp after the year 9999", "claim_invalid", { claims: { exp: 253_402_300_800 } }],
    ["more than ten years", "claim_invalid", { claims: { exp: now + 11 * 366 * 86_400 } }],
    ["exp before iat", "claim_invalid", { claims: { iat: now + 2, exp: now + 1 } }],
    ["a jti of another form", "claim_invalid", { claims: { jti: "../../etc/passwd" } }],
    ["a subject of another kind", "claim_invalid", { claims: { sub: "everything:*" } }],
    ["another consent_version", "claim_invalid", { claims: { consent_version: "2.0.0" } }],
    ["an empty audience", "claim_invalid", { claims: { aud: [] } }],
    ["an unknown prohibition", "claim_invalid", { claims: { prohibitions: ["telepathy"] } }],
    ["an unknown scope entry", "scope_unknown", { claims: { scope: ["training", "world_domination"] } }],
    ["a scope entry in capitals", "scope_unknown", { claims: { scope: ["TRAINING"] } }],
    ["a scope entry twice", "scope_unknown", { claims: { scope: ["training", "training"] } }],
    ["a scope without a use", "scope_unknown", { claims: { scope: ["commercial"] } }],
    [
      "the issuer being another creator",
      "issuer_mismatch",
      { claims: { iss: `${platform.origin}/creators/${bram.creatorId}` } },
    ],
    ["the issuer being the platform", "issuer_mismatch", { claims: { iss: platform.origin } }],
    [
      "the issuer being elsewhere",
      "issuer_mismatch",
      { claims: { iss: `https://elsewhere.example/creators/${ana.creatorId}` } },
    ],
    [
      "act in a creator's own token",
      "act_invalid",
      { claims: { act: { sub: ana.creatorId, evidence_sha256: "0".repeat(64) } } },
    ],
    ["another creator's works", "subject_not_signers", { claims: { sub: `creator:${bram.creatorId}` } }],
    ["another creator's work", "subject_not_signers", { claims: { sub: `content:${bramsWork}` } }],
    ["a work nobody registered", "subject_not_signers", { claims: { sub: "content:nowhere" } }],
    ["a time that is over", "token_expired", { claims: { iat: now - 2 * HOUR, exp: now - HOUR } }],
    ["a time that has not begun (nbf)", "token_not_yet_valid", { claims: { nbf: now + HOUR } }],
    ["a time that has not begun (iat)", "token_not_yet_valid", { claims: { iat: now + HOUR } }],
    ["a jti that was never drafted", "consent_not_drafted", { claims: { jti: `ctok_${"A".repeat(22)}` } }],
    ["another price than was shown", "draft_altered", { claims: { price_floor: "per-token:9" } }],
    [
      "one scope entry more than was shown",
      "draft_altered",
      { claims: { scope: ["training", "commercial", "search"] } },
    ],
    ["another subject of the signer's than was shown", "draft_altered", { claims: { sub: `content:${anasWork}` } }],
    [
      "another status index",
      "draft_altered",
      { claims: { status: { status_list: { idx: 1, uri: `${platform.origin}/status-lists/1` } } } },
    ],
    ["the same claims in another spelling", "draft_altered", { payload: (text) => text.replace("{", "{ ") }],
    ["a test token", "test_document", { claims: { test: true } }],
    ["a token as long as a book", "input_invalid", { claims: { note: "a".repeat(20_000) } }],
  ];

  test.each(cases)("%s (%s)", async (_what, code, forgery) => {
    await expectRefused(await forge(ana, forgery), code);
  });

  test("a jti seen before, in the same bytes", async () => {
    const drafted = await draft(ana);
    const token = await signJwsInput(drafted.signing_input, ana.signer);
    expectStatus(await ana.caller.post("/api/v1/consents", { token }), 201);
    await expectRefused(token, "jti_seen");
  });

  test("a jti seen before, under the other of its two ES256 signatures", async () => {
    const drafted = await draft(bram);
    const token = await signJwsInput(drafted.signing_input, bram.signer);
    expectStatus(await bram.caller.post("/api/v1/consents", { token }), 201);
    await expectRefused(withOtherSignature(token), "jti_seen", bram);
  });

  test("a jti seen before, in another token of the same signer", async () => {
    const drafted = await draft(ana);
    const token = await signJwsInput(drafted.signing_input, ana.signer);
    expectStatus(await ana.caller.post("/api/v1/consents", { token }), 201);
    await expectRefused(await forge(ana, { claims: { price_floor: "per-token:5" } }, drafted), "jti_seen");
  });

  test("the jti of another creator's draft", async () => {
    const { jti } = await draft(bram);
    await expectRefused(await forge(ana, { claims: { jti } }), "draft_altered");
  });

  test("the platform's own document key", async () => {
    const { body } = await platform.anonymous.get("/.well-known/keys.json");
    const kid: string = body.keys.find((key: { purpose: string }) => key.purpose === "document").kid;
    await expectRefused(await forge(ana, { header: { kid } }), "key_unknown");
  });

  test("a creator's token that claims to be the platform's", async () => {
    const { body } = await platform.anonymous.get("/.well-known/keys.json");
    const kid: string = body.keys.find((key: { purpose: string }) => key.purpose === "consent").kid;
    const claims = { iss: platform.origin, act: { sub: ana.creatorId, evidence_sha256: "0".repeat(64) } };
    await expectRefused(await forge(ana, { header: { kid }, claims }), "signature_invalid");
  });

  test("an ES256 signature in DER, and one with an EdDSA header", async () => {
    const der = (token: string) =>
      `${token.slice(0, token.lastIndexOf("."))}.${Buffer.from([0x30, 0x45, ...Array<number>(69).fill(1)]).toString("base64url")}`;
    await expectRefused(await forge(bram, { token: der }), "signature_invalid", bram);
    await expectRefused(
      await forge(bram, { header: { alg: "EdDSA" }, claims: { sig_alg: "EdDSA" } }),
      "key_alg_mismatch",
      bram,
    );
  });

  test("another creator's token, however valid", async () => {
    const drafted = await draft(bram);
    const token = await signJwsInput(drafted.signing_input, bram.signer);
    await expectRefused(token, "not_yours", ana);
    expectStatus(await bram.caller.post("/api/v1/consents", { token }), 201);
  });
});

/** The checks in their order, each with a fault that only it finds. */
const FAULTS: readonly (Forgery & { readonly check: string; readonly code: string; readonly seen?: true })[] = [
  { check: "syntax", code: "jws_malformed", token: (token) => `${token}=` },
  { check: "header", code: "typ_wrong", header: { typ: "JWT" } },
  { check: "key", code: "key_unknown", header: { kid: stranger.kid } },
  { check: "signature", code: "signature_invalid", signer: stranger },
  { check: "claims", code: "scope_unknown", claims: { scope: ["everything"] } },
  { check: "claims: subject", code: "subject_not_signers", claims: { sub: `content:${bramsWork}` } },
  { check: "times", code: "token_expired", claims: { iat: now - 2 * HOUR, exp: now - HOUR } },
  { check: "jti", code: "jti_seen", seen: true },
  { check: "draft", code: "draft_altered", claims: { price_floor: "per-token:7" } },
];

describe("with two faults the earlier check names the code", () => {
  const pairs = FAULTS.flatMap((first, index) => FAULTS.slice(index + 1).map((second) => ({ first, second })));

  test.each(pairs)("$first.check before $second.check", async ({ first, second }) => {
    const drafted = await draft(ana);
    if (first.seen === true || second.seen === true) {
      expectStatus(
        await ana.caller.post("/api/v1/consents", { token: await signJwsInput(drafted.signing_input, ana.signer) }),
        201,
      );
    }
    const { check: _check, code, seen: _seen, ...earlier } = first;
    const both = {
      ...second,
      ...earlier,
      header: { ...second.header, ...earlier.header },
      claims: { ...second.claims, ...earlier.claims },
    };
    await expectRefused(await forge(ana, both, drafted), code);
  });
});

test("after a refusal the honest token is still accepted", async () => {
  const drafted = await draft(ana);
  await expectRefused(await forge(ana, { claims: { price_floor: "per-token:8" } }, drafted), "draft_altered");
  const token = await signJwsInput(drafted.signing_input, ana.signer);
  expect(await ana.caller.post("/api/v1/consents", { token })).toMatchObject({
    status: 201,
    body: { state: "active" },
  });
});

test("of ten simultaneous acceptances one succeeds", async () => {
  const drafted = await draft(bram);
  const token = await signJwsInput(drafted.signing_input, bram.signer);
  const answers = await Promise.all(Array.from({ length: 10 }, () => bram.caller.post("/api/v1/consents", { token })));
  expect(answers.map((answer) => answer.body.code ?? answer.status).sort()).toEqual([
    201,
    ...Array<string>(9).fill("jti_seen"),
  ]);
});

/** The last character of a 64-byte signature carries four bits that must be zero. */
function withStrayBits(token: string): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const last = alphabet.indexOf(token.at(-1) ?? "");
  return token.slice(0, -1) + alphabet[last + 1];
}
