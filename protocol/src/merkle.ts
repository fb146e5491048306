import { concatBytes } from "@noble/hashes/utils.js";
import { sha256Bytes } from "./digest.ts";

/** RFC 6962 section 2.1: hashes of leaves and of nodes begin with different bytes, so that none can stand for the other. */
const LEAF_PREFIX = Uint8Array.of(0x00);
const NODE_PREFIX = Uint8Array.of(0x01);

/** The Merkle tree hash of no leaves: SHA-256 of the empty string. */
const EMPTY_ROOT = sha256Bytes("");

/** SHA-256(0x00 ‖ entry). */
export function leafHash(entry: Uint8Array): Uint8Array<ArrayBuffer> {
  return sha256Bytes(concatBytes(LEAF_PREFIX, entry));
}

function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array<ArrayBuffer> {
  return sha256Bytes(concatBytes(NODE_PREFIX, left, right));
}

/** The complete subtrees seen so far, largest first: at most one for each power of two. */
interface Subtree {
  readonly size: number;
  readonly hash: Uint8Array<ArrayBuffer>;
}

/** A tree that grows leaf by leaf in memory proportional to its height. */
export interface MerkleTree {
  readonly subtrees: readonly Subtree[];
  readonly size: number;
}

export const EMPTY_TREE: MerkleTree = { subtrees: [], size: 0 };

/** Adds one leaf hash at the end. */
export function appendLeaf(tree: MerkleTree, leaf: Uint8Array<ArrayBuffer>): MerkleTree {
  const subtrees = [...tree.subtrees];
  let last: Subtree = { size: 1, hash: leaf };
  for (let left = subtrees.at(-1); left?.size === last.size; left = subtrees.at(-1)) {
    subtrees.pop();
    last = { size: left.size * 2, hash: nodeHash(left.hash, last.hash) };
  }
  return { subtrees: [...subtrees, last], size: tree.size + 1 };
}

/** The Merkle tree hash (RFC 6962 section 2.1) of what was appended. */
export function rootOf(tree: MerkleTree): Uint8Array<ArrayBuffer> {
  const [last, ...larger] = tree.subtrees.toReversed();
  return last === undefined ? EMPTY_ROOT : larger.reduce((right, left) => nodeHash(left.hash, right), last.hash);
}

/** The Merkle tree hash of the leaf hashes, in order. */
export function merkleRoot(leaves: Iterable<Uint8Array<ArrayBuffer>>): Uint8Array<ArrayBuffer> {
  let tree = EMPTY_TREE;
  for (const leaf of leaves) tree = appendLeaf(tree, leaf);
  return rootOf(tree);
}
