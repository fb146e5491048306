import { bytesToHex, hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { expect, test } from "vitest";
import vectors from "../vectors/merkle.json" with { type: "json" };
import { sha256Bytes } from "./digest.ts";
import { EMPTY_TREE, appendLeaf, leafHash, merkleRoot, rootOf } from "./merkle.ts";
import { ROUNDS, casesOf } from "./testing/vectors.ts";

test.each(casesOf<{ entries: string[]; root: string }>(vectors))(
  "merkle: $name",
  ({ entries, root, expect: expected }) => {
    const computed = bytesToHex(merkleRoot(entries.map((entry) => leafHash(hexToBytes(entry)))));
    expect(computed === root).toBe(expected.ok);
  },
);

test("a tree that grows leaf by leaf has, at every size, the root that RFC 6962 defines", () => {
  const leaves: Uint8Array<ArrayBuffer>[] = [];
  let tree = EMPTY_TREE;
  for (let size = 0; size <= ROUNDS; size += 1) {
    expect(tree.size).toBe(size);
    expect(bytesToHex(rootOf(tree))).toBe(bytesToHex(rootByDefinition(leaves)));
    const leaf = leafHash(utf8ToBytes(`leaf ${size}`));
    leaves.push(leaf);
    tree = appendLeaf(tree, leaf);
  }
});

test("growing a tree leaves the smaller one as it was", () => {
  const small = appendLeaf(EMPTY_TREE, leafHash(utf8ToBytes("a")));
  const before = bytesToHex(rootOf(small));
  appendLeaf(appendLeaf(small, leafHash(utf8ToBytes("b"))), leafHash(utf8ToBytes("c")));
  expect(bytesToHex(rootOf(small))).toBe(before);
});

/** MTH of section 2.1, written as it is defined, of hashed leaves. */
function rootByDefinition(leaves: readonly Uint8Array<ArrayBuffer>[]): Uint8Array<ArrayBuffer> {
  const [first] = leaves;
  if (first === undefined) return sha256Bytes("");
  if (leaves.length === 1) return first;
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return sha256Bytes(
    Uint8Array.of(0x01, ...rootByDefinition(leaves.slice(0, split)), ...rootByDefinition(leaves.slice(split))),
  );
}
