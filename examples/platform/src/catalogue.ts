import { lstat, readFile } from "node:fs/promises";
import { extname, join } from "node:path";

const MAX_CATALOGUE_BYTES = 1024 * 1024;
const MAX_CREATORS = 1000;
const MAX_WORKS_PER_CREATOR = 1000;
const MAX_TITLE_LENGTH = 200;
/** A text work is shown whole on its page, so it has to fit in memory comfortably. */
const MAX_TEXT_BYTES = 256 * 1024;

const CREATOR_ID = /^(?=.{1,128}$)[A-Za-z0-9][A-Za-z0-9_~:-]*(\.[A-Za-z0-9_~:-]+)*$/;
const FOLDER = /^[a-z0-9](-?[a-z0-9]){0,63}$/;
const FILE = /^[a-z0-9](-?[a-z0-9]){0,63}\.[a-z0-9]{2,4}$/;
const DATE_TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$/;

const MEDIA_TYPES = {
  ".md": ["text", "text/markdown; charset=utf-8"],
  ".txt": ["text", "text/plain; charset=utf-8"],
  ".png": ["image", "image/png"],
  ".jpg": ["image", "image/jpeg"],
  ".webp": ["image", "image/webp"],
  ".mp3": ["audio", "audio/mpeg"],
  ".ogg": ["audio", "audio/ogg"],
  ".wav": ["audio", "audio/wav"],
  ".flac": ["audio", "audio/flac"],
  ".mp4": ["video", "video/mp4"],
  ".webm": ["video", "video/webm"],
} as const satisfies Record<string, readonly [Modality, string]>;

export type Modality = "text" | "image" | "audio" | "video";

export interface Work {
  readonly folder: string;
  readonly file: string;
  /** The file name without its extension; unique in its folder, names the work's page. */
  readonly slug: string;
  readonly title: string;
  /** RFC 3339, UTC, whole seconds. */
  readonly createdAt: string;
  readonly modality: Modality;
  readonly contentType: string;
  /** Size when the catalogue was read. */
  readonly byteLength: number;
  /** Where the bytes are on disk. */
  readonly diskPath: string;
}

export interface Creator {
  /** A pseudonym: never a name, handle or e-mail. */
  readonly creatorId: string;
  readonly folder: string;
  readonly display: string;
  readonly works: readonly Work[];
}

export interface Catalogue {
  readonly creators: readonly Creator[];
}

/**
 * Reads `catalogue.json` in `root` and looks at every file it names.
 * Throws an Error that says where the catalogue is wrong, what was expected and what came:
 * names that are not plain lower-case names, missing, empty or linked files, unknown
 * extensions, duplicates.
 *
 * @example
 * const catalogue = await readCatalogue("/srv/catalogue");
 * catalogue.creators[0]?.works[0]?.title;
 */
export async function readCatalogue(root: string): Promise<Catalogue> {
  const document = readObject(await readJson(join(root, "catalogue.json")), "catalogue");
  const entries = readArray(document.creators, "creators", MAX_CREATORS);
  const creators: Creator[] = [];
  for (const [index, entry] of entries.entries()) {
    creators.push(await readCreator(root, entry, `creators[${index}]`));
  }
  refuseDuplicates(
    creators.map((creator) => creator.folder),
    "creators: folder",
  );
  refuseDuplicates(
    creators.map((creator) => creator.creatorId.toLowerCase()),
    "creators: creator_id",
  );
  return { creators };
}

/** The stable address of a work's bytes. */
export function workPath(work: Pick<Work, "folder" | "file">): string {
  return `/works/${work.folder}/${work.file}`;
}

/** The address of the page about a work. */
export function pagePath(work: Pick<Work, "folder" | "slug">): string {
  return `/watch/${work.folder}/${work.slug}`;
}

async function readCreator(root: string, entry: unknown, at: string): Promise<Creator> {
  const object = readObject(entry, at);
  const folder = readMatch(object.folder, `${at}.folder`, FOLDER, "a lower-case name such as ana-field-recordings");
  const stats = await lstat(join(root, folder)).catch(() => undefined);
  if (!stats?.isDirectory()) throw wrong(`${at}.folder`, "a folder beside catalogue.json", folder);

  const works: Work[] = [];
  for (const [index, work] of readArray(object.works, `${at}.works`, MAX_WORKS_PER_CREATOR).entries()) {
    works.push(await readWork(root, folder, work, `${at}.works[${index}]`));
  }
  refuseDuplicates(
    works.map((work) => work.slug),
    `${at}.works: file name without its extension`,
  );
  return {
    creatorId: readMatch(object.creator_id, `${at}.creator_id`, CREATOR_ID, "a pseudonym such as user:1001"),
    folder,
    display: readTitle(object.display, `${at}.display`),
    works,
  };
}

async function readWork(root: string, folder: string, entry: unknown, at: string): Promise<Work> {
  const object = readObject(entry, at);
  const file = readMatch(object.file, `${at}.file`, FILE, "a lower-case file name such as low-tide.webp");
  const extension = extname(file);
  if (!isKnownExtension(extension)) {
    throw wrong(`${at}.file`, `an extension out of ${Object.keys(MEDIA_TYPES).join(" ")}`, extension);
  }
  const [modality, contentType] = MEDIA_TYPES[extension];
  const diskPath = join(root, folder, file);
  const stats = await lstat(diskPath).catch(() => undefined);
  if (!stats?.isFile()) throw wrong(`${at}.file`, `a regular file in ${folder}`, file);
  if (stats.size === 0) throw wrong(`${at}.file`, "a file with at least one byte", file);
  if (modality === "text" && stats.size > MAX_TEXT_BYTES) {
    throw wrong(`${at}.file`, `a text of at most ${MAX_TEXT_BYTES} bytes`, stats.size);
  }
  return {
    folder,
    file,
    slug: file.slice(0, -extension.length),
    title: readTitle(object.title, `${at}.title`),
    createdAt: readDateTime(object.created_at, `${at}.created_at`),
    modality,
    contentType,
    byteLength: stats.size,
    diskPath,
  };
}

async function readJson(path: string): Promise<unknown> {
  const stats = await lstat(path).catch(() => undefined);
  if (!stats?.isFile()) throw new Error(`catalogue: expected a file at ${path}`);
  if (stats.size > MAX_CATALOGUE_BYTES) {
    throw wrong(path, `at most ${MAX_CATALOGUE_BYTES} bytes`, stats.size);
  }
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw new Error(`catalogue: ${path}: expected JSON`, { cause });
  }
}

function readObject(value: unknown, at: string): Record<string, unknown> {
  if (!isObject(value)) throw wrong(at, "an object", value);
  return value;
}

function readArray(value: unknown, at: string, maxLength: number): readonly unknown[] {
  if (!Array.isArray(value)) throw wrong(at, "an array", value);
  if (value.length > maxLength) throw wrong(at, `at most ${maxLength} entries`, value.length);
  return value;
}

function readMatch(value: unknown, at: string, pattern: RegExp, expected: string): string {
  if (typeof value !== "string" || !pattern.test(value)) throw wrong(at, expected, value);
  return value;
}

function readTitle(value: unknown, at: string): string {
  if (typeof value !== "string" || value.trim() === "" || value.length > MAX_TITLE_LENGTH) {
    throw wrong(at, `1 to ${MAX_TITLE_LENGTH} characters`, value);
  }
  return value;
}

function readDateTime(value: unknown, at: string): string {
  const text = readMatch(value, at, DATE_TIME, "a time such as 2025-04-12T04:41:00Z");
  const time = new Date(text);
  // Date rolls 30 February over into March instead of refusing it.
  if (Number.isNaN(time.getTime()) || !time.toISOString().startsWith(text.slice(0, -1))) {
    throw wrong(at, "a time that exists", value);
  }
  return text;
}

function refuseDuplicates(values: readonly string[], at: string): void {
  const seen = new Set<string>();
  for (const value of values) {
    if (seen.has(value)) throw wrong(at, "no duplicates", value);
    seen.add(value);
  }
}

function isKnownExtension(extension: string): extension is keyof typeof MEDIA_TYPES {
  return Object.hasOwn(MEDIA_TYPES, extension);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function wrong(at: string, expected: string, came: unknown): Error {
  const shown = JSON.stringify(came) ?? "nothing";
  return new Error(`catalogue: ${at}: expected ${expected}, got ${shown.slice(0, 120)}`);
}
