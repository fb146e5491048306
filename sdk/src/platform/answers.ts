import {
  type JsonObject,
  type Result,
  type Shape,
  accept,
  anyObject,
  count,
  flag,
  identifier,
  instant,
  listOf,
  objectOf,
  oneOf,
  parseJsonObject,
  qualifiedIdentifier,
  readShape,
  sha256,
  textUpTo,
  webUrl,
} from "@licet/protocol";
import { type Page, parsePage } from "../api-answers.ts";
import { type Answer, type LicetProblem, localProblem, parseAnswer, parseProblem, readProblem } from "../problem.ts";
import type { ApiAnswer } from "../send.ts";

const MAX_TOKEN_LENGTH = 16_384;
const MAX_TEXT_LENGTH = 65_536;
const id = textUpTo(256);

const CREATOR = objectOf({ creator_id: qualifiedIdentifier, issuer: textUpTo(512), created_at: instant });
/** A creator as the server knows them: a pseudonym. @example { creator_id: "user:1", issuer: "https://…/creators/user:1", created_at: "…" } */
export type Creator = ReturnType<typeof CREATOR>;

const SESSION = objectOf({
  creator_token: textUpTo(MAX_TOKEN_LENGTH),
  creator_id: qualifiedIdentifier,
  expires_at: instant,
});
/** What the creator's browser acts with, until `expires_at`. @example { creator_token: "…", creator_id: "user:1", expires_at: "…" } */
export type CreatorSession = ReturnType<typeof SESSION>;

const WORK = objectOf(
  {
    content_id: identifier,
    creator_id: qualifiedIdentifier,
    canonical_url: webUrl,
    sha256,
    mime_type: textUpTo(256),
    registered_at: instant,
    revision: count,
    state: textUpTo(32),
  },
  { license: textUpTo(256), created_at: instant },
);
/** A registered work. @example { content_id: "content_1", canonical_url: "https://…", state: "standing", … } */
export type Work = ReturnType<typeof WORK>;

const DRAFT = objectOf({
  jti: id,
  signing_input: textUpTo(MAX_TOKEN_LENGTH),
  claims: anyObject,
  text: textUpTo(MAX_TEXT_LENGTH),
  terms_sha256: sha256,
  draft_expires_at: instant,
});
/** A consent that waits to be signed: show `text`, sign `signing_input`. @example { jti: "ctok_…", text: "…", signing_input: "…" } */
export type ConsentDraft = ReturnType<typeof DRAFT>;

const CONSENT = objectOf(
  {
    jti: id,
    creator_id: qualifiedIdentifier,
    subject: textUpTo(512),
    scope: listOf(textUpTo(64), { max: 64 }),
    state: oneOf("active", "revoked", "suspended", "expired"),
    signed_by: oneOf("creator", "platform"),
    expires_at: instant,
    accepted_at: instant,
    token: textUpTo(MAX_TOKEN_LENGTH),
    acceptance: anyObject,
  },
  { revoked_at: instant, reason: textUpTo(1_000) },
);
/** An accepted consent and how it stands. @example { jti: "ctok_…", state: "active", signed_by: "creator", … } */
export type Consent = ReturnType<typeof CONSENT>;

const TOUCHED = listOf(objectOf({ dataset_id: identifier, status: textUpTo(32) }), { max: 1_000_000 });
const REVOCATION = objectOf(
  { revoked: flag, revoked_at: instant, datasets: TOUCHED, still_covered_by: listOf(id, { max: 1_000_000 }) },
  {
    jti: id,
    revoked_jtis: listOf(id, { max: 1_000_000 }),
    withdrawn_content_ids: listOf(identifier, { max: 1_000_000 }),
  },
);
/** What a revocation ended, and which consents still cover the works. @example { revoked: true, revoked_at: "…", datasets: [{ dataset_id: "ds_1", status: "partially_revoked" }], still_covered_by: [] } */
export type Revocation = ReturnType<typeof REVOCATION>;

const DATASET = objectOf(
  { dataset_id: identifier, name: textUpTo(256), status: textUpTo(32), version: count },
  {
    state: textUpTo(32),
    published_at: instant,
    items_count: count,
    consents_count: count,
    items_root: sha256,
    manifest_sha256: sha256,
    manifest_url: webUrl,
  },
);
/** A published dataset. @example { dataset_id: "ds_1", version: 1, manifest_url: "https://…/datasets/ds_1/manifest.json", … } */
export type PublishedDataset = ReturnType<typeof DATASET>;

const OFFER = objectOf(
  { dataset_id: identifier, marketplace_id: identifier, state: textUpTo(32), offered_at: instant },
  { registered_at: instant, attempts: count, last_error: textUpTo(4_096) },
);
/** A dataset's offer to a marketplace. @example { dataset_id: "ds_1", marketplace_id: "mkt_1", state: "registered", … } */
export type Offer = ReturnType<typeof OFFER>;

/** What became of one line of a bulk registration. @example { line: 1, status: "created", contentId: "content_1" } */
export interface RegisteredLine {
  /** Counts from 1, in the order of what was sent. */
  readonly line: number;
  readonly status: "created" | "unchanged" | "revised" | "refused";
  readonly contentId?: string;
  readonly problem?: LicetProblem;
}

const LINE = objectOf(
  { line: count, status: oneOf("created", "unchanged", "revised", "refused") },
  { content_id: identifier, problem: anyObject },
);

export const parseCreator = parserOf(CREATOR, "creator");
export const parseSession = parserOf(SESSION, "session");
export const parseWork = parserOf(WORK, "work");
export const parseDraft = parserOf(DRAFT, "draft");
export const parseConsent = parserOf(CONSENT, "consent");
export const parseRevocation = parserOf(REVOCATION, "revocation");
export const parsePublished = parserOf(DATASET, "dataset");
export const parseOffer = parserOf(OFFER, "offer");

/** Reads a page of works. */
export function parseWorks(answer: ApiAnswer): Answer<Page<Work>> {
  return parsePage(answer, "content_items", (entry) => readShape(WORK, entry, "work", "document_invalid"));
}

/** Reads a page of consents. */
export function parseConsents(answer: ApiAnswer): Answer<Page<Consent>> {
  return parsePage(answer, "consents", (entry) => readShape(CONSENT, entry, "consent", "document_invalid"));
}

/** Reads the lines that answer a bulk registration. */
export function parseRegisteredLines(answer: ApiAnswer): Answer<readonly RegisteredLine[]> {
  if (answer.status !== 200) return { ok: false, refusal: parseProblem(answer) };
  const lines: RegisteredLine[] = [];
  for (const text of new TextDecoder().decode(answer.body).split("\n")) {
    if (text === "") continue;
    const line = readRegisteredLine(text);
    if (!line.ok) return { ok: false, refusal: localProblem(line.refusal) };
    lines.push(line.value);
  }
  return { ok: true, value: lines };
}

function readRegisteredLine(text: string): Result<RegisteredLine> {
  const parsed = parseJsonObject(text);
  const read = parsed.ok ? readShape(LINE, parsed.value, "line", "document_invalid") : parsed;
  if (!read.ok) return read;
  const { line, status, content_id, problem } = read.value;
  return accept({
    line,
    status,
    ...(content_id === undefined ? {} : { contentId: content_id }),
    ...(problem === undefined ? {} : { problem: readProblem(problem, statusOf(problem)) }),
  });
}

function statusOf({ status }: JsonObject): number {
  return typeof status === "number" ? status : 0;
}

function parserOf<T>(shape: Shape<T>, name: string): (answer: ApiAnswer) => Answer<T> {
  return (answer) => parseAnswer(answer, (body) => readShape(shape, body, name, "document_invalid"));
}
