import { type Result, accept, refuse } from "@licet/protocol";
import { type Principal, isPlatform } from "../http/principal.ts";

/** Refuses (`not_yours`) a creator who reaches for what is another's; the platform acts for all. */
export function requireOwn(principal: Principal, creatorId: string): Result<true> {
  if (isPlatform(principal) || (principal.kind === "creator" && principal.creatorId === creatorId)) return accept(true);
  return refuse("not_yours", "expected a session of the creator it belongs to");
}

/** The creator a list is narrowed to: the caller, whatever was asked; or the one the platform asks for. Refuses `not_yours`. */
export function narrowToOwn(principal: Principal, asked: string | undefined): Result<string | undefined> {
  if (principal.kind !== "creator") return accept(asked);
  return asked === undefined || asked === principal.creatorId
    ? accept(principal.creatorId)
    : refuse("not_yours", "expected creator_id to be your own");
}
