import {
  type AccessFacts,
  type ContentFact,
  type ContentGrant,
  type GrantFact,
  type LicenseClaims,
  type LicenseFact,
  type MissingFact,
  type Refusal,
  type StatusFact,
  type StatusReference,
  normaliseContentUrl,
  parseInstant,
  statusAt,
  verifyLicenseToken,
} from "@licet/protocol";
import type { DocumentReader } from "./documents.ts";
import type { Identity } from "./identify.ts";
import type { EdgePorts } from "./ports.ts";

/** Without a license, this many datasets of a work are asked about: the newest, as the content status lists them. */
const MAX_GRANTS_ASKED = 8;

export interface Asked extends Pick<EdgePorts, "isFirstUse"> {
  /** The address as it was sent. */
  readonly url: string;
  readonly identity: Identity;
  /** Seconds since the epoch. */
  readonly now: number;
}

/** What is known of a request that is not a person's, and the names for telling of it. */
export interface Gathered {
  /** Why the proof that came with the license opens nothing: it was used before. */
  readonly refused: Refusal | undefined;
  readonly license: LicenseFact | undefined;
  readonly content: ContentFact;
  readonly contentId: string | undefined;
  readonly claims: LicenseClaims | undefined;
}

/** Everything that the decision looks at, read from the platform's documents. */
export async function gatherFacts(documents: DocumentReader, asked: Asked): Promise<Gathered> {
  const normalised = normaliseContentUrl(asked.url);
  const [verified, status] = await Promise.all([
    verifyLicense(documents, asked),
    normalised.ok ? documents.contentStatus(normalised.value) : undefined,
  ]);
  const claims = verified !== undefined && "claims" in verified ? verified.claims : undefined;
  const refused = claims === undefined ? undefined : await takeProof(claims, asked);
  const license =
    verified === undefined || !("claims" in verified) ? verified : await licenseFact(documents, verified.claims);
  // What cannot be the address of a work is the address of none.
  if (status === undefined || status.state === "absent")
    return { refused, license, claims, content: { state: "unlicensed" }, contentId: undefined };
  if (status.state === "missing")
    return { refused, license, claims, content: { state: "missing", detail: status.detail }, contentId: undefined };
  const { content_id, modality, grants, status: item } = status.value;
  const inQuestion =
    claims === undefined
      ? grants.slice(0, MAX_GRANTS_ASKED)
      : grants.filter(({ dataset_id }) => dataset_id === claims.dataset_id);
  const [itemFact, ...grantFacts] = await Promise.all([
    readStatus(documents, item.status_list),
    ...inQuestion.map((grant) => grantFact(documents, grant)),
  ]);
  const content: ContentFact = {
    state: "known",
    trusted_until: status.trustedUntil,
    ...(modality === undefined ? {} : { modality }),
    item: itemFact,
    grants: grantFacts,
  };
  return { refused, license, claims, content, contentId: content_id };
}

/** The facts as the protocol's rule takes them. */
export function accessFacts(
  { refused: replayed, license, content }: Pick<Gathered, "refused" | "license" | "content">,
  { refused: unreadable, purpose, agent }: Identity,
  isForMachines: boolean,
): AccessFacts {
  const refused = unreadable ?? replayed;
  return {
    governed: true,
    ...(refused === undefined ? {} : { credentials: refused }),
    ...(license === undefined ? {} : { license }),
    ...(purpose === undefined ? {} : { purpose }),
    isAgent: isForMachines || agent !== undefined,
    content,
  };
}

type VerifiedLicense = { readonly claims: LicenseClaims } | Exclude<LicenseFact, { readonly state: "verified" }>;

async function verifyLicense(
  documents: DocumentReader,
  { url, identity: { license }, now }: Asked,
): Promise<VerifiedLicense | undefined> {
  if (license === undefined) return undefined;
  const keys = await documents.keys();
  if (keys.state !== "known")
    return { state: "missing", detail: keys.state === "absent" ? "the platform publishes no keys" : keys.detail };
  if (license.proof?.ok === false) return { state: "invalid", ...license.proof.refusal };
  const verified = await verifyLicenseToken(license.token, {
    keys: keys.value,
    now,
    audience: new URL(url).origin,
    ...(license.proof === undefined ? {} : { jkt: license.proof.value.holder }),
  });
  return verified.ok ? { claims: verified.value.claims } : { state: "invalid", ...verified.refusal };
}

/**
 * Uses up the proof of a license that holds and is bound to the proof's key. No other proof is
 * remembered, so that nobody fills the memory who has no license. Refuses `signature_replayed`.
 */
async function takeProof({ cnf }: LicenseClaims, { identity, isFirstUse }: Asked): Promise<Refusal | undefined> {
  const proof = identity.license?.proof;
  if (cnf === undefined || proof?.ok !== true || (await isFirstUse(proof.value))) return undefined;
  return { code: "signature_replayed", detail: "expected a new proof, got one that was used before" };
}

async function licenseFact(documents: DocumentReader, claims: LicenseClaims): Promise<LicenseFact> {
  return {
    state: "verified",
    license_id: claims.jti,
    dataset_id: claims.dataset_id,
    dataset_version: claims.dataset_version,
    scope: claims.scope,
    status: await readStatus(documents, claims.status.status_list),
  };
}

async function grantFact(documents: DocumentReader, grant: ContentGrant): Promise<GrantFact> {
  const [dataset, consent] = await Promise.all([
    readStatus(documents, grant.dataset_status.status_list),
    readStatus(documents, grant.consent_status.status_list),
  ]);
  const { dataset_id, version, scope, expires_at } = grant;
  return { dataset_id, version, scope, expires_at: parseInstant(expires_at) ?? 0, dataset, consent };
}

async function readStatus(documents: DocumentReader, { idx, uri }: StatusReference): Promise<StatusFact | MissingFact> {
  const list = await documents.statusList(uri);
  if (list.state !== "known")
    return { state: "missing", detail: list.state === "absent" ? `${uri}: there is no such status list` : list.detail };
  const value = statusAt(list.value.bits, idx);
  return value.ok
    ? { value: value.value, trusted_until: list.trustedUntil }
    : { state: "missing", detail: `${uri}: ${value.refusal.detail}` };
}
