import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { expect, test } from "vitest";
import codec from "../vectors/status-list-codec.json" with { type: "json" };
import vectors from "../vectors/status-list.json" with { type: "json" };
import { accept } from "./refusal.ts";
import { signerOf } from "./signature.ts";
import {
  MAX_STATUS_LIST_TOKEN_LENGTH,
  STATUS_LIST_BYTES,
  checkStatus,
  compressStatusList,
  setStatusAt,
  signStatusList,
  statusAt,
  verifyStatusList,
} from "./status-list.ts";
import { keySetOf } from "./testing/key-set-of.ts";
import { casesOf, diceFrom, outcome, testKey } from "./testing/vectors.ts";

const keys = keySetOf(vectors);
const uri = "https://platform.example/status-lists/1";
const iat = 1_800_000_000;

test.each(casesOf<{ bytes: string; lst: string }, { statuses: number[] }>(codec))(
  "status list codec: $name",
  async ({ bytes, lst, expect: expected }) => {
    const statuses = expected.ok ? expected.statuses : [];
    const bits = new Uint8Array(statuses.length / 4);
    statuses.forEach((status, idx) => setStatusAt(bits, idx, status));
    expect(bytesToHex(bits)).toBe(bytes);
    expect(statuses.map((_, idx) => statusAt(hexToBytes(bytes), idx))).toEqual(statuses.map(accept));
    const token = await signStatusList(
      { uri, iss: keys.iss, seq: 1, iat, lst },
      await signerOf(testKey("platform_document")),
    );
    expect(
      outcome(await verifyStatusList(token, { uri, keys, now: iat }), (list) => ({ bits: bytesToHex(list.bits) })),
    ).toEqual({ ok: true, bits: bytes });
  },
);

test.each(casesOf<{ token: string; uri: string; now: number; idx: number; allow_test?: boolean }>(vectors))(
  "status list: $name",
  async ({ token, uri: from, now, idx, allow_test = false, expect: expected }) => {
    const list = await verifyStatusList(token, { uri: from, keys: { ...keys, allowsTest: allow_test }, now });
    const status = list.ok ? statusAt(list.value.bits, idx) : list;
    const standing = status.ok ? checkStatus(status.value, `index ${idx}`) : status;
    expect(outcome(standing, () => (list.ok ? { seq: list.value.seq } : {}))).toEqual(expected);
  },
);

test("setting one status leaves the others alone, and can be undone", () => {
  const bits = new Uint8Array(3);
  for (let idx = 0; idx < 12; idx += 1) setStatusAt(bits, idx, 3);
  setStatusAt(bits, 5, 2);
  setStatusAt(bits, 6, 0);
  expect(Array.from({ length: 12 }, (_, idx) => statusAt(bits, idx))).toEqual(
    [3, 3, 3, 3, 3, 2, 0, 3, 3, 3, 3, 3].map(accept),
  );
});

test("an index or a status of ours that cannot be is a fault", () => {
  for (const [idx, status] of [
    [12, 1],
    [-1, 1],
    [0, 4],
  ] as const)
    expect(() => setStatusAt(new Uint8Array(3), idx, status)).toThrow(RangeError);
});

test("an index that is no whole number is out of range", () => {
  for (const idx of [0.5, Number.NaN, 2 ** 53])
    expect(outcome(statusAt(new Uint8Array(3), idx))).toEqual({ ok: false, code: "status_out_of_range" });
});

test("a full list of random bits, which hardly compresses, fits into its token", async () => {
  const dice = diceFrom(21);
  const bits = Uint8Array.from({ length: STATUS_LIST_BYTES }, () => dice(256));
  const lst = await compressStatusList(bits, deflate);
  const token = await signStatusList(
    { uri, iss: keys.iss, seq: 1, iat, lst },
    await signerOf(testKey("platform_document_es256")),
  );
  expect(token.length).toBeLessThan(MAX_STATUS_LIST_TOKEN_LENGTH);
  const list = await verifyStatusList(token, { uri, keys, now: iat });
  expect(list.ok && list.value.bits).toEqual(bits);
});

async function deflate(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(
    await new Response(new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"))).arrayBuffer(),
  );
}
