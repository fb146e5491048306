import { readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path/posix";
import { parseSync, Visitor } from "oxc-parser";
import { describe, expect, test } from "vitest";

/**
 * The layout and its limits, as a test. The matrix is a literal: a folder that is not in it fails.
 * Widening a row, or a limit, is a change of the design and comes with one.
 */
const ROOT = new URL("../", import.meta.url);

/** The slices in their order: each may call operations of the ones before it. */
const SLICES = [
  "keys",
  "status-lists",
  "terms",
  "creators",
  "content",
  "consents",
  "marketplaces",
  "datasets",
  "ledger",
  "agreements",
  "licenses",
  "signals",
  "receipts",
  "invoices",
  "payouts",
  "models",
  "remediations",
  "revocations",
  "upstreams",
  "webhooks",
  "purges",
  "propagation",
  "feed",
  "interactions",
  "edges",
  "analytics",
  "reconciliation",
  "backups",
];
const PLUMBING = ["http", "db", "jobs", "events", "documents", "telemetry"];

/** Which of our own folders and node:* each folder's files may import; npm packages are free but for protocol. */
const MATRIX: Readonly<
  Record<
    string,
    {
      readonly own: readonly string[];
      /** True for every file, or the files that alone may. */
      readonly node: boolean | readonly string[];
      readonly packages?: readonly string[];
    }
  >
> = {
  protocol: { own: ["protocol"], node: false, packages: ["jose", "@noble/hashes"] },
  server: { own: ["server", "protocol"], node: true },
  edge: { own: ["edge", "protocol"], node: ["edge/src/node.ts", "edge/src/node-fetch.ts", "edge/src/main.ts"] },
  sdk: { own: ["sdk", "protocol"], node: false },
  marketplace: { own: ["marketplace", "sdk", "protocol"], node: true },
  cli: { own: ["cli", "sdk", "protocol"], node: true },
  examples: { own: ["examples", "edge", "sdk", "protocol"], node: true },
  bench: { own: ["bench", "test", "protocol", "server", "edge", "sdk"], node: true },
  test: { own: ["test", "protocol", "server", "edge", "sdk", "marketplace", "cli", "examples"], node: true },
};

const LIMITS = { sourceLines: 400, testLines: 600, functionLines: 70 };
const BANNED_FILE_NAMES: Readonly<Record<string, string>> = {
  utils: "the noun it is about",
  util: "the noun it is about",
  helpers: "the noun it is about",
  helper: "the noun it is about",
  common: "the folder of whoever owns it",
  shared: "the folder of whoever owns it",
  misc: "the noun it is about",
  manager: "what it does, as verb-noun",
  service: "what it does, as verb-noun",
  repository: "store",
};
const BANNED_TYPE_ENDINGS: Readonly<Record<string, string>> = {
  Manager: "the noun it keeps",
  Service: "the operation's verb-noun",
  Repository: "store.ts",
  Helper: "the noun it is about",
  Util: "the noun it is about",
  Utils: "the noun it is about",
  Impl: "the interface itself",
};
const BANNED_WORDS: Readonly<Record<string, string>> = {
  "vi\\.mock": "a real counterpart",
  "toHaveBeenCalled\\w*": "what the world sees",
  "as any": "a narrower type",
  "as unknown as": "a narrower type",
  "@ts-ignore": "a correct type",
  "@ts-expect-error": "a correct type",
};

interface SourceFile {
  readonly path: string;
  readonly text: string;
  readonly isTest: boolean;
}

const files = readdirSync(ROOT, { recursive: true, encoding: "utf8" })
  .filter((path) => /\.(ts|tsx|mts)$/.test(path) && !/(^|\/)(node_modules|dist)\//.test(path))
  .map((path): SourceFile => ({
    path,
    text: readFileSync(new URL(path, ROOT), "utf8"),
    isTest: path.endsWith(".test.ts") || path.startsWith("test/") || /\/testing\//.test(path),
  }));

describe("the import matrix", () => {
  test("names every top folder that holds source", () => {
    const folders = new Set(files.filter(({ path }) => path.includes("/")).map(({ path }) => topOf(path)));
    expect([...folders].filter((folder) => !Object.hasOwn(MATRIX, folder))).toEqual([]);
  });

  test("lets the command line say what it takes without what its commands need", () => {
    expect(new Set(packagesAtStart("cli/src/main.ts"))).toEqual(new Set(["commander"]));
  });

  test("is kept by every import", () => {
    expect(files.filter(({ path }) => path.includes("/")).flatMap(wrongImports)).toEqual([]);
  });

  test("lets a slice call operations of slices to its left, never another's store or routes", () => {
    expect(
      files.filter(({ path, isTest }) => path.startsWith("server/src/") && !isTest).flatMap(wrongSliceImports),
    ).toEqual([]);
  });

  test("knows every folder of the server", () => {
    const folders = new Set(files.flatMap(({ path }) => /^server\/src\/([^/]+)\//.exec(path)?.[1] ?? []));
    expect([...folders].filter((folder) => !SLICES.includes(folder) && !PLUMBING.includes(folder))).toEqual([]);
  });
});

describe("purity", () => {
  test("keeps clocks, randomness, environment and fetch out of the protocol", () => {
    const impure =
      /\b(Date\.now|new Date\(\)|Math\.random|performance\.now|getRandomValues|randomUUID|process\.|fetch\(|globalThis)/;
    expect(
      files
        .filter(({ path, isTest, text }) => path.startsWith("protocol/src/") && !isTest && impure.test(text))
        .map(({ path }) => path),
    ).toEqual([]);
  });

  test("reads the environment in one file of each program", () => {
    const readers = files.filter(({ isTest, text }) => !isTest && /process\.env/.test(text)).map(({ path }) => path);
    const allowed =
      /^(vitest\.config\.ts|bench\/main\.ts|examples\/webhook-receivers\/.+\.ts|[a-z/]+\/src\/(main|config|settings)\.ts)$/;
    expect(readers.filter((path) => !allowed.test(path))).toEqual([]);
  });

  test("lets every outbound request of the server through one function", () => {
    const calls = /\bfetch\(|from "undici"|\b(http|https|net|tls)\.(request|get|connect)\(/;
    expect(
      files
        .filter(({ path, isTest, text }) => path.startsWith("server/src/") && !isTest && calls.test(text))
        .map(({ path }) => path),
    ).toEqual(["server/src/http/outbound.ts", "server/src/http/pinned-connection.ts"]);
  });
});

describe("limits", () => {
  test("keep files short", () => {
    const long = files.filter(
      ({ text, isTest }) => text.split("\n").length - 1 > (isTest ? LIMITS.testLines : LIMITS.sourceLines),
    );
    expect(long.map(({ path, text }) => `${path}: ${text.split("\n").length - 1} lines`)).toEqual([]);
  });

  test("keep functions short", () => {
    expect(files.filter(({ isTest }) => !isTest).flatMap(longFunctions)).toEqual([]);
  });
});

describe("names", () => {
  test("of files say what is in them", () => {
    expect(files.flatMap(({ path }) => wrongFileName(path))).toEqual([]);
  });

  test("of types say what they are", () => {
    expect(files.flatMap(wrongTypeNames)).toEqual([]);
  });

  test("and words that silence a check are not used", () => {
    const found = files
      .filter(({ path }) => path !== "test/tidy.test.ts")
      .flatMap(({ path, text }) =>
        Object.entries(BANNED_WORDS).flatMap(([word, better]) =>
          new RegExp(`${word}\\b`).test(text) ? [`${path}: ${word}; better: ${better}`] : [],
        ),
      );
    expect(found).toEqual([]);
  });
});

test("the lock file holds every platform of every native tool", () => {
  const lock = readFileSync(new URL("package-lock.json", ROOT), "utf8");
  const linux = [...lock.matchAll(/"node_modules\/((?:@[^/"]+\/)?[^"]*linux-x64[^"]*)": \{/g)]
    .map((match) => match[1] ?? "")
    .filter((name) => !name.includes("musl") && !name.startsWith("node-"));
  const missing = linux.filter(
    (name) =>
      !lock.includes(
        `"node_modules/${name
          .replace("linux-x64-gnu", "darwin-arm64")
          .replace("linux-x64", "darwin-arm64")
          .replace(/workerd-linux-64/, "workerd-darwin-arm64")}"`,
      ),
  );
  expect(linux.length).toBeGreaterThan(5);
  expect(missing).toEqual([]);
});

function topOf(path: string): string {
  return path.slice(0, path.indexOf("/"));
}

function importsOf({ path, text }: SourceFile): readonly string[] {
  const { module, program } = parseSync(path, text);
  const dynamic: string[] = [];
  new Visitor({
    ImportExpression(node) {
      if (node.source.type === "Literal" && typeof node.source.value === "string") dynamic.push(node.source.value);
    },
  }).visit(program);
  const exports = module.staticExports.flatMap(({ entries }) =>
    entries.flatMap(({ moduleRequest }) => (moduleRequest === null ? [] : [moduleRequest.value])),
  );
  return [...module.staticImports.map(({ moduleRequest }) => moduleRequest.value), ...exports, ...dynamic];
}

/** The packages that a file needs before it can begin, by way of our own files too. */
function packagesAtStart(path: string, seen = new Set<string>()): readonly string[] {
  if (seen.has(path)) return [];
  seen.add(path);
  const { program } = parseSync(path, readFileSync(new URL(path, ROOT), "utf8"));
  return program.body.flatMap((statement) => {
    const isImport = statement.type === "ImportDeclaration" && statement.importKind !== "type";
    const isExport =
      (statement.type === "ExportNamedDeclaration" || statement.type === "ExportAllDeclaration") &&
      statement.exportKind !== "type";
    const from = isImport || isExport ? statement.source?.value : undefined;
    if (from === undefined || from.startsWith("node:")) return [];
    return from.startsWith(".") ? packagesAtStart(join(dirname(path), from), seen) : [from];
  });
}

/** Our own folder that a specifier leads to, `node`, or `npm:<package>`. */
function targetOf(path: string, specifier: string): string {
  if (specifier.startsWith("node:")) return "node";
  if (specifier.startsWith(".")) return topOf(new URL(specifier, new URL(path, "file:///")).pathname.slice(1));
  const [first = "", second = ""] = specifier.split("/");
  if (first === "licet") return "cli";
  if (first === "@licet") return second.startsWith("example-") ? "examples" : second;
  return `npm:${first.startsWith("@") ? `${first}/${second}` : first}`;
}

function wrongImports(file: SourceFile): readonly string[] {
  const row = MATRIX[topOf(file.path)];
  if (row === undefined) return [];
  const isFree = file.isTest && !file.path.startsWith("test/");
  return importsOf(file).flatMap((specifier) => {
    const target = targetOf(file.path, specifier);
    const mayUseNode = typeof row.node === "boolean" ? row.node : row.node.includes(file.path);
    if (target === "node") return mayUseNode || isFree ? [] : [`${file.path} imports ${specifier}`];
    if (target.startsWith("npm:"))
      return row.packages === undefined || isFree || row.packages.includes(target.slice(4))
        ? []
        : [`${file.path} imports ${specifier}`];
    return row.own.includes(target) || (isFree && target === "test") ? [] : [`${file.path} imports ${specifier}`];
  });
}

function wrongSliceImports(file: SourceFile): readonly string[] {
  const own = /^server\/src\/([^/]+)\//.exec(file.path)?.[1] ?? "";
  const isSlice = SLICES.includes(own);
  return importsOf(file).flatMap((specifier) => {
    const [, target = "", name = ""] =
      /\/server\/src\/([^/]+)\/(.+)\.ts$/.exec(
        `/${new URL(specifier, new URL(file.path, "file:///")).pathname.slice(1)}`,
      ) ?? [];
    if (!specifier.startsWith(".") || !SLICES.includes(target) || target === own) return [];
    const isLeft = SLICES.indexOf(target) < SLICES.indexOf(own);
    const isPrivate = /(^|-)store$|^routes$/.test(name);
    if (isSlice) return isLeft && !isPrivate ? [] : [`${file.path} imports ${specifier}`];
    return PLUMBING.includes(own) ? [`${file.path} imports ${specifier}`] : [];
  });
}

function longFunctions({ path, text }: SourceFile): readonly string[] {
  const long: string[] = [];
  const measure = (node: { readonly start: number; readonly end: number }) => {
    const lines = text.slice(node.start, node.end).split("\n").length;
    if (lines > LIMITS.functionLines)
      long.push(`${path}:${text.slice(0, node.start).split("\n").length}: ${lines} lines`);
  };
  new Visitor({ FunctionDeclaration: measure, FunctionExpression: measure, ArrowFunctionExpression: measure }).visit(
    parseSync(path, text).program,
  );
  return long;
}

function wrongFileName(path: string): readonly string[] {
  const name = path.slice(path.lastIndexOf("/") + 1).replace(/(\.(test|node|config|d))*\.(ts|tsx|mts)$/, "");
  const words = name.split("-");
  const banned = words.find((word) => Object.hasOwn(BANNED_FILE_NAMES, word));
  if (banned !== undefined) return [`${path}: ${banned}; better: ${BANNED_FILE_NAMES[banned]}`];
  return /^[a-z0-9]+(-[a-z0-9]+)*$/.test(name) ? [] : [`${path}: expected kebab-case`];
}

function wrongTypeNames({ path, text }: SourceFile): readonly string[] {
  return [...text.matchAll(/^(?:export )?(?:abstract )?(?:class|interface|type) (\w+)/gm)].flatMap(([, name = ""]) => {
    const ending = Object.keys(BANNED_TYPE_ENDINGS).find((banned) => name.endsWith(banned));
    return ending === undefined ? [] : [`${path}: ${name}; better: ${BANNED_TYPE_ENDINGS[ending]}`];
  });
}
