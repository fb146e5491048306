import {
  type JsonObject,
  STATUS,
  canonicalize,
  clocksAt,
  formatInstant,
  parseJsonObject,
  setStatusAt,
  signDocument,
} from "@licet/protocol";
import { beforeEach, describe, expect, it } from "vitest";
import { createClient } from "./client.ts";
import type { DatasetCheckId, DatasetReport, VerifiedItem } from "./dataset-report.ts";
import { MAX_DOCUMENT_BYTES, MAX_LINE_BYTES } from "./limits.ts";
import {
  ANA,
  BRAM,
  type SamplePlatform,
  createSamplePlatform,
  itemLine,
  revoke,
  withdraw,
} from "./testing/sample-platform.ts";
import { type VerifyDatasetOptions, fetchDatasetStatus, verifyDataset } from "./verify-dataset.ts";

const ORIGIN = "https://platform.example";
const NOW = 1_768_737_900;

let clock = NOW;
const now = (): number => clock;
let platform: SamplePlatform;

beforeEach(async () => {
  clock = NOW;
  platform = await createSamplePlatform({ origin: ORIGIN, now });
});

async function verify(options: VerifyDatasetOptions = {}): Promise<DatasetReport> {
  const client = createClient({ origin: ORIGIN, ...platform.credentials, fetch: platform.fetch, now });
  return verifyDataset(platform.manifestUrl, { client, fetch: platform.fetch, now, ...options });
}

function failures(report: DatasetReport): Partial<Record<DatasetCheckId, string>> {
  return Object.fromEntries(
    report.checks.filter(({ outcome }) => outcome === "failed").map(({ id, code }) => [id, code]),
  );
}

const paths = {
  keys: "/.well-known/keys.json",
  current: "/datasets/ds_sample/manifest.json",
  version: "/datasets/ds_sample/versions/1/manifest.json",
  items: "/datasets/ds_sample/versions/1/items",
  consents: "/datasets/ds_sample/versions/1/consents",
  status: "/.well-known/dataset-status/ds_sample",
  view: "/.well-known/consent-revocations.json",
  list: "/status-lists/1",
};

/** Answers the items, or consents, as one page of the given lines. */
function serveLines(path: string, lines: readonly JsonObject[]): void {
  platform.answers.set(path, () => new Response(lines.map((line) => `${canonicalize(line)}\n`).join("")));
}

function itemLines(): JsonObject[] {
  return platform.facts.works.map((work, position) => itemLine(platform.facts, work, position));
}

function consentLines(): JsonObject[] {
  return platform.facts.consents.map(({ jti, token, acceptance, key }, position) => ({
    position,
    jti,
    token,
    acceptance,
    ...(key === undefined ? {} : { key }),
  }));
}

describe("a sound dataset", () => {
  it("passes every check and hands over its items", async () => {
    const report = await verify({ marketplaceId: "mkt_1" });
    expect(report.checks.map(({ outcome }) => outcome)).toEqual(report.checks.map(() => "passed"));
    expect(report.summary).toMatchObject({
      dataset_id: "ds_sample",
      version: 1,
      state: "active",
      items: { total: 3, standing: 3, withdrawn: 0 },
      consents: 2,
      usable: true,
    });
    expect(report.items.map(({ content_id, jti, position }) => [content_id, jti, position])).toEqual([
      ["content_essay", ANA.jti, 0],
      ["content_river", ANA.jti, 1],
      ["content_heron", BRAM.jti, 2],
    ]);
    expect(report.summary.fingerprint).toBe(report.manifest?.items_root);
  });

  it("streams its items to whoever asks for them, and keeps none", async () => {
    const taken: VerifiedItem[] = [];
    const report = await verify({ onItem: (item) => void taken.push(item) });
    expect(taken).toHaveLength(3);
    expect(report.items).toEqual([]);
  });

  it("leaves unknown, without credentials, what only clients may see", async () => {
    const report = await verifyDataset(platform.manifestUrl, { fetch: platform.fetch, now });
    expect(failures(report)).toEqual({});
    const unknown = report.checks.filter(({ outcome }) => outcome === "unknown").map(({ id }) => id);
    expect(unknown).toEqual(["consents", "consents_root", "items", "items_root", "item_coverage", "item_status"]);
    expect(report.summary).toMatchObject({ usable: false, items: { total: 3, standing: 3, withdrawn: 0 } });
  });

  it("may be asked for by its version's URL while that version is current", async () => {
    const client = createClient({ origin: ORIGIN, ...platform.credentials, fetch: platform.fetch, now });
    const first = await verifyDataset(`${ORIGIN}${paths.version}`, { client, fetch: platform.fetch, now });
    expect(first.summary.usable).toBe(true);
    const second = await verifyDataset(`${ORIGIN}/datasets/ds_sample/versions/2/manifest.json`, {
      client,
      fetch: platform.fetch,
      now,
    });
    expect(failures(second)).toEqual({ manifest: "conflict" });
  });
});

describe("what was taken back", () => {
  it("leaves the rest usable when one token is revoked", async () => {
    revoke(platform.facts, BRAM.jti, NOW);
    const report = await verify();
    expect(failures(report)).toEqual({});
    expect(report.summary).toMatchObject({
      state: "partially_revoked",
      usable: true,
      items: { total: 3, standing: 2, withdrawn: 1 },
    });
    expect(report.summary.withdrawn).toEqual([{ at: formatInstant(NOW), jti: BRAM.jti }]);
    expect(report.summary.withdrawn_lines.map(({ position }) => position)).toEqual([2]);
  });

  it("leaves the rest usable when one work is withdrawn", async () => {
    withdraw(platform.facts, "content_river", NOW);
    const report = await verify();
    expect(report.summary).toMatchObject({
      usable: true,
      items: { total: 3, standing: 2, withdrawn: 1 },
      withdrawn: [{ content_id: "content_river" }],
    });
  });

  it("is not usable when everything is revoked", async () => {
    revoke(platform.facts, BRAM.jti, NOW);
    revoke(platform.facts, ANA.jti, NOW);
    const report = await verify();
    expect(failures(report)).toEqual({ dataset_state: "consent_revoked", dataset_bit: "consent_revoked" });
    expect(report.summary.usable).toBe(false);
  });

  it("is refused when an item is shown as standing although its bit is set", async () => {
    const lines = itemLines();
    withdraw(platform.facts, "content_river", NOW);
    serveLines(paths.items, lines);
    const report = await verify();
    expect(failures(report)).toMatchObject({ item_status: "consent_revoked" });
    expect(report.checks.find(({ id }) => id === "item_status")?.offences).toEqual([
      { at: "content_river", code: "consent_revoked", detail: "content_river is revoked" },
    ]);
    expect(report.items.map(({ content_id }) => content_id)).not.toContain("content_river");
  });

  it("is refused when only the revocation view tells of it", async () => {
    platform.facts.revocations.push({ jti: ANA.jti, revoked_at: formatInstant(NOW) });
    const report = await verify();
    expect(failures(report)).toEqual({ item_status: "consent_revoked" });
    expect(report.checks.find(({ id }) => id === "item_status")?.offences).toHaveLength(2);
  });

  it("is refused when withdrawn items hide behind an active state", async () => {
    const [, ...rest] = itemLines();
    const facts = { ...platform.facts, bits: platform.facts.bits.slice() };
    setStatusAt(facts.bits, 100, STATUS.revoked);
    const [work] = platform.facts.works;
    serveLines(paths.items, [...(work === undefined ? [] : [itemLine(facts, work, 0)]), ...rest]);
    expect(failures(await verify())).toEqual({ withdrawn: "document_invalid" });
  });
});

describe("consents that do not hold", () => {
  it("refuses a token that was never accepted", async () => {
    const [ana, bram] = consentLines();
    serveLines(paths.consents, [
      { ...ana, acceptance: bram?.["acceptance"] ?? null },
      ...(bram === undefined ? [] : [bram]),
    ]);
    const report = await verify();
    expect(failures(report)).toEqual({ consents: "consent_unaccepted", item_coverage: "no_consent" });
    expect(report.summary.usable).toBe(false);
  });

  it("refuses a missing consent, by its root and by the works it leaves bare", async () => {
    serveLines(paths.consents, consentLines().slice(0, 1));
    expect(failures(await verify())).toEqual({ consents_root: "root_mismatch", item_coverage: "no_consent" });
  });

  it("refuses an altered signature", async () => {
    const [ana, ...rest] = consentLines();
    const token = String(ana?.["token"]);
    serveLines(paths.consents, [{ ...ana, token: `${token.slice(0, -6)}AAAA${token.slice(-2)}` }, ...rest]);
    expect(failures(await verify())).toMatchObject({ consents: "signature_invalid", consents_root: "root_mismatch" });
  });

  it.each([
    ["a token of a test server", { test: true }, { consents: "test_document", item_coverage: "no_consent" }],
    [
      "another use than the dataset offers",
      { scope: ["training_image", "commercial"] },
      { item_coverage: "scope_not_granted" },
    ],
    ["a floor above the price", { price_floor: "per-token:0.5" }, { item_coverage: "price_below_floor" }],
    ["another license", { license: "other:1.0" }, { item_coverage: "license_mismatch" }],
    ["another marketplace", { aud: ["mkt_2"] }, { item_coverage: "audience_excluded" }],
    ["an end that has passed", { exp: NOW - 1 }, { item_status: "token_expired" }],
    [
      "a status list elsewhere",
      { status: { status_list: { idx: 1, uri: "https://elsewhere.example/status-lists/1" } } },
      { status_lists: "document_invalid", item_status: "unavailable" },
    ],
  ])("refuses %s", async (_, anaClaims, expected) => {
    platform = await createSamplePlatform({ origin: ORIGIN, now, anaClaims });
    expect(failures(await verify({ marketplaceId: "mkt_1" }))).toEqual(expected);
  });
});

describe("items that are not what was published", () => {
  it("refuses one flipped byte", async () => {
    const [first, ...rest] = itemLines();
    const [work] = platform.facts.works;
    serveLines(paths.items, [{ ...first, item: { ...work?.item, sha256: "0".repeat(64) } }, ...rest]);
    expect(failures(await verify())).toEqual({ items_root: "root_mismatch" });
  });

  it("refuses an item that is left out, repeated, out of order or malformed", async () => {
    const lines = itemLines();
    const [first, second, third] = lines;
    if (first === undefined || second === undefined || third === undefined) throw new Error("expected three lines");
    serveLines(paths.items, [first, second]);
    expect(failures(await verify())).toEqual({ items_root: "root_mismatch" });
    serveLines(paths.items, [first, second, { ...first, position: 2 }]);
    expect(failures(await verify())).toEqual({ items: "document_invalid", items_root: "root_mismatch" });
    serveLines(paths.items, [second, first, third]);
    expect(failures(await verify())).toEqual({ items: "document_invalid" });
    serveLines(paths.items, [...lines, { ...third, position: 3 }]);
    expect(failures(await verify())).toEqual({ items: "document_invalid" });
    serveLines(paths.items, [{ position: 0, withdrawn: true }, second, third]);
    expect(failures(await verify())).toEqual({ items: "document_invalid" });
  });

  it("refuses a wrong root", async () => {
    const wrong = (content: JsonObject): JsonObject => ({ ...content, items_root: "0".repeat(64) });
    platform.edits.set(paths.version, wrong);
    expect(failures(await verify())).toEqual({ manifest_hash: "document_invalid", items_root: "root_mismatch" });
  });
});

describe("documents that must not be trusted", () => {
  it.each([
    ["the current manifest", paths.current, "current_manifest"],
    ["the status", paths.status, "dataset_status"],
    ["the revocation view", paths.view, "revocation_view"],
  ] as const)("refuses %s once it has expired", async (_, path, id) => {
    platform.edits.set(path, (content) => ({ ...content, ...clocksAt(NOW - 300) }));
    expect(failures(await verify())).toEqual({ [id]: "document_expired" });
  });

  it("refuses an expired status list, and every item in it", async () => {
    const token = await (await platform.fetch(`${ORIGIN}${paths.list}`, {})).text();
    platform.answers.set(paths.list, () => new Response(token));
    clock = NOW + 300;
    expect(failures(await verify())).toEqual({ status_lists: "document_expired", item_status: "unavailable" });
  });

  it.each([
    ["key set", paths.keys, "key_set"],
    ["current manifest", paths.current, "current_manifest"],
    ["manifest", paths.version, "manifest"],
    ["status", paths.status, "dataset_status"],
    ["revocation view", paths.view, "revocation_view"],
  ] as const)("refuses a %s of a test server", async (_, path, id) => {
    platform.edits.set(path, (content) => ({ ...content, test: true }));
    expect(failures(await verify())[id]).toBe("test_document");
  });

  it.each(["keys", "current", "version", "status", "view"] as const)(
    "refuses a foreign signature on %s",
    async (name) => {
      const other = await createSamplePlatform({ origin: ORIGIN, now });
      platform.answers.set(paths[name], (request) => other.handle(request));
      const codes = Object.values(failures(await verify()));
      expect(codes).toContain("signature_missing");
    },
  );

  it("refuses any document older than one it was told of", async () => {
    platform.facts.seq = 5;
    const { seen } = await verify();
    expect(seen).toMatchObject({ [`${ORIGIN}${paths.keys}`]: 5, [`${ORIGIN}${paths.list}`]: 5 });
    platform.edits.set(paths.status, (content) => ({ ...content, seq: 4 }));
    platform.edits.set(paths.view, (content) => ({ ...content, seq: 4 }));
    expect(failures(await verify({ previous: seen }))).toEqual({ dataset_status: "document_rolled_back" });
    platform.edits.delete(paths.status);
    expect(failures(await verify({ previous: seen }))).toEqual({ revocation_view: "document_rolled_back" });
    expect(failures(await verify())).toEqual({});
    platform.facts.seq = 4;
    expect(failures(await verify({ previous: seen }))).toEqual({ key_set: "document_rolled_back" });
  });

  it("refuses a status that disagrees with the manifest", async () => {
    platform.edits.set(paths.status, (content) => ({ ...content, status: "partially_revoked" }));
    expect(failures(await verify())).toEqual({ dataset_status: "document_invalid" });
    platform.edits.set(paths.status, (content) => ({ ...content, min_valid_version: 2 }));
    expect(failures(await verify())).toEqual({ dataset_status: "conflict" });
  });

  it("refuses a manifest that names another origin, and asks that origin nothing", async () => {
    const asked: string[] = [];
    platform.edits.set(paths.version, (content) => ({ ...content, items_url: "https://elsewhere.example/items" }));
    const report = await verify({
      fetch: async (url, init) => (asked.push(new URL(url).origin), platform.fetch(url, init)),
    });
    expect(failures(report)).toEqual({ manifest: "document_invalid" });
    expect(new Set(asked)).toEqual(new Set([ORIGIN]));
  });

  it("checks the version before, when it is there", async () => {
    const before = await signDocument(
      "manifest",
      ORIGIN,
      { dataset_id: "ds_sample", version: 1 },
      platform.facts.signers.document,
    );
    const second = (content: JsonObject): JsonObject => ({
      ...content,
      version: 2,
      previous_manifest_sha256: "0".repeat(64),
    });
    platform.edits.set(paths.current, second);
    const manifest = parseJsonObject(await (await platform.fetch(`${ORIGIN}${paths.version}`, {})).text());
    if (!manifest.ok) throw new Error("expected a manifest");
    platform.answers.set("/datasets/ds_sample/versions/2/manifest.json", async () => {
      const { signatures: _, ...content } = manifest.value;
      return Response.json(await signDocument("manifest", ORIGIN, second(content), platform.facts.signers.document));
    });
    platform.answers.set(paths.version, () => Response.json(before));
    expect(failures(await verify())).toMatchObject({ previous_manifest: "document_invalid" });
    platform.answers.set(paths.version, () => new Response(null, { status: 404 }));
    const { checks } = await verify();
    expect(checks.find(({ id }) => id === "previous_manifest")?.outcome).toBe("unknown");
  });
});

describe("limits", () => {
  it("stops reading a body that is too long", async () => {
    platform.answers.set(paths.keys, () => new Response(new Uint8Array(MAX_DOCUMENT_BYTES + 1)));
    expect(failures(await verify())).toEqual({ key_set: "body_too_large" });
  });

  it("stops reading a line that is too long", async () => {
    platform.answers.set(paths.items, () => new Response("x".repeat(MAX_LINE_BYTES + 1)));
    expect(failures(await verify())).toEqual({ items: "body_too_large" });
  });

  it("follows no redirect and no page elsewhere", async () => {
    platform.answers.set(
      paths.keys,
      () => new Response(null, { status: 302, headers: { location: `${ORIGIN}/other` } }),
    );
    expect(failures(await verify())).toEqual({ key_set: "document_invalid" });
    platform.answers.delete(paths.keys);
    const [line = {}] = itemLines();
    platform.answers.set(
      paths.items,
      () =>
        new Response(`${canonicalize(line)}\n`, { headers: { link: '<https://elsewhere.example/items>; rel="next"' } }),
    );
    expect(failures(await verify())).toEqual({ items: "document_invalid" });
  });

  it("turns no page that leads back, nor an empty one", async () => {
    platform.edits.set(paths.view, (content) => ({ ...content, next: `${ORIGIN}${paths.view}` }));
    expect(failures(await verify())).toEqual({ revocation_view: "document_invalid" });
    platform.edits.delete(paths.view);
    platform.answers.set(paths.items, () => new Response("", { headers: { link: `<${paths.items}>; rel="next"` } }));
    expect(failures(await verify())).toEqual({ items: "document_invalid" });
  });

  it("gives up when nothing comes", async () => {
    platform.answers.set(
      paths.keys,
      (request) =>
        new Promise((_, reject) => request.signal.addEventListener("abort", () => reject(request.signal.reason))),
    );
    expect(failures(await verify({ timeoutSeconds: 0.05 }))).toEqual({ key_set: "unavailable" });
  });

  it("asks again at the end when it took long, and refuses what changed meanwhile", async () => {
    const slow = (): void => void (clock = NOW + 20);
    expect(failures(await verify({ onItem: slow }))).toEqual({});
    clock = NOW;
    const takenBack = (): void => {
      if (clock === NOW) withdraw(platform.facts, "content_heron", NOW);
      clock = NOW + 20;
    };
    expect(failures(await verify({ onItem: takenBack }))).toMatchObject({ unchanged: "conflict" });
  });

  it("sends credentials to their own origin only", async () => {
    const client = createClient({
      origin: "https://other.example",
      ...platform.credentials,
      fetch: platform.fetch,
      now,
    });
    expect(failures(await verify({ client }))).toEqual({ consents: "forbidden" });
    expect(platform.counts.tokens).toBe(0);
  });
});

describe("the light question", () => {
  it("minds no members of the key set that it does not know", async () => {
    platform.edits.set("/.well-known/keys.json", (content) => ({ ...content, later: true }));
    const asked = await fetchDatasetStatus({ origin: ORIGIN, datasetId: "ds_sample", fetch: platform.fetch, now });
    expect(asked).toMatchObject({ ok: true });
  });

  it("answers the verified status, and fails closed", async () => {
    const asked = await fetchDatasetStatus({ origin: ORIGIN, datasetId: "ds_sample", fetch: platform.fetch, now });
    expect(asked).toMatchObject({ ok: true, value: { status: { status: "active" } } });
    for (const [version, ok] of [
      [1, true],
      [2, false],
    ] as const) {
      const query = { origin: ORIGIN, datasetId: "ds_sample", version, fetch: platform.fetch, now };
      expect(await fetchDatasetStatus(query)).toMatchObject(ok ? { ok } : { refusal: { code: "conflict" } });
    }
    platform.edits.set(paths.status, (content) => ({ ...content, ...clocksAt(NOW - 300) }));
    expect(
      await fetchDatasetStatus({ origin: ORIGIN, datasetId: "ds_sample", fetch: platform.fetch, now }),
    ).toMatchObject({ refusal: { code: "document_expired" } });
    platform.answers.set(paths.status, () => new Response(null, { status: 500 }));
    expect(
      await fetchDatasetStatus({ origin: ORIGIN, datasetId: "ds_sample", fetch: platform.fetch, now }),
    ).toMatchObject({ refusal: { code: "internal" } });
  });
});
