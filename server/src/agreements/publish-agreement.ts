import { type Result, accept, cacheTags, refuse, sha256Hex } from "@licet/protocol";
import type { Context } from "../context.ts";
import { documentPaths } from "../documents/document-paths.ts";
import { type Fact, writeFact } from "../events/write-fact.ts";
import { BUILT_IN_AGREEMENT } from "./built-in-agreement.ts";
import { type AgreementRow, findAgreement, findNewestAgreement, insertAgreement } from "./store.ts";

export interface AgreementText {
  /** `marketplace:1.0` */
  readonly agreement: string;
  readonly title: string;
  readonly text: string;
}

/** Publishes the agreement that comes with the server, once. */
export async function publishBuiltInAgreement(ctx: Context): Promise<void> {
  if ((await findAgreement(ctx.db, BUILT_IN_AGREEMENT.agreement)) !== undefined) return;
  await writeFact(ctx, async (fact) => accept(await writeAgreement(fact, BUILT_IN_AGREEMENT, "server")));
}

/**
 * Publishes a version of an agreement: from now on nobody gets a license, or has one renewed, who has
 * not accepted it. A version never changes. Refuses `already_exists`, and `conflict` when a newer
 * version is there.
 */
export async function publishAgreement(ctx: Context, text: AgreementText, by: string): Promise<Result<AgreementRow>> {
  return writeFact(ctx, async (fact) => {
    const { name, major, minor } = numberOf(text.agreement);
    const published = refuse("already_exists", `${text.agreement} was published before, and a version never changes`);
    if ((await findAgreement(fact.trx, text.agreement)) !== undefined) return published;
    const newest = await findNewestAgreement(fact.trx, name);
    if (newest !== undefined && (newest.major > major || (newest.major === major && newest.minor > minor)))
      return refuse("conflict", `agreement: expected a version after ${newest.agreement}, got ${text.agreement}`);
    const row = await writeAgreement(fact, text, by);
    return row === undefined ? published : accept(row);
  });
}

/** Answers undefined when somebody else publishes the version at the same time. */
async function writeAgreement(
  fact: Fact,
  { agreement, title, text }: AgreementText,
  by: string,
): Promise<AgreementRow | undefined> {
  const sha256 = sha256Hex(text);
  const row = { agreement, ...numberOf(agreement), title, body: text, sha256, published_at: fact.now };
  if (!(await insertAgreement(fact.trx, row))) return undefined;
  fact.record({ type: "agreement.published", aggregate: agreement, body: { agreement, sha256, by } });
  fact.publish(documentPaths.agreement(agreement), async () => ({
    kind: "agreement",
    content: { agreement, title, text, sha256 },
    tags: [cacheTags.all, cacheTags.agreements],
  }));
  return row;
}

/** The parts of `marketplace:1.0`, which its schema has checked. */
function numberOf(agreement: string): Pick<AgreementRow, "name" | "major" | "minor"> {
  const [name = "", version = ""] = agreement.split(":");
  const [major, minor] = version.split(".").map(Number);
  return { name, major: major ?? 0, minor: minor ?? 0 };
}
