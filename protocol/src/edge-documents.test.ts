import { expect, test } from "vitest";
import contentStatuses from "../vectors/content-status.json" with { type: "json" };
import refreshes from "../vectors/edge-refresh.json" with { type: "json" };
import { MAX_CONTENT_STATUS_BYTES, contentStatusClocksAt, verifyContentStatus } from "./content-status.ts";
import { MAX_REFRESH_BYTES, MAX_REFRESH_DOCUMENTS, signEdgeRefresh, verifyEdgeRefresh } from "./edge-refresh.ts";
import { canonicalize } from "./json.ts";
import { signerOf } from "./signature.ts";
import { keySetOf } from "./testing/key-set-of.ts";
import { casesOf, outcome, testKey } from "./testing/vectors.ts";

const NOW = 1_800_000_000;
const shown = (): object => ({});

test.each(casesOf<{ text: string; url: string; now: number }>(contentStatuses))(
  "content status: $name",
  async ({ text, url, now, expect: expected }) => {
    const verified = await verifyContentStatus(text, { url, now, keys: keySetOf(contentStatuses) });
    expect(outcome(verified, shown)).toEqual(expected);
  },
);

test.each(casesOf<{ text: string; now: number }>(refreshes))(
  "edge refresh: $name",
  async ({ text, now, expect: expected }) => {
    expect(outcome(await verifyEdgeRefresh(text, { now, keys: keySetOf(refreshes) }), shown)).toEqual(expected);
  },
);

test("a document that is too long is not read", async () => {
  const keys = keySetOf(refreshes);
  const long = `{"type":"${"x".repeat(MAX_CONTENT_STATUS_BYTES)}"}`;
  const refused = { ok: false, code: "document_invalid" };
  expect(outcome(await verifyContentStatus(long, { url: "https://a.example/", now: NOW, keys }), shown)).toEqual(
    refused,
  );
  expect(outcome(await verifyEdgeRefresh(long.slice(-MAX_REFRESH_BYTES - 1), { now: NOW, keys }), shown)).toEqual(
    refused,
  );
});

test("a refresh that we sign verifies, and names 500 documents and no more", async () => {
  const signer = await signerOf(testKey("platform_document"));
  const documents = Array.from({ length: MAX_REFRESH_DOCUMENTS + 1 }, (_, at) => ({
    path: `/status-lists/${at}`,
    seq: Number.MAX_SAFE_INTEGER,
  }));
  const check = { now: NOW, keys: keySetOf(refreshes) };
  const verify = async (named: typeof documents): Promise<object> => {
    const content = { seq: 1, issued_at: "2027-01-15T08:00:00Z", documents: named };
    const refresh = await signEdgeRefresh("https://platform.example", content, signer);
    return outcome(await verifyEdgeRefresh(canonicalize(refresh), check), (read) => ({
      documents: read.documents.length,
    }));
  };
  expect(await verify(documents.slice(1))).toEqual({ ok: true, documents: MAX_REFRESH_DOCUMENTS });
  expect(await verify(documents)).toEqual({ ok: false, code: "document_invalid" });
});

test("a content status that is made now is trusted for a day", () => {
  expect(contentStatusClocksAt(NOW)).toEqual({
    checked_at: "2027-01-15T08:00:00Z",
    ttl_seconds: 15,
    expires_at: "2027-01-16T08:00:00Z",
  });
});
