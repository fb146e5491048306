import {
  ALGORITHMS,
  type Algorithm,
  type JsonObject,
  SCOPE_TABLE,
  isQualifiedIdentifier,
  parsePrice,
} from "@licet/protocol";
import { type LicetClient, createClient } from "@licet/sdk";
import { input } from "@inquirer/prompts";
import { resolve } from "node:path";
import { CommandError, type ExitCode, orFail } from "./command-error.ts";
import { type Draft, creatorWith, draftConsent, enrolKey, isEnrolled, openSession, signConsent } from "./creator.ts";
import { createOwnClient } from "./credentials.ts";
import { bodyOf } from "./call-api.ts";
import { openKeyFile } from "./key-file.ts";
import type { Settings } from "./settings.ts";
import { type Terminal, printable, wrap } from "./terminal.ts";

export interface ConsentFlags {
  readonly creator: string;
  readonly key: string;
  readonly scope: string;
  readonly priceFloor: string;
  readonly days: string;
  readonly subject?: string;
  readonly license?: string;
  readonly audience?: string;
  readonly prohibit?: string;
  readonly futureWorks?: true;
  readonly language?: string;
  readonly alg: string;
  readonly yes?: true;
  readonly origin?: string;
  readonly token?: string;
  readonly json?: true;
}

interface Surroundings {
  readonly settings: Settings;
  readonly terminal: Terminal;
}

/** A creator's own session needs no other: it is used as it is. */
const CREATOR_TOKEN = /^licet_cr_/;
const SCOPES = "sessions:write creators:read";

/**
 * `licet consent`: drafts a consent, shows its words, and once whoever sits there types yes signs
 * exactly these with the creator's own key and hands it in. Ends with 0 when the consent stands, 1
 * when it was declined or refused, 2 when it could not be tried.
 */
export async function consent(flags: ConsentFlags, { settings, terminal }: Surroundings): Promise<ExitCode> {
  const wish = readWish(flags);
  const alg = readAlgorithm(flags.alg);
  if (flags.yes !== true && !process.stdin.isTTY)
    throw new CommandError(
      "expected somebody to read the words and type yes (or --yes, once the creator has read them elsewhere)",
    );
  const client = await sessionOf(flags, settings);
  const { jwk, isNew } = await openKeyFile(resolve(settings.workingFolder, flags.key), alg);
  const creator = await creatorWith(client, flags.creator, jwk);
  if (isNew || !(await isEnrolled(creator))) {
    await enrolKey(creator);
    terminal.note(`${flags.key} has ${isNew ? "a new" : "the"} key of ${flags.creator}, which the server now knows.`);
  }
  const draft = await draftConsent(creator, { ...wish, kid: creator.signer.kid });
  if (flags.json !== true) terminal.print(wordsOf(draft, terminal));
  if (flags.yes !== true && !(await isAgreed())) {
    terminal.note("Nothing was signed. What was shown ends by itself within minutes.");
    return 1;
  }
  const jti = await signConsent(creator, draft);
  if (flags.json === true) terminal.print(JSON.stringify({ jti, creator_id: flags.creator, claims: draft.claims }));
  else terminal.print(accepted(jti, settings, terminal));
  return 0;
}

function readWish(flags: ConsentFlags): JsonObject {
  const { creator, subject, priceFloor, license, audience, prohibit, language, futureWorks } = flags;
  if (!isQualifiedIdentifier(creator))
    throw new CommandError(`--creator: expected at most 128 letters, digits and : . _ ~ -, got ${printable(creator)}`);
  if (!/^\d{1,4}$/.test(flags.days))
    throw new CommandError(`--days: expected a whole number such as 365, got ${printable(flags.days)}`);
  const allowed = entriesOf(flags.scope);
  const unknown = allowed.filter((entry) => !SCOPE_TABLE.has(entry));
  if (unknown.length > 0)
    throw new CommandError(
      `--scope: expected entries of ${[...SCOPE_TABLE.keys()].join(", ")}, got ${printable(unknown.join(", "))}`,
    );
  if (parsePrice(priceFloor) === undefined)
    throw new CommandError(`--price-floor: expected a price such as per-token:0.0001, got ${printable(priceFloor)}`);
  return bodyOf({
    subject: subject ?? `creator:${creator}`,
    scope: allowed,
    price_floor: priceFloor,
    duration_days: Number(flags.days),
    license,
    audience: entriesOf(audience),
    prohibitions: entriesOf(prohibit),
    future_works: futureWorks,
    language,
  });
}

function entriesOf(text: string): string[];
function entriesOf(text: string | undefined): string[] | undefined;
function entriesOf(text: string | undefined): string[] | undefined {
  return text?.split(",").map((entry) => entry.trim());
}

function readAlgorithm(text: string): Algorithm {
  const alg = ALGORITHMS.find((known) => known === text);
  if (alg === undefined) throw new CommandError(`--alg: expected ${ALGORITHMS.join(" or ")}, got ${printable(text)}`);
  return alg;
}

/** A session of the creator: the one we were given, or one that the operator's token opens. */
async function sessionOf(flags: ConsentFlags, settings: Settings): Promise<LicetClient> {
  const client = createOwnClient(settings, flags, SCOPES);
  if (CREATOR_TOKEN.test(flags.token ?? settings.token ?? "")) return client;
  const path = `/api/v1/creators/${encodeURIComponent(flags.creator)}`;
  const found = await client.sendJson({ method: "GET", path });
  if (!found.ok && found.refusal.status === 404)
    throw new CommandError(
      `expected a registered creator, got ${flags.creator}, whom ${client.origin} does not know: licet import --register registers them with their works`,
    );
  orFail(found);
  return createClient({ origin: client.origin, token: await openSession(client, flags.creator) });
}

const LIST_ENTRY = /^(- |\d+\. )/;

function wordsOf({ text }: Draft, { columns }: Terminal): string {
  const lines = text.trimEnd().split("\n").map(lineOf);
  return lines
    .map((line) => wrap(line, { width: columns, indent: LIST_ENTRY.exec(line)?.[0].replace(/./g, " ") ?? "" }))
    .join("\n");
}

/** The words keep their indentation, and nothing in them steers the terminal. */
function lineOf(line: string): string {
  return line.slice(0, line.length - line.trimStart().length) + printable(line.trimStart());
}

async function isAgreed(): Promise<boolean> {
  const answer = await input({ message: "Type yes to sign exactly these words, anything else to leave it:" });
  return answer.trim().toLowerCase() === "yes";
}

function accepted(jti: string, { commandName }: Settings, { paint }: Terminal): string {
  return [
    "",
    `${paint("green", "✓")} Signed and accepted: the consent ${paint("bold", jti)} stands.`,
    `  ${commandName} revoke ${jti} takes it back.`,
  ].join("\n");
}
