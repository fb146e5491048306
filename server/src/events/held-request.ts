import type { Result } from "@licet/protocol";
import { AsyncLocalStorage } from "node:async_hooks";
import type { Trx } from "../db/open-database.ts";

/**
 * Writes, in the transaction of a fact, that its request is carried out, unless the fact records no
 * event and so only prepares; refuses when somebody else is at it by now.
 */
export type CarriedOutMark = (trx: Trx, fact: { readonly hasEvents: boolean }) => Promise<Result<true>>;

const requests = new AsyncLocalStorage<CarriedOutMark>();

/** Does something for a request that is carried out once: every fact it writes is marked as its own. */
export function carryOutOnce<T>(mark: CarriedOutMark, work: () => Promise<T>): Promise<T> {
  return requests.run(mark, work);
}

/** The mark of the request on whose behalf this runs; undefined when nobody asked for it to be done once. */
export function carriedOutMark(): CarriedOutMark | undefined {
  return requests.getStore();
}
