import { accept, cacheTags, sha256Hex } from "@licet/protocol";
import type { Context } from "../context.ts";
import { documentPaths } from "../documents/document-paths.ts";
import type { DocumentContent } from "../documents/render-document.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { BUILT_IN_TERMS, DEFAULT_LANGUAGE, type TermsText } from "./built-in-terms.ts";
import { findTerms, insertTerms } from "./store.ts";

/** Publishes the terms that come with the server, once. A version of terms never changes. */
export async function publishBuiltInTerms(ctx: Context): Promise<void> {
  for (const terms of BUILT_IN_TERMS) {
    if ((await findTerms(ctx.db, terms.license, terms.language)) !== undefined) continue;
    await writeFact(ctx, async (fact) => {
      await publishTerms(fact, terms);
      return accept(undefined);
    });
  }
}

async function publishTerms(fact: Fact, terms: TermsText): Promise<void> {
  const { license, language, body, promises } = terms;
  const isDefault = language === DEFAULT_LANGUAGE;
  const sha256 = sha256Hex(body);
  await insertTerms(fact.trx, {
    license,
    language,
    body,
    sha256,
    is_default: isDefault,
    published_at: fact.now,
    promises: promises.join(" "),
  });
  fact.record({ type: "terms.published", aggregate: `${license}/${language}`, body: { license, language, sha256 } });
  const render = async (): Promise<DocumentContent> => ({
    kind: "terms",
    content: {
      license,
      language,
      title: terms.title,
      text: body,
      sha256,
      ...(promises.length === 0 ? {} : { promises: [...promises] }),
    },
    tags: [cacheTags.all, cacheTags.terms],
  });
  fact.publish(documentPaths.terms(license, language), render);
  if (isDefault) fact.publish(documentPaths.terms(license), render);
}
