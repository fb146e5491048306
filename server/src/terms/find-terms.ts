import { type Result, accept, refuse } from "@licet/protocol";
import type { Trx } from "../db/open-database.ts";
import { DEFAULT_LANGUAGE } from "./built-in-terms.ts";
import { findTerms, languagesOf } from "./store.ts";

/** The text of a license's terms in a language. Refuses (`input_invalid`) what was never published, and names what was. */
export async function requireTerms(trx: Trx, license: string, language = DEFAULT_LANGUAGE): Promise<Result<string>> {
  const terms = await findTerms(trx, license, language);
  if (terms !== undefined) return accept(terms.body);
  const languages = await languagesOf(trx, license);
  return languages.length === 0
    ? refuse("input_invalid", `license: expected a license whose terms are published, got ${license}`)
    : refuse("input_invalid", `language: expected one of ${languages.join(", ")}, got ${language}`);
}
