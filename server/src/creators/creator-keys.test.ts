import {
  type JsonObject,
  formatInstant,
  generatePrivateJwk,
  publicJwkOf,
  signCompactJws,
  signJwsInput,
  signerOf,
} from "@licet/protocol";
import { verifyConsent } from "../../../test/fixtures/sdk.ts";
import { describe, expect, test } from "vitest";
import {
  type Creator,
  enrolCreator,
  expectStatus,
  giveConsent,
  publishDataset,
  registerWork,
} from "../../../test/fixtures/actors.ts";
import type { Answer } from "../../../test/fixtures/caller.ts";
import { checkPlatform } from "../../../test/fixtures/check-platform.ts";
import { readKeys as readKeySet } from "../../../test/fixtures/datasets.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";

const platform = await startPlatform();

function now(): number {
  return Math.floor(platform.clock.nowMs() / 1_000);
}

interface Device {
  readonly answer: Answer;
  readonly creator: Creator;
}

/** Enrols another key of a creator, as on another device. */
async function enrolDevice(creator: Creator, members: JsonObject = {}, iat = now()): Promise<Device> {
  const jwk = await generatePrivateJwk("EdDSA");
  const signer = await signerOf(jwk);
  const path = `/api/v1/creators/${creator.creatorId}`;
  const { body } = expectStatus(await creator.caller.post(`${path}/key-challenges`), 201);
  const claims = {
    iss: `${platform.origin}/creators/${creator.creatorId}`,
    aud: platform.origin,
    nonce: body.challenge,
    iat,
  };
  const proof = await signCompactJws("key-proof+jwt", claims, signer);
  const answer = await creator.caller.post(`${path}/keys`, { jwk: publicJwkOf(jwk), proof, ...members });
  return { answer, creator: { ...creator, signer, kid: signer.kid } };
}

async function readKeys(creator: Creator): Promise<JsonObject[]> {
  return expectStatus(await creator.caller.get(`/api/v1/creators/${creator.creatorId}/keys`), 200).body.keys;
}

async function end(creator: Creator, how: "retire" | "compromise", body: JsonObject = {}): Promise<Answer> {
  return creator.caller.post(
    `/api/v1/creators/${creator.creatorId}/keys/${creator.kid}/${how}`,
    how === "retire" ? undefined : body,
  );
}

describe("a key for each device", () => {
  test("has a name that its creator sees, and the public document does not tell", async () => {
    const ana = await enrolCreator(platform);
    const phone = await enrolDevice(ana, { name: "Ana's phone" });
    expect(phone.answer.status).toBe(201);
    expect(phone.answer.text).not.toContain("phone");
    expect(new Map((await readKeys(ana)).map(({ kid, name }) => [kid, name]))).toEqual(
      new Map([
        [ana.kid, undefined],
        [phone.creator.kid, "Ana's phone"],
      ]),
    );
  });

  test("is not another creator's to see, retire or report", async () => {
    const [ana, bram] = [await enrolCreator(platform), await enrolCreator(platform)];
    const path = `/api/v1/creators/${ana.creatorId}/keys`;
    for (const answer of [
      await bram.caller.get(path),
      await bram.caller.post(`${path}/${ana.kid}/retire`),
      await bram.caller.post(`${path}/${ana.kid}/compromise`, {}),
    ])
      expect(answer).toMatchObject({ status: 403, body: { code: "not_yours" } });
    const others = `/api/v1/creators/${bram.creatorId}/keys/${ana.kid}`;
    for (const how of ["retire", "compromise"])
      expect((await bram.caller.post(`${others}/${how}`, how === "retire" ? undefined : {})).status).toBe(404);
  });

  test("needs a proof of now: one of a clock that is two minutes wrong will do, one of yesterday will not", async () => {
    const ana = await enrolCreator(platform);
    expect((await enrolDevice(ana, {}, now() - 120)).answer.status).toBe(201);
    expect((await enrolDevice(ana, {}, now() + 120)).answer.status).toBe(201);
    for (const iat of [now() - 86_400, now() + 86_400])
      expect((await enrolDevice(ana, {}, iat)).answer).toMatchObject({ status: 400, body: { code: "proof_invalid" } });
  });
});

describe("a retired key", () => {
  test("signs nothing more, while what it signed stands and can be taken back without any key", async () => {
    const ana = await enrolCreator(platform);
    const given = await giveConsent(ana);
    const { body: draft } = expectStatus(
      await ana.caller.post("/api/v1/consents/drafts", {
        subject: `creator:${ana.creatorId}`,
        scope: ["training"],
        kid: ana.kid,
      }),
      201,
    );
    platform.clock.advance(2);
    const retired = expectStatus(await end(ana, "retire"), 200).body;
    expect(retired.not_after <= formatInstant(now())).toBe(true);
    const token = await signJwsInput(draft.signing_input, ana.signer);
    expect(await ana.caller.post("/api/v1/consents", { token })).toMatchObject({
      status: 401,
      body: { code: "key_not_in_force" },
    });
    const again = { subject: `creator:${ana.creatorId}`, scope: ["training"] };
    expect(await ana.caller.post("/api/v1/consents/drafts", again)).toMatchObject({ body: { code: "key_unknown" } });
    const consent = expectStatus(await ana.caller.get(`/api/v1/consents/${given.jti}`), 200).body;
    expect(consent.state).toBe("active");
    const keys = await readKeySet(platform);
    expect(
      await verifyConsent({
        token: given.token,
        acceptance: consent.acceptance,
        key: retired,
        keys,
        origin: platform.origin,
        now: now(),
      }),
    ).toMatchObject({ ok: true });
    expect(expectStatus(await end(ana, "retire"), 200).body.not_after).toBe(retired.not_after);
    expectStatus(await ana.caller.post(`/api/v1/consents/${given.jti}/revoke`, {}), 200);
  });
});

describe("a key that somebody else may have", () => {
  test("takes with it the consents accepted since then, in the datasets too; earlier ones stand", async () => {
    const ana = await enrolCreator(platform);
    const works = [await registerWork(platform, ana.creatorId), await registerWork(platform, ana.creatorId)];
    const early = await giveConsent(ana, { subject: `content:${works[0]}` });
    platform.clock.advance(60);
    const since = formatInstant(now());
    platform.clock.advance(60);
    const late = await giveConsent(ana, { subject: `content:${works[1]}` });
    const { dataset_id } = await publishDataset(platform, works);
    const answer = expectStatus(await end(ana, "compromise", { compromised_since: since }), 200).body;
    expect(answer).toEqual({
      kid: ana.kid,
      compromised_since: since,
      revoked_jtis: [late.jti],
      datasets: [{ dataset_id, status: "partially_revoked" }],
    });
    const stateOf = async (jti: string) => expectStatus(await ana.caller.get(`/api/v1/consents/${jti}`), 200).body;
    expect(await stateOf(late.jti)).toMatchObject({ state: "revoked", reason: "signing_key_compromised" });
    expect(await stateOf(early.jti)).toMatchObject({ state: "active" });
    const [key] = await readKeys(ana);
    expect(key).toMatchObject({ compromised_since: since, revoked_at: expect.any(String) });
    await checkPlatform({ ...platform, now });

    const { creator: phone } = await enrolDevice(ana);
    const again = await giveConsent(phone, { subject: `content:${works[1]}` });
    expect(await stateOf(again.jti)).toMatchObject({ state: "active" });
  });

  test("is refused by whoever verifies later, and believed for what it signed before", async () => {
    const ana = await enrolCreator(platform);
    const early = await giveConsent(ana);
    platform.clock.advance(60);
    const since = formatInstant(now());
    platform.clock.advance(60);
    const late = await giveConsent(ana);
    const read = async (jti: string) => expectStatus(await ana.caller.get(`/api/v1/consents/${jti}`), 200).body;
    const [first, second] = [await read(early.jti), await read(late.jti)];
    expectStatus(await end(ana, "compromise", { compromised_since: since }), 200);
    const key = expectStatus(await end(ana, "retire"), 200).body;
    expect(key).toMatchObject({ type: "creator-key", compromised_since: since });
    const trust = { key, keys: await readKeySet(platform), origin: platform.origin, now: now() };
    expect(await verifyConsent({ token: early.token, acceptance: first.acceptance, ...trust })).toMatchObject({
      ok: true,
    });
    expect(await verifyConsent({ token: late.token, acceptance: second.acceptance, ...trust })).toMatchObject({
      ok: false,
      refusal: { code: "key_not_in_force" },
    });
  });

  test("can be told again with an earlier moment, never with a later one or one to come", async () => {
    const ana = await enrolCreator(platform);
    platform.clock.advance(120);
    const [earlier, moment] = [formatInstant(now() - 100), formatInstant(now() - 50)];
    const tell = async (compromised_since: string) => (await end(ana, "compromise", { compromised_since })).body;
    expect(await tell(moment)).toMatchObject({ compromised_since: moment });
    expect(await tell(formatInstant(now()))).toMatchObject({ compromised_since: moment });
    expect(await tell(earlier)).toMatchObject({ compromised_since: earlier });
    expect(await tell(formatInstant(now() + 600))).toMatchObject({ code: "input_invalid" });
    expect(await tell("yesterday")).toMatchObject({ code: "input_invalid" });
  });
});
