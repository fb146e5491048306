import { signJwsInput } from "@licet/protocol";
import { describe, expect, test } from "vitest";
import {
  enrolCreator,
  giveConsent,
  offerDataset,
  publishDataset,
  registerMarketplace,
  registerWork,
} from "../../../test/fixtures/actors.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";

const platform = await startPlatform();

describe("a creator", () => {
  test("is shown the exact words that the signature covers, and sees them again in the history", async () => {
    const creator = await enrolCreator(platform);
    const draft = await creator.caller.post("/api/v1/consents/drafts", {
      subject: `creator:${creator.creatorId}`,
      scope: ["training_text"],
    });
    expect(draft.body.text).toContain("train AI models on your texts");
    expect(draft.body.claims.terms_sha256).toBe(draft.body.terms_sha256);

    const token = await signJwsInput(draft.body.signing_input, creator.signer);
    const accepted = await creator.caller.post("/api/v1/consents", { token });
    expect(accepted).toMatchObject({
      status: 201,
      body: { jti: draft.body.jti, state: "active", signed_by: "creator" },
    });

    const history = await creator.caller.get(`/api/v1/consents/${draft.body.jti}/history`);
    expect(history.body.text).toBe(draft.body.text);
    expect(history.body.history.map((entry: { state: string }) => entry.state)).toEqual(["drafted", "active"]);
  });

  test("publishes, offers, revokes", async () => {
    const creator = await enrolCreator(platform, { alg: "ES256" });
    const work = await registerWork(platform, creator.creatorId);
    const consent = await giveConsent(creator);
    const dataset = await publishDataset(platform, [work], { scope: ["training", "commercial"] });
    const marketplace = await registerMarketplace(platform);
    await offerDataset(platform, dataset.dataset_id, marketplace);
    const caller = await marketplace.call();
    expect(await caller.get(`/api/v1/datasets/${dataset.dataset_id}/provenance`)).toMatchObject({
      status: 200,
      body: { consent_jwt: consent.token },
    });
    const revoked = await creator.caller.post(`/api/v1/datasets/${dataset.dataset_id}/consent/revoke`, {
      consent_jwt_id: consent.jti,
      reason: "creator_requested_revocation",
    });
    expect(revoked).toMatchObject({ status: 200, body: { revoked: true } });
    const status = await platform.anonymous.get(`/.well-known/dataset-status/${dataset.dataset_id}`);
    expect(status.body).toMatchObject({ status: "revoked", revoked_jtis: [consent.jti] });
  });
});
