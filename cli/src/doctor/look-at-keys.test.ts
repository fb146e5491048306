import { type JsonObject, formatInstant } from "@licet/protocol";
import { expect, test } from "vitest";
import { lookAtKeys } from "./look-at-keys.ts";

const DAY = 86_400;
const NOW = 1_800_000_000;

/** A key set with one key for documents that is so old and good for so much longer. */
function keySetOf(ageDays: number, leftDays: number): Parameters<typeof lookAtKeys>[0] {
  const members: JsonObject = {
    iss: "https://licet.example.org",
    seq: 1,
    keys: [
      {
        kty: "OKP",
        crv: "Ed25519",
        x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        kid: "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
        alg: "EdDSA",
        use: "sig",
        purpose: "document",
        status: "active",
        not_before: formatInstant(NOW - ageDays * DAY),
        not_after: formatInstant(NOW + leftDays * DAY),
      },
    ],
  };
  return {
    status: 200,
    headers: new Headers(),
    text: "",
    members,
    seq: 1,
    checkedAt: NOW,
    expiresAt: undefined,
    fetchedMs: NOW * 1_000,
  };
}

test.each([
  ["of a server that hands it over at 365 days", { age: 364, left: 366, rotation: 365 }, "ok", ""],
  ["that is handed over at 700 days", { age: 690, left: 40, rotation: 700 }, "ok", ""],
  ["that was not handed over when it was due", { age: 60, left: 670, rotation: 30 }, "warning", "at 30"],
  ["that is handed over near its end only", { age: 720, left: 10, rotation: undefined }, "ok", ""],
  ["that is nearer to its end than that", { age: 724, left: 6, rotation: undefined }, "warning", "ends in 6 days"],
  ["that ended", { age: 740, left: -10, rotation: 365 }, "wrong", "ended 10 days ago"],
])("a key %s is judged by what its server does", (_what, { age, left, rotation }, outcome, detail) => {
  const [finding] = lookAtKeys(keySetOf(age, left), rotation === undefined ? undefined : rotation * DAY);
  expect(finding).toMatchObject({ name: "key for document", outcome, detail: expect.stringContaining(detail) });
});
