import { createHash, createPublicKey, verify } from "node:crypto";
import { describe, expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  publishDataset,
  registerWork,
  uniqueId,
} from "../../../test/fixtures/actors.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { rawRequest } from "../../../test/fixtures/raw-request.ts";

const platform = await startPlatform();
const ana = await enrolCreator(platform);
const work = await registerWork(platform, ana.creatorId);
const consent = await giveConsent(ana);
const datasetId = uniqueId("Songs.2026_");
await publishDataset(platform, [work], { dataset_id: datasetId });

const STATUS = "public, max-age=15";
const FOREVER = "public, max-age=31536000, immutable";
/** Every public document: its path, its type, how long a cache may keep it. */
const DOCUMENTS: readonly [path: string, type: string, cacheControl: string][] = [
  ["/.well-known/keys.json", "key-set", STATUS],
  ["/.well-known/did.json", "did+json", STATUS],
  ["/.well-known/consent-revocations.json", "consent-revocations", STATUS],
  ["/status-lists/1", "statuslist+jwt", STATUS],
  [`/.well-known/dataset-status/${datasetId}`, "dataset-status", STATUS],
  [`/datasets/${datasetId}/manifest.json`, "current-manifest", STATUS],
  [`/datasets/${datasetId}/versions/1/manifest.json`, "manifest", FOREVER],
  ["/terms/paid_training/1.0", "terms", FOREVER],
];

describe.each(DOCUMENTS)("%s", (path, type, cacheControl) => {
  test("is served to anybody, anywhere, with what caches need", async () => {
    const { status, headers, text } = await platform.anonymous.get(path);
    expect(status).toBe(200);
    expect(headers.get("content-type")).toBe(
      ["statuslist+jwt", "did+json"].includes(type) ? `application/${type}` : "application/json",
    );
    expect(headers.get("etag")).toBe(`"${createHash("sha256").update(text).digest("base64url")}"`);
    expect(headers.get("cache-control")).toBe(cacheControl);
    expect(headers.get("cache-tag")?.split(",")).toContain("licet");
    expect(headers.get("cache-tag")).toMatch(/^[a-z0-9-]+(,[a-z0-9-]+)*$/);
    expect(headers.get("access-control-allow-origin")).toBe("*");
    expect(headers.get("access-control-expose-headers")).toContain("etag");
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("content-length")).toBe(String(Buffer.byteLength(text)));
    expect(headers.get("set-cookie")).toBeNull();
  });

  test("is not sent again to who has it", async () => {
    const etag = (await platform.anonymous.get(path)).headers.get("etag") ?? "";
    for (const held of [etag, `W/${etag}`, `"other", ${etag}`, "*"]) {
      const again = await platform.anonymous.get(path, { "if-none-match": held });
      expect([again.status, again.text, again.headers.get("etag"), again.headers.get("cache-control")]).toEqual([
        304,
        "",
        etag,
        cacheControl,
      ]);
    }
    for (const other of ['"other"', etag.slice(1, -1), ""])
      expect((await platform.anonymous.get(path, { "if-none-match": other })).status).toBe(200);
  });

  test("answers HEAD with the headers alone", async () => {
    const [get, head] = [
      await rawRequest(platform.origin, path),
      await rawRequest(platform.origin, path, { method: "HEAD" }),
    ];
    expect([head.status, head.text]).toEqual([200, ""]);
    for (const name of ["etag", "content-length", "content-type", "cache-control"])
      expect(head.headers[name]).toBe(get.headers[name]);
  });

  test("is read by scripts of other origins, and taken by no other method", async () => {
    const options = await platform.anonymous.send("OPTIONS", path, {
      headers: { origin: "https://elsewhere.example", "access-control-request-method": "GET" },
    });
    expect([
      options.status,
      options.headers.get("access-control-allow-origin"),
      options.headers.get("access-control-allow-methods"),
    ]).toEqual([204, "*", "GET, HEAD"]);
    for (const method of ["POST", "PUT", "DELETE", "PATCH"]) {
      const answer = await platform.operator.send(method, path);
      expect(answer).toMatchObject({ status: 405, body: { code: "method_not_allowed" } });
      expect(answer.headers.get("allow")).toBe("GET, HEAD, OPTIONS");
    }
  });

  test("is the same with a query, with credentials, and with credentials that do not hold", async () => {
    const { text } = await platform.anonymous.get(path);
    expect((await platform.anonymous.get(`${path}?now=1`)).text).toBe(text);
    expect((await platform.operator.get(path)).text).toBe(text);
    expect((await platform.as("garbage").get(path)).text).toBe(text);
  });

  test("holds no person", async () => {
    const { text } = await platform.anonymous.get(path);
    for (const secret of [ana.creatorId, work, consent.token, ana.kid, "works.example"])
      expect(text.includes(secret)).toBe(false);
  });

  test.runIf(!["statuslist+jwt", "did+json"].includes(type))(
    "is signed in a way that node:crypto verifies",
    async () => {
      const { body, text } = await platform.anonymous.get(path);
      expect(body.type).toBe(type);
      expect(body.iss).toBe(platform.origin);
      expect(text).toBe(canonical(body));
      const { signatures, ...covered } = body;
      const { keys } = (await platform.anonymous.get("/.well-known/keys.json")).body;
      const { kty, crv, x, purpose } = keys.find((key: { kid: string }) => key.kid === signatures[0].key_id);
      expect([purpose, signatures.length, signatures[0].alg]).toEqual(["document", 1, "EdDSA"]);
      const key = createPublicKey({ key: { kty, crv, x }, format: "jwk" });
      const signed = (document: object) => Buffer.from(`licet/v1/${type}\n${canonical(document)}`);
      expect(verify(null, signed(covered), key, Buffer.from(signatures[0].sig, "base64url"))).toBe(true);
      expect(
        verify(
          null,
          signed({ ...covered, iss: "https://elsewhere.example" }),
          key,
          Buffer.from(signatures[0].sig, "base64url"),
        ),
      ).toBe(false);
    },
  );
});

/** RFC 8785 for documents whose numbers are whole: members by name, nothing between them. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const members = Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1));
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`).join(",")}}`;
}

describe("there is no document at", () => {
  test.each([
    "/.well-known/dataset-status/nothing",
    `/.well-known/dataset-status/${datasetId.toLowerCase()}`,
    "/.well-known/dataset-status/",
    "/.well-known/dataset-status/..%2fkeys.json",
    "/.well-known/dataset-status/../keys.json",
    "/.well-known/dataset-status/a..b",
    `//.well-known/dataset-status/${datasetId}`,
    `/.well-known//dataset-status/${datasetId}`,
    `/.well-known/dataset-status/${datasetId}/`,
    `/.well-known/dataset-status/${datasetId}%00`,
    "/.Well-Known/keys.json",
    "/.well-known/keys.json/",
    "/.well-known/keys",
    "/.well-known/consent-revocations/0.json",
    "/.well-known/consent-revocations/-1.json",
    "/status-lists/01",
    "/status-lists/9999999999",
    "/status-lists/1e0",
    `/datasets/${datasetId}/versions/2/manifest.json`,
    `/datasets/${datasetId}/versions/01/manifest.json`,
    "/datasets/../.well-known/keys.json",
    "/terms/../.well-known/keys.json",
    `/${"a".repeat(300)}`,
  ])("%s", async (target) => {
    const answer = await rawRequest(platform.origin, target);
    expect(answer.status).toBe(404);
    expect(JSON.parse(answer.text)).toMatchObject({ code: "not_found" });
    expect(answer.headers["cache-control"]).toBe("no-store");
  });

  test("an unpublished draft's paths", async () => {
    const draft = uniqueId("ds_draft");
    await publishDataset(platform, [work], { dataset_id: draft, status: "draft" });
    for (const path of [`/.well-known/dataset-status/${draft}`, `/datasets/${draft}/manifest.json`])
      expect((await platform.anonymous.get(path)).status).toBe(404);
  });
});

test("a document that is missing tells a script of another origin so", async () => {
  const answer = await platform.anonymous.get("/.well-known/dataset-status/nothing");
  expect(answer.headers.get("access-control-allow-origin")).toBe("*");
});

test("tags tell datasets apart, whatever their names hold", async () => {
  const other = uniqueId("songs~");
  await publishDataset(platform, [work], { dataset_id: other });
  const tagOf = async (id: string) =>
    (await platform.anonymous.get(`/.well-known/dataset-status/${id}`)).headers.get("cache-tag");
  expect(await tagOf(other)).not.toBe(await tagOf(datasetId));
  expect((await platform.anonymous.get(`/datasets/${datasetId}/manifest.json`)).headers.get("cache-tag")).toBe(
    await tagOf(datasetId),
  );
});

test("a revocation is in every document that carries it by the time it is answered", async () => {
  const given = await giveConsent(ana, { subject: `content:${await registerWork(platform, ana.creatorId)}` });
  const etag = (await platform.anonymous.get("/status-lists/1")).headers.get("etag");
  expectStatus(await ana.caller.post(`/api/v1/consents/${given.jti}/revoke`, {}), 200);
  expect((await platform.anonymous.get("/.well-known/consent-revocations.json")).body.revocations).toContainEqual(
    expect.objectContaining({ jti: given.jti }),
  );
  expect((await platform.anonymous.get("/status-lists/1", { "if-none-match": etag ?? "" })).status).toBe(200);
});
