import { type Result, accept, parseSubject, refuse } from "@licet/protocol";
import { findContent } from "../content/lookup.ts";
import type { Trx } from "../db/open-database.ts";

/**
 * A creator can speak for their own works only: asked when a consent is drafted and again when it is
 * accepted. A dataset need not exist yet: consent comes before publication. Refuses `subject_not_signers`.
 */
export async function checkSubject(trx: Trx, text: string, creatorId: string): Promise<Result<true>> {
  const owner = await ownerOf(trx, text, creatorId);
  return owner === creatorId
    ? accept(true)
    : refuse("subject_not_signers", `expected a work of ${creatorId}, got ${text}`);
}

/** In a dataset a consent reaches the signer's own works alone, whoever's the others are. */
async function ownerOf(trx: Trx, text: string, creatorId: string): Promise<string | undefined> {
  const subject = parseSubject(text);
  switch (subject?.kind) {
    case "content":
      return (await findContent(trx, subject.id))?.creator_id;
    case "creator":
      return subject.id;
    case "dataset":
      return creatorId;
    case undefined:
      return undefined;
  }
}
