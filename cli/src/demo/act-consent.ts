import {
  type Algorithm,
  type Modality,
  MODALITIES,
  anyObject,
  modalityOf,
  verifyDocument,
  verifyKeySet,
} from "@licet/protocol";
import { type LicetClient, createClient } from "@licet/sdk";
import { fileURLToPath } from "node:url";
import { claim, orFail } from "../command-error.ts";
import { type ImportedFile, importWorks } from "../import-works.ts";
import { counted, wrap } from "../terminal.ts";
import { readPublic } from "../call-api.ts";
import { type ConsentWish, type Creator, type Draft, draftConsent, enterCreator, signConsent } from "../creator.ts";
import type { Narrator } from "./narrate.ts";
import { type CatalogueCreator, nameOf, readCatalogue } from "./read-catalogue.ts";
import { CATALOGUE, type Stage } from "./start-processes.ts";

/** A creator of the story who has signed, and what the consent is about. */
export interface Consenting extends Creator {
  readonly name: string;
  readonly jti: string;
  readonly contentIds: readonly string[];
}

/** One of the two algorithms each, and the first again. */
const CREATOR_ALGORITHMS = ["EdDSA", "ES256"] as const satisfies readonly Algorithm[];

export function operatorOf({ origin, operatorToken }: Stage): LicetClient {
  return createClient({ origin, token: operatorToken });
}

/** Terms that promise a remediation. */
export const DEMO_LICENSE = "paid_training:1.1";
export const TERMS_PATH = `/terms/${DEMO_LICENSE.replace(":", "/")}`;

/** Keys, terms, creators with keys of their own, their works, and three signatures. */
export async function actConsent(stage: Stage, narrator: Narrator): Promise<readonly Consenting[]> {
  narrator.heading("Consent: three creators sign");
  const catalogue = await readCatalogue();
  const operator = operatorOf(stage);
  const terms = await publishedTerms(stage, narrator);
  const creators = await enterCreators(operator, catalogue, narrator);
  const works = await registerWorks(stage, catalogue, narrator);
  const drafts = await narrator.step(
    () => Promise.all(creators.map((creator) => draftConsent(creator, wishOf(creator)))),
    (made) =>
      `Each is asked for permission to train on their works, and to earn money with it. ${nameAt(catalogue, 0)} reads (${counted(wordsOf(made[0]), "word")} in all):`,
  );
  quoteDraft(drafts[0], narrator);
  claim(
    drafts.every(({ text }) => text.includes(terms.trim())),
    "expected the words shown to the creators to hold the published terms, got others",
  );
  const jtis = await narrator.step(
    () => Promise.all(creators.map((creator, index) => signDraft(creator, drafts[index]))),
    (signed) =>
      `${counted(signed.length, "creator")} signed exactly the words they were shown, each with their own key. Licet checked the signatures and accepted the consents.`,
  );
  return creators.map((creator, index) => ({
    ...creator,
    name: nameAt(catalogue, index),
    jti: jtis[index] ?? "",
    contentIds: works[index] ?? [],
  }));
}

async function publishedTerms({ origin }: Stage, narrator: Narrator): Promise<string> {
  const keys = await narrator.step(
    async () =>
      orFail(
        await verifyKeySet(await readPublic(`${origin}/.well-known/keys.json`, anyObject), origin, nowSeconds()),
        1,
      ),
    (set) =>
      `Licet made ${counted(set.keys.length, "signing key")}, each for one purpose, and published the public halves for anyone to check against.`,
  );
  return narrator.step(
    async () => {
      const document = await readPublic(origin + TERMS_PATH, anyObject);
      orFail(await verifyDocument(document, { type: "terms", keys, madeAt: nowSeconds() }), 1);
      const { text } = document;
      claim(
        typeof text === "string" && text !== "",
        `expected terms with a text at ${TERMS_PATH}, got ${JSON.stringify(text)}`,
      );
      return text;
    },
    () => "The terms a creator agrees to are public too, signed, and never change under their version.",
  );
}

function enterCreators(
  operator: LicetClient,
  catalogue: readonly CatalogueCreator[],
  narrator: Narrator,
): Promise<readonly Creator[]> {
  return narrator.step(
    () =>
      Promise.all(
        catalogue.map(({ creator_id }, index) =>
          enterCreator(operator, creator_id, CREATOR_ALGORITHMS[index % CREATOR_ALGORITHMS.length] ?? "EdDSA"),
        ),
      ),
    () =>
      `${listed(catalogue.map(nameOf))}, whom Licet knows only as ${listed(catalogue.map(({ creator_id }) => creator_id))}, each made a key on their own device and proved to hold it. The private half stays with them.`,
  );
}

/** Registers the works with the very code of `licet import`; answers the content ids of each creator. */
async function registerWorks(
  stage: Stage,
  catalogue: readonly CatalogueCreator[],
  narrator: Narrator,
): Promise<readonly (readonly string[])[]> {
  const client = operatorOf(stage);
  const imported = await narrator.step(
    async () => {
      const files: (readonly ImportedFile[])[] = [];
      for (const creator of catalogue) files.push(await importFolderOf(stage, client, creator));
      return files;
    },
    (files) =>
      `${counted(files.flat().length, "work")} are on record: ${listed(modalityCounts(files.flat()))}. Licet keeps a fingerprint of each, where it is and whose it is; the works stay on the platform.`,
  );
  return imported.map((files) => files.flatMap(({ record }) => (record === undefined ? [] : [record.content_id])));
}

async function importFolderOf(
  { platform }: Stage,
  client: LicetClient,
  { creator_id, folder, works }: CatalogueCreator,
): Promise<readonly ImportedFile[]> {
  const dates = new Map(works.map(({ file, created_at }) => [file, created_at]));
  const files = await importWorks(
    {
      folder: fileURLToPath(new URL(`${folder}/`, CATALOGUE)),
      creatorId: creator_id,
      baseUrl: `${platform}/works/${folder}/`,
      createdAtOf: (path) => dates.get(path),
    },
    { client },
  );
  const failed = files.find(({ status }) => status !== "created");
  claim(
    failed === undefined,
    `expected every work of ${creator_id} to be added, got ${failed?.relativePath}: ${failed?.status} ${failed?.reason ?? ""}`,
  );
  claim(files.length === works.length, `expected ${works.length} works of ${creator_id}, got ${files.length}`);
  return files;
}

const MODALITY_NOUNS: Record<Modality, string> = {
  text: "text",
  audio: "sound recording",
  image: "picture",
  video: "video",
};

function modalityCounts(files: readonly ImportedFile[]): readonly string[] {
  const modalities = files.map(({ record }) => modalityOf(record?.mime_type ?? ""));
  return MODALITIES.map((modality) => ({ modality, count: modalities.filter((found) => found === modality).length }))
    .filter(({ count }) => count > 0)
    .map(({ modality, count }) => counted(count, MODALITY_NOUNS[modality]));
}

const CONSENT_DAYS = 365;

function wishOf({ creatorId }: Creator): ConsentWish {
  return {
    subject: `creator:${creatorId}`,
    scope: ["training", "commercial"],
    license: DEMO_LICENSE,
    price_floor: "per-token:0.00005",
    duration_days: CONSENT_DAYS,
  };
}

async function signDraft(creator: Creator, draft: Draft | undefined): Promise<string> {
  claim(draft !== undefined, `expected a draft for ${creator.creatorId}, got none`);
  return signConsent(creator, draft);
}

const SHOWN_TERMS = 2;
const LIST_ENTRY = /^(- |\d+\. )/;

/** The words in full, up to the terms, of which the first few are enough here. */
function quoteDraft(draft: Draft | undefined, narrator: Narrator): void {
  const lines = (draft?.text ?? "").trimEnd().split("\n");
  const termsAt = lines.findIndex((line) => line.startsWith("THE TERMS"));
  const shown = lines.slice(0, termsAt + 2 + SHOWN_TERMS);
  const more = lines.length - shown.length;
  const wrapped = [...shown, `… and ${counted(more, "more term")}.`].map((line) =>
    wrap(line, { width: narrator.columns - 2, indent: LIST_ENTRY.exec(line)?.[0].replace(/./g, " ") ?? "" }),
  );
  narrator.quote(
    wrapped
      .join("\n")
      .split("\n")
      .map((line) => `│ ${line}`.trimEnd())
      .join("\n"),
  );
}

function wordsOf(draft: Draft | undefined): number {
  return (draft?.text ?? "").split(/\s+/).length;
}

function nameAt(catalogue: readonly CatalogueCreator[], index: number): string {
  const creator = catalogue[index];
  return creator === undefined ? "" : nameOf(creator);
}

/** `a, b and c`. */
function listed(parts: readonly string[]): string {
  return parts.length < 2 ? parts.join("") : `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`;
}

function nowSeconds(): number {
  return Math.floor(Date.now() / 1_000);
}
