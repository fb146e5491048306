import { type JsonValue, KEY_PURPOSES, type Result, parseJsonObject } from "@licet/protocol";
import type { Context } from "../context.ts";
import { markCompromised, retireKey } from "../creators/end-key.ts";
import { writeFact } from "../events/write-fact.ts";
import { changeClientState } from "../http/oauth/clients.ts";
import { restoreRevokedKey } from "../keys/restore-key.ts";
import { revokeKey } from "../keys/revoke-key.ts";
import { retireReceiptKey, revokeReceiptKey } from "../marketplaces/end-receipt-key.ts";
import { endUpstream } from "../upstreams/register-upstream.ts";
import type { JournalEvent } from "./read-journal.ts";

const OPERATOR = { kind: "operator" } as const;
const BY_RESTORE = "restore";

/**
 * Ends a key, a client or an upstream again that was ended after the backup. Answers whether that was needed:
 * what is lost needs no end, and what has ended already is refused by the operation itself.
 */
export async function replayCredential(then: Context, event: JournalEvent): Promise<boolean> {
  const operation = OPERATIONS[event.type];
  if (operation === undefined) return false;
  const result = await operation(then, event.body);
  if (result.ok && event.type === "key.revoked") await then.signingKeys.reload();
  return result.ok;
}

type Body = JournalEvent["body"];

const OPERATIONS: Readonly<Record<string, (then: Context, body: Body) => Promise<Result<unknown>>>> = {
  "key.revoked": replayKeyRevocation,
  "creator-key.revoked": (then, body) =>
    writeFact(then, (fact) =>
      markCompromised(fact, { ...creatorKeyOf(body), since: numberOf(body["compromised_since"]) }),
    ),
  "creator-key.retired": (then, body) => retireKey(then, creatorKeyOf(body)),
  "receipt-key.revoked": (then, body) =>
    writeFact(then, (fact) =>
      revokeReceiptKey(fact, { ...receiptKeyOf(body), since: numberOf(body["compromised_since"]) }),
    ),
  "receipt-key.retired": (then, body) => retireReceiptKey(then, receiptKeyOf(body)),
  "client.suspended": (then, body) => changeClientState(then, textOf(body["client_id"]), "suspend"),
  "client.resumed": (then, body) => changeClientState(then, textOf(body["client_id"]), "resume"),
  "client.ended": (then, body) => changeClientState(then, textOf(body["client_id"]), "end"),
  // What it held suspended is in the journal too, and so is whether that was lifted.
  "upstream.ended": (then, body) => endUpstream(then, textOf(body["upstream_id"]), { letsGo: false, by: BY_RESTORE }),
  // The new secret is lost, and the old one may be known to somebody else: nobody uses either until the operator says so.
  "client.credentials-changed": (then, body) => changeClientState(then, textOf(body["client_id"]), "suspend"),
};

/** A key that was made after the backup is lost, and is listed as revoked all the same. */
async function replayKeyRevocation(then: Context, body: Body): Promise<Result<unknown>> {
  const revocation = {
    kid: textOf(body["kid"]),
    compromisedSince: body["compromised"] === true ? numberOf(body["since"]) : undefined,
    by: textOf(body["by"]),
  };
  const revoked = await writeFact(then, (fact) => revokeKey(fact, revocation));
  const purpose = KEY_PURPOSES.find((known) => known === body["purpose"]);
  const publicJwk = parseJsonObject(textOf(body["public_jwk"]));
  if (revoked.ok || revoked.refusal.code !== "not_found" || purpose === undefined || !publicJwk.ok) return revoked;
  const { compromisedSince, by } = revocation;
  const notBefore = numberOf(body["not_before"]);
  const notAfter = numberOf(body["not_after"]);
  return writeFact(then, (fact) =>
    restoreRevokedKey(fact, { publicJwk: publicJwk.value, purpose, notBefore, notAfter, compromisedSince, by }),
  );
}

function creatorKeyOf(body: Body) {
  return { creatorId: textOf(body["creator_id"]), kid: textOf(body["kid"]), principal: OPERATOR };
}

function receiptKeyOf(body: Body) {
  return { marketplaceId: textOf(body["marketplace_id"]), kid: textOf(body["kid"]), principal: OPERATOR };
}

function textOf(value: JsonValue | undefined): string {
  return typeof value === "string" ? value : "";
}

function numberOf(value: JsonValue | undefined): number {
  return typeof value === "number" ? value : 0;
}
