import { bytesToHex } from "@noble/hashes/utils.js";
import { describe, expect, test } from "vitest";
import currentManifests from "../vectors/current-manifest.json" with { type: "json" };
import lines from "../vectors/dataset-lines.json" with { type: "json" };
import registrations from "../vectors/dataset-registration.json" with { type: "json" };
import datasetStatuses from "../vectors/dataset-status.json" with { type: "json" };
import freshness from "../vectors/freshness.json" with { type: "json" };
import manifests from "../vectors/manifest.json" with { type: "json" };
import revocationViews from "../vectors/revocation-view.json" with { type: "json" };
import { readDatasetRegistration } from "./dataset-registration.ts";
import { datasetStateOf, readDatasetStatus } from "./dataset-status.ts";
import { type Clocks, checkFresh, clocksAt, isHalfLifeOver } from "./freshness.ts";
import { parseInstant } from "./instant.ts";
import type { JsonObject } from "./json.ts";
import { consentLeafHash, readConsentLine, readCurrentManifest, readItemLine, readManifest } from "./manifest.ts";
import { type Result, accept } from "./refusal.ts";
import { readRevocationView } from "./revocation-view.ts";
import { type DocumentType, documentSha256, verifyDocument } from "./signed-document.ts";
import { keySetOf } from "./testing/key-set-of.ts";
import { casesOf, outcome } from "./testing/vectors.ts";

interface DocumentInput {
  readonly document: JsonObject;
  readonly now: number;
}

const PRESENT_DOCUMENTS = [
  {
    type: "current-manifest",
    file: currentManifests,
    read: readCurrentManifest,
    list: { withdrawn: { at: "2027-01-15T08:00:00Z" } },
  },
  { type: "dataset-status", file: datasetStatuses, read: readDatasetStatus, list: { revoked_jtis: "" } },
  {
    type: "consent-revocations",
    file: revocationViews,
    read: readRevocationView,
    list: { revocations: { revoked_at: "2027-01-15T08:00:00Z" } },
  },
] as const;

describe.each(PRESENT_DOCUMENTS)("$type", ({ type, file, read, list }) => {
  const cases = casesOf<DocumentInput, { sha256: string; status?: string }>(file);

  test.each(cases)("$name", async ({ document, now, expect: expected }) => {
    const result = await readPresentDocument(type, read, document, keySetOf(file), now);
    const status =
      type === "dataset-status" && expected.ok && "status" in expected ? { status: document["status"] } : {};
    expect(outcome(result, () => ({ sha256: documentSha256(document), ...status }))).toEqual(expected);
  });

  test("lists 1000 entries and refuses 1001", () => {
    const [[name, members]] = Object.entries(list) as [[string, object | string]];
    const entries = Array.from({ length: 1_001 }, (_, index) =>
      entryOf(members, `ctok_${String(index).padStart(22, "0")}`),
    );
    const document = cases[0]?.document ?? {};
    expect(read({ ...document, [name]: entries.slice(1) }).ok).toBe(true);
    expect(outcome<object>(read({ ...document, [name]: entries }))).toEqual({ ok: false, code: "document_invalid" });
  });
});

function entryOf(members: object | string, jti: string): JsonObject | string {
  return typeof members === "string" ? jti : { ...members, jti };
}

async function readPresentDocument(
  type: DocumentType,
  read: (document: JsonObject) => Result<Clocks>,
  document: JsonObject,
  keys: ReturnType<typeof keySetOf>,
  now: number,
): Promise<Result<Clocks>> {
  const content = read(document);
  if (!content.ok) return content;
  const verified = await verifyDocument(document, { type, keys, madeAt: now });
  return verified.ok ? checkFresh(content.value, now) : verified;
}

test.each(casesOf<DocumentInput>(manifests))("manifest: $name", async ({ document, expect: expected }) => {
  const manifest = readManifest(document);
  const madeAt = manifest.ok ? (parseInstant(manifest.value.published_at) ?? 0) : 0;
  const verified = manifest.ok
    ? await verifyDocument(document, { type: "manifest", keys: keySetOf(manifests), madeAt })
    : manifest;
  expect(outcome<object>(verified, () => ({ sha256: documentSha256(document) }))).toEqual(expected);
});

test.each(casesOf<{ kind: "item" | "consent"; line: JsonObject }>(lines))(
  "dataset line: $name",
  ({ kind, line, expect: expected }) => {
    const consent = kind === "consent" ? readConsentLine(line) : undefined;
    const result = consent?.ok
      ? accept({ leaf_hash: bytesToHex(consentLeafHash(consent.value.token)) })
      : (consent ?? readItemLine(line));
    expect(outcome<object>(result, (value) => (kind === "consent" ? value : {}))).toEqual(expected);
  },
);

test.each(casesOf<{ body: JsonObject }>(registrations))("dataset registration: $name", ({ body, expect: expected }) => {
  expect(outcome(readDatasetRegistration(body))).toEqual(expected);
});

test.each(casesOf<{ clocks: Clocks; now: number }>(freshness))(
  "freshness: $name",
  ({ clocks, now, expect: expected }) => {
    expect(outcome(checkFresh(clocks, now))).toEqual(expected);
  },
);

test("a document made now is fresh until its own end, and half its life is over in the middle", () => {
  const now = 1_800_000_000;
  expect(clocksAt(now)).toEqual({
    checked_at: "2027-01-15T08:00:00Z",
    ttl_seconds: 15,
    expires_at: "2027-01-15T08:05:00Z",
  });
  expect([149, 150].map((age) => isHalfLifeOver(now, now + 300, now + age))).toEqual([false, true]);
});

test.each([
  [{ total: 0, revoked: 0, suspended: 0, expired: 0 }, "active"],
  [{ total: 3, revoked: 0, suspended: 0, expired: 0 }, "active"],
  [{ total: 3, revoked: 1, suspended: 0, expired: 0 }, "partially_revoked"],
  [{ total: 3, revoked: 0, suspended: 1, expired: 0 }, "partially_revoked"],
  [{ total: 3, revoked: 0, suspended: 0, expired: 2 }, "partially_revoked"],
  [{ total: 3, revoked: 3, suspended: 0, expired: 0 }, "revoked"],
  [{ total: 3, revoked: 0, suspended: 3, expired: 0 }, "suspended"],
  [{ total: 3, revoked: 0, suspended: 0, expired: 3 }, "expired"],
  [{ total: 3, revoked: 1, suspended: 0, expired: 2 }, "revoked"],
  [{ total: 3, revoked: 1, suspended: 1, expired: 1 }, "suspended"],
  [{ total: 3, revoked: 0, suspended: 1, expired: 2 }, "suspended"],
] as const)("works that stand %j make a dataset %s", (works, state) => {
  expect(datasetStateOf(works)).toBe(state);
});
