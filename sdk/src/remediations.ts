import { anything, identifier, instant, objectOf, oneOf, readShape, sha256, textUpTo, flag } from "@licet/protocol";
import { type Page, parsePage } from "./api-answers.ts";
import { type PageQuery, jsonRequest } from "./api-requests.ts";
import type { AuthorizedCalls } from "./authorized-calls.ts";
import { type Answer, parseAnswer } from "./problem.ts";
import type { ApiAnswer } from "./send.ts";

const micros = textUpTo(39);

const REMEDIATION = objectOf(
  {
    case_id: identifier,
    state: oneOf("open", "offered", "accepted", "closed", "withdrawn"),
    marketplace_id: identifier,
    dataset_id: identifier,
    model_id: textUpTo(256),
    model_fingerprint: sha256,
    currency: textUpTo(3),
    receipts: textUpTo(39),
    last_use_at: instant,
    opened_at: instant,
    due_at: instant,
    overdue: flag,
  },
  {
    license_id: identifier,
    ended_at: instant,
    ended_by: textUpTo(256),
    reason: textUpTo(500),
    transaction_id: identifier,
  },
);
/** A case about a model that has learned from what a creator took back. @example { case_id: "rem_…", state: "open", … } */
export type Remediation = ReturnType<typeof REMEDIATION>;

const MESSAGE = objectOf({
  message_id: identifier,
  side: oneOf("creator", "platform", "marketplace"),
  author: textUpTo(256),
  text: textUpTo(4_000),
  at: instant,
});
/** What a side wrote in a case. @example { side: "creator", text: "25 dollars.", … } */
export type RemediationMessage = ReturnType<typeof MESSAGE>;

const OFFER = objectOf(
  {
    offer_id: identifier,
    amount_micros: micros,
    currency: textUpTo(3),
    text: textUpTo(4_000),
    state: oneOf("standing", "accepted", "declined", "withdrawn", "expired"),
    offered_at: instant,
    expires_at: instant,
  },
  { offered_by: anything, decided_at: instant, decided_by: textUpTo(256) },
);
/** An offer in a case. Its amount is micro-units in a decimal string. @example { offer_id: "rof_…", state: "standing", … } */
export type RemediationOffer = ReturnType<typeof OFFER>;

/** What is offered: the currency is the dataset's, the text at most 4 000 characters. @example { amount_micros: "25000000", currency: "USD", text: "…" } */
export interface NewOffer {
  readonly amount_micros: string;
  readonly currency: string;
  readonly text: string;
  /** Until when it stands; 30 days unless it is said. */
  readonly valid_days?: number;
}

/** Which cases. @example { state: "open" } */
export interface RemediationQuery extends PageQuery {
  readonly state?: Remediation["state"];
}

/** The calls of a marketplace about remediations. */
export interface RemediationCalls {
  readonly listRemediations: (query?: RemediationQuery) => Promise<Answer<Page<Remediation>>>;
  readonly listRemediationMessages: (caseId: string, query?: PageQuery) => Promise<Answer<Page<RemediationMessage>>>;
  readonly sendRemediationMessage: (caseId: string, text: string) => Promise<Answer<RemediationMessage>>;
  /** Takes the place of an offer that stands. */
  readonly offerRemediation: (caseId: string, offer: NewOffer) => Promise<Answer<RemediationOffer>>;
}

/** Makes the calls of {@link RemediationCalls} for one client. @example remediationCalls(origin, calls).listRemediations() */
export function remediationCalls(origin: string, { call }: Pick<AuthorizedCalls, "call">): RemediationCalls {
  const pathOf = (caseId: string, rest: string): string => `/api/v1/remediations/${encodeURIComponent(caseId)}/${rest}`;
  return {
    listRemediations: (query = {}) =>
      call(
        jsonRequest(origin, { method: "GET", path: "/api/v1/remediations", query: { ...query } }),
        parseRemediations,
      ),
    listRemediationMessages: (caseId, query = {}) =>
      call(
        jsonRequest(origin, { method: "GET", path: pathOf(caseId, "messages"), query: { ...query } }),
        parseMessages,
      ),
    sendRemediationMessage: (caseId, text) =>
      call(jsonRequest(origin, { method: "POST", path: pathOf(caseId, "messages"), body: { text } }), (answer) =>
        parseAnswer(answer, (body) => readShape(MESSAGE, body, "message", "document_invalid")),
      ),
    offerRemediation: (caseId, offer) =>
      call(jsonRequest(origin, { method: "POST", path: pathOf(caseId, "offers"), body: { ...offer } }), (answer) =>
        parseAnswer(answer, (body) => readShape(OFFER, body, "offer", "document_invalid")),
      ),
  };
}

function parseRemediations(answer: ApiAnswer): Answer<Page<Remediation>> {
  return parsePage(answer, "remediations", (entry) => readShape(REMEDIATION, entry, "remediation", "document_invalid"));
}

function parseMessages(answer: ApiAnswer): Answer<Page<RemediationMessage>> {
  return parsePage(answer, "messages", (entry) => readShape(MESSAGE, entry, "message", "document_invalid"));
}
