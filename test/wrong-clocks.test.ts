import {
  type JsonObject,
  checkFresh,
  formatInstant,
  generatePrivateJwk,
  parseJsonObject,
  publicJwkOf,
  readDatasetStatus,
  signJwsInput,
} from "@licet/protocol";
import { SignJWT, importJWK } from "jose";
import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  offerDataset,
  publishDataset,
  registerMarketplace,
  registerWork,
} from "./fixtures/actors.ts";
import type { Answer } from "./fixtures/caller.ts";
import { checkPlatform } from "./fixtures/check-platform.ts";
import { startFurtherServer, startPlatform } from "./fixtures/platform.ts";
import { postReceipt } from "./fixtures/receipts.ts";
import { engine } from "./fixtures/settings.ts";

/** How wrong a clock is here, in seconds: more than the minute that readers forgive, less than a document lives. */
const WRONG = 120;
const FORGIVEN = 60;

const platform = await startPlatform();
const ana = await enrolCreator(platform);

function now(): number {
  return Math.floor(platform.clock.nowMs() / 1_000);
}

describe("a client whose clock is two minutes wrong", async () => {
  const work = await registerWork(platform, ana.creatorId);
  await giveConsent(ana, { subject: `content:${work}` });
  const dataset = await publishDataset(platform, [work]);
  const marketplace = await registerMarketplace(platform);
  await offerDataset(platform, dataset.dataset_id, marketplace);

  async function postAt(seconds: number): Promise<Answer> {
    const at = formatInstant(now() + seconds);
    return postReceipt(platform, marketplace, dataset, { licensed_at: at, period: { from: at, to: at } });
  }

  test("and ahead reports use that has not happened; behind, use of a version that was not there: neither is booked", async () => {
    for (const wrong of [WRONG, -WRONG])
      expect(await postAt(wrong)).toMatchObject({ status: 422, body: { code: "receipt_period_invalid" } });
    for (const forgiven of [0, FORGIVEN - 10]) expectStatus(await postAt(forgiven), 201);
    platform.clock.advance(WRONG);
    expectStatus(await postAt(-WRONG), 201);
  });

  test("and behind asserts what has expired; ahead, what begins later; a lifetime above the error makes up for it", async () => {
    const jwk = await generatePrivateJwk("ES256");
    const key = await importJWK({ ...jwk }, "ES256");
    const { client_id } = expectStatus(
      await platform.operator.post("/api/v1/clients", {
        name: "A backend",
        scopes: ["content:read"],
        token_endpoint_auth_method: "private_key_jwt",
        jwks: { keys: [{ ...publicJwkOf(jwk), kid: "k" }] },
      }),
      201,
    ).body;
    const present = async (claims: JsonObject): Promise<number> => {
      const client_assertion = await new SignJWT({
        iss: client_id,
        sub: client_id,
        aud: `${platform.origin}/oauth`,
        jti: randomUUID(),
        ...claims,
      })
        .setProtectedHeader({ alg: "ES256", kid: "k" })
        .sign(key);
      const answer = await fetch(`${platform.origin}/oauth/token`, {
        method: "POST",
        body: new URLSearchParams({
          grant_type: "client_credentials",
          client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
          client_assertion,
        }),
      });
      return answer.status;
    };
    // The OAuth server goes by the machine's clock, which no test moves.
    const right = Math.floor(Date.now() / 1_000);
    const [ahead, behind] = [right + WRONG, right - WRONG];
    expect(await present({ iat: behind, exp: behind + 60 })).toBe(401);
    expect(await present({ iat: ahead, nbf: ahead, exp: ahead + 60 })).toBe(401);
    expect(await present({ iat: behind, exp: behind + 300 })).toBe(200);
  });
});

describe.skipIf(engine === "pglite")("two servers whose clocks differ by two minutes", async () => {
  if (engine === "pglite") return;
  const ahead = await startFurtherServer({
    ...platform,
    clock: { ...platform.clock, nowMs: () => platform.clock.nowMs() + WRONG * 1_000 },
  });

  test("agree on what was revoked, whichever of them was asked; a right reader trusts nothing from the future", async () => {
    const [here, there] = await Promise.all(
      [1, 2].map(async () => {
        const work = await registerWork(platform, ana.creatorId);
        return { work, ...(await giveConsent(ana, { subject: `content:${work}` })) };
      }),
    );
    if (here === undefined || there === undefined) throw new Error("expected two consents");
    const { dataset_id } = await publishDataset(platform, [here.work, there.work]);
    const path = `/.well-known/dataset-status/${dataset_id}`;
    const seqs: number[] = [];
    for (const [caller, { jti }] of [
      [ahead.as(ana.token), there],
      [ana.caller, here],
    ] as const) {
      expectStatus(await caller.post(`/api/v1/consents/${jti}/revoke`, {}), 200);
      for (const { anonymous } of [platform, ahead])
        await expect
          .poll(async () => (await anonymous.get(path)).body.revoked_jtis, { timeout: 30_000, interval: 10 })
          .toContain(jti);
      const { text, body } = await platform.anonymous.get(path);
      seqs.push(body.seq);
      if (jti === there.jti) expect(freshnessOf(text)).toMatchObject({ refusal: { code: "document_expired" } });
      else expect(freshnessOf(text).ok).toBe(true);
    }
    expect(seqs[1]).toBeGreaterThan(seqs[0] ?? 0);
  });

  function freshnessOf(text: string): ReturnType<typeof checkFresh> {
    const parsed = parseJsonObject(text);
    const status = parsed.ok ? readDatasetStatus(parsed.value) : parsed;
    return status.ok ? checkFresh(status.value, now()) : status;
  }

  test("draft a consent on one that the other takes once its time has come", async () => {
    const draft = { subject: `creator:${ana.creatorId}`, scope: ["training"], kid: ana.kid };
    const { body } = expectStatus(await ahead.as(ana.token).post("/api/v1/consents/drafts", draft), 201);
    const token = await signJwsInput(body.signing_input, ana.signer);
    expect(await ana.caller.post("/api/v1/consents", { token })).toMatchObject({
      body: { code: "token_not_yet_valid" },
    });
    platform.clock.advance(FORGIVEN + 1);
    expectStatus(await ana.caller.post("/api/v1/consents", { token }), 201);
  });

  test("keep the platform's promises, for readers whose clock is right", { timeout: 120_000 }, async () => {
    // What the one signed ahead of its time is trusted once that time has come.
    platform.clock.advance(WRONG);
    await checkPlatform({ ...platform, now });
  });
});
