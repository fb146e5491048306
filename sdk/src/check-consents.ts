import {
  type CreatorKey,
  type JsonObject,
  type KeySet,
  type Manifest,
  type Result,
  type StandingConsent,
  EMPTY_TREE,
  accept,
  appendLeaf,
  canonicalBytes,
  checkConsentTimes,
  checkStatus,
  consentLeafHash,
  readConsentLine,
  refuse,
  rootOf,
  sha256Hex,
  verifyCreatorKey,
} from "@licet/protocol";
import type { Checking } from "./check-documents.ts";
import { addOffence, emptyTally, fail, record, recordTally } from "./dataset-report.ts";
import { encodeHex } from "./hex.ts";
import { MAX_CONSENTS_HELD, MAX_CREATOR_KEYS_HELD } from "./limits.ts";
import { orderedLines } from "./ordered-lines.ts";
import type { StatusEntries } from "./status-entries.ts";
import { type ReadCreatorKey, verifyAcceptedConsent } from "./verify-consent.ts";

/** A consent of the dataset, and whether it stands today. */
export interface HeldConsent extends StandingConsent {
  readonly standing: Result<true>;
}

/**
 * Reads every consent of the dataset: each must hold and the Merkle root must match. Whether one
 * still stands is kept beside it, because a revoked consent remains listed while no item stands on
 * it. Undefined when the lines could not be read.
 */
export async function checkConsents(
  checking: Checking,
  keys: KeySet,
  manifest: Manifest,
  entries: StatusEntries,
): Promise<Map<string, HeldConsent> | undefined> {
  const { findings, source } = checking;
  if (source.lines === undefined) return undefined;
  const readCreatorKey = rememberedCreatorKeys();
  const consents = new Map<string, HeldConsent>();
  const offences = emptyTally();
  let ended = 0;
  const limit = Math.min(manifest.consents_count, MAX_CONSENTS_HELD);
  let tree = EMPTY_TREE;
  for await (const line of orderedLines(source.lines(manifest.consents_url), readConsentLine, limit)) {
    if (!line.ok) {
      fail(findings, "consents", line.refusal);
      return undefined;
    }
    const { jti, token, acceptance, key } = line.value;
    tree = appendLeaf(tree, consentLeafHash(token));
    const consent = await verifyAcceptedConsent(
      { token, acceptance, key },
      { keys, origin: checking.origin, now: checking.now() },
      readCreatorKey,
    );
    if (!consent.ok && consent.refusal.code === "key_not_in_force") {
      // It ended with its key, and stays listed like any other that was revoked. An item that still stood on it would be covered by nothing.
      ended += 1;
    } else if (!consent.ok) {
      addOffence(offences, jti, consent.refusal);
    } else if (consent.value.claims.jti !== jti || consents.has(jti)) {
      addOffence(offences, jti, {
        code: "document_invalid",
        detail: `expected each token once under its own jti, got ${consent.value.claims.jti}`,
      });
    } else {
      const { claims, creatorId } = consent.value;
      consents.set(jti, { claims, creatorId, standing: await checkStanding(checking, consent.value, entries) });
    }
  }
  recordTally(
    findings,
    "consents",
    offences,
    `${tree.size - ended} consents hold${ended === 0 ? "" : `, ${ended} ended with their keys`}`,
  );
  const root = encodeHex(rootOf(tree));
  record(
    findings,
    "consents_root",
    checkRoot("consents", { root, count: tree.size }, { root: manifest.consents_root, count: manifest.consents_count }),
    () => `root ${root}`,
  );
  return consents;
}

/** A root and the number of leaves under it. */
export interface Roots {
  readonly root: string;
  readonly count: number;
}

export function checkRoot(what: string, got: Roots, expected: Roots): Result<true> {
  if (got.count !== expected.count)
    return refuse("root_mismatch", `expected ${expected.count} ${what}, got ${got.count}`);
  return got.root === expected.root
    ? accept(true)
    : refuse("root_mismatch", `expected the ${what}' root ${expected.root}, got ${got.root}`);
}

async function checkStanding(
  checking: Checking,
  { claims }: StandingConsent,
  entries: StatusEntries,
): Promise<Result<true>> {
  const times = checkConsentTimes(claims, checking.now());
  if (!times.ok) return times;
  const value = await entries.valueOf(claims.status.status_list);
  if (value === undefined) return refuse("unavailable", `the status list of ${claims.jti} cannot be used`);
  return value.ok ? checkStatus(value.value, claims.jti) : value;
}

/** A creator with many consents sends the same key document with each of them. */
function rememberedCreatorKeys(): ReadCreatorKey {
  const known = new Map<string, Result<CreatorKey>>();
  return async (document: JsonObject, keys: KeySet, now: number) => {
    const name = sha256Hex(canonicalBytes(document));
    const held = known.get(name);
    if (held !== undefined) return held;
    const key = await verifyCreatorKey(document, keys, now);
    if (known.size === MAX_CREATOR_KEYS_HELD) known.clear();
    known.set(name, key);
    return key;
  };
}
