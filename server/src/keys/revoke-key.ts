import {
  type JsonObject,
  type Result,
  STATUS_LIST_TYP,
  accept,
  formatInstant,
  isJsonObject,
  parseInstant,
  parseJsonObject,
  refuse,
} from "@licet/protocol";
import { lockForResigning, readDurablePaths, readFreshPaths } from "../documents/store.ts";
import { documentPaths } from "../documents/document-paths.ts";
import type { DocumentContent, ServedDocument } from "../documents/render-document.ts";
import type { Trx } from "../db/open-database.ts";
import type { Fact } from "../events/write-fact.ts";
import { createKey } from "./create-key.ts";
import { republishKeySet } from "./publish-key-set.ts";
import { LEAD_SECONDS, OVERLAP_SECONDS } from "./rotate-keys.ts";
import {
  type SigningKeyRow,
  keyBody,
  lockSigningKeys,
  readActiveKeys,
  readSigningKeys,
  signingKeyAt,
  updateSigningKey,
} from "./store.ts";

export interface KeyRevocation {
  readonly kid: string;
  /** Since when somebody else may have signed with it, seconds since the epoch; undefined when nobody did, and only from now on it is not to be believed. */
  readonly compromisedSince: number | undefined;
  readonly by: string;
}

/** A revoked key, and what its end did. */
export interface RevokedKey {
  readonly row: SigningKeyRow;
  /** Everything the key signed from here on holds no more, seconds since the epoch. */
  readonly since: number;
  /** The key that took over at once; undefined when the revoked one signed nothing any more. */
  readonly successor: SigningKeyRow | undefined;
  /** The public documents that were signed again in the same step. */
  readonly signedAgain: readonly string[];
}

/**
 * Revokes a key of the platform in this fact: another takes over at once, and every document that
 * readers would still trust is signed again under it before anybody can see the revocation. Revoked
 * again, it answers the same, and nothing is left to be signed; told again with an earlier instant,
 * the earlier one counts. Refuses `not_found` and `input_invalid`.
 */
export async function revokeKey(fact: Fact, { kid, compromisedSince, by }: KeyRevocation): Promise<Result<RevokedKey>> {
  await lockSigningKeys(fact.trx);
  const row = (await readSigningKeys(fact.trx)).find((candidate) => candidate.kid === kid);
  if (row === undefined) return refuse("not_found", `there is no key ${kid}`);
  const known = row.compromised_since ?? row.revoked_at;
  const since = compromisedSince ?? fact.now;
  if (since > fact.now)
    return refuse(
      "input_invalid",
      `body.compromised_since: expected not after ${formatInstant(fact.now)}, got ${formatInstant(since)}`,
    );
  if (known !== null && since >= known) return accept(await readAgain(fact, row, known));
  const successor = await succeed(fact, row);
  const revoked = {
    status: "revoked" as const,
    revoked_at: row.revoked_at ?? fact.now,
    compromised_since: compromisedSince ?? null,
  };
  await updateSigningKey(fact.trx, kid, revoked);
  const { purpose } = row;
  const signedAgain = purpose === "document" ? await signAgain(fact, kid, since) : [];
  fact.record({
    type: "key.revoked",
    aggregate: kid,
    body: {
      ...keyBody(row),
      since,
      compromised: compromisedSince !== undefined,
      by,
      ...successorBody(successor),
    },
  });
  await republishKeySet(fact, [kid]);
  return accept({ row: { ...row, ...revoked }, since, successor, signedAgain });
}

/** What a revocation did that was told before: the key that signs now took over, unless another one had long before. */
async function readAgain(fact: Fact, row: SigningKeyRow, since: number): Promise<RevokedKey> {
  const signedToTheEnd = row.retire_at === null || (row.revoked_at ?? 0) < row.retire_at - OVERLAP_SECONDS;
  const signing = signingKeyAt(await readActiveKeys(fact.trx), row.purpose, fact.now);
  return { row, since, successor: signedToTheEnd ? signing : undefined, signedAgain: [] };
}

function successorBody(successor: SigningKeyRow | undefined): JsonObject {
  return successor === undefined ? {} : { successor: successor.kid };
}

/** The key that signs from now on: the one that was to come anyway, or a new one. */
async function succeed(fact: Fact, row: SigningKeyRow): Promise<SigningKeyRow | undefined> {
  if (row.status !== "active") return undefined;
  const { purpose, alg } = row;
  const active = await readActiveKeys(fact.trx);
  const signedUntilNow = signingKeyAt(active, purpose, fact.now)?.kid === row.kid;
  const others = active.filter((other) => other.kid !== row.kid);
  const next = others.find((other) => other.purpose === purpose && other.retire_at === null);
  if (next !== undefined) {
    if (signedUntilNow) await updateSigningKey(fact.trx, next.kid, { signs_from: 0 });
    return signedUntilNow ? next : undefined;
  }
  // The newest key has to go before another can be the newest.
  await updateSigningKey(fact.trx, row.kid, { status: "revoked", revoked_at: fact.now });
  const signsFrom = signedUntilNow ? 0 : fact.now + LEAD_SECONDS;
  const made = await createKey(fact.ctx.sealer, fact.trx, { purpose, alg, now: fact.now, signsFrom });
  fact.record({ type: "key.created", aggregate: made.kid, body: { ...keyBody(made), alg } });
  return made;
}

/**
 * Status documents that are fresh speak of the present, so they are signed afresh; expired ones are
 * at their next reading. What is durable and was signed by this key since then keeps its content and
 * gets a signature of now: it is what our own database says, whoever else had the key.
 */
async function signAgain(fact: Fact, kid: string, since: number): Promise<readonly string[]> {
  const fresh = (await readFreshPaths(fact.trx, fact.now)).filter((path) => path !== documentPaths.keySet);
  for (const path of fresh) fact.publish(path, async (trx) => (await lockedAt(trx, path)).document);
  const signedAgainAt = formatInstant(fact.now);
  const durable: string[] = [];
  for (const path of await readDurablePaths(fact.trx, kid)) {
    const { document, served } = await lockedAt(fact.trx, path);
    if (document.kind === STATUS_LIST_TYP || signedBefore(served, since)) continue;
    durable.push(path);
    fact.publish(path, async () => ({ ...document, signedAgainAt }));
  }
  return [...fresh, ...durable];
}

/** By what the document itself says. One that does not say when it was made is signed again in any case, which changes nothing else. */
function signedBefore({ bytes }: ServedDocument, since: number): boolean {
  const parsed = parseJsonObject(bytes);
  if (!parsed.ok) return false;
  const { signatures, published_at } = parsed.value;
  const [signature] = Array.isArray(signatures) ? signatures : [];
  const made = isJsonObject(signature) && signature["signed_at"] !== undefined ? signature["signed_at"] : published_at;
  return typeof made === "string" && (parseInstant(made) ?? since) < since;
}

async function lockedAt(
  trx: Trx,
  path: string,
): Promise<{ readonly document: DocumentContent; readonly served: ServedDocument }> {
  const locked = await lockForResigning(trx, path);
  if (locked === undefined) throw new TypeError(`expected a document at ${path}`);
  return locked;
}
