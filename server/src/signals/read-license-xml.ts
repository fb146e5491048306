import { type Result, accept, refuse } from "@licet/protocol";

/** What a client asks for by a `<license>` of RSL. */
export interface AskedLicense {
  readonly usages: readonly string[];
  /** Undefined when it tells no users apart. */
  readonly users: readonly string[] | undefined;
  readonly prohibited: readonly string[];
  /** What it says it pays; `free` where it says nothing, as section 3.7 has it. */
  readonly payment: string;
  readonly amount: { readonly currency: string; readonly value: string } | undefined;
  /** The addresses of the evidence: ours tells which dataset is meant. */
  readonly proofs: readonly string[];
}

export const MAX_LICENSE_LENGTH = 16_384;
const MAX_DEPTH = 8;
const MAX_ELEMENTS = 200;

/**
 * Reads the `<license>` element of an RSL 1.0 document, with or without its namespace, as clients cut it
 * out. XML without document types, processing instructions and entities of its own; elements of other
 * namespaces are passed over. Refuses (`input_invalid`) what it does not understand: a term of RSL that is
 * unknown here might change what is asked.
 */
export function readLicenseXml(text: string): Result<AskedLicense> {
  if (text.length > MAX_LICENSE_LENGTH)
    return refuse("input_invalid", `license: expected at most ${MAX_LICENSE_LENGTH} characters`);
  const root = parseElement(text);
  if (root === undefined) return refuse("input_invalid", "license: expected one well-formed <license> element of RSL");
  if (root.name !== "license" || !isOurs(root))
    return refuse("input_invalid", `license: expected <license>, got <${root.name}>`);
  return askedOf(root);
}

const KNOWN: Readonly<Record<string, readonly string[]>> = {
  license: ["permits", "prohibits", "payment", "legal", "reporting"],
  payment: ["standard", "custom", "amount", "accepts"],
};

function askedOf(root: Element): Result<AskedLicense> {
  const payment = childrenOf(root, "payment");
  const unknown = [root, ...payment].flatMap((element) =>
    element.children.filter((child) => isOurs(child) && !(KNOWN[element.name] ?? []).includes(child.name)),
  );
  if (unknown.length > 0)
    return refuse("input_invalid", `license: expected elements of RSL 1.0, got <${unknown[0]?.name}>`);
  if (payment.length > 1) return refuse("input_invalid", "license: expected one <payment>");
  if (childrenOf(root, "reporting").length > 0)
    return refuse("input_invalid", "license: expected no <reporting>, since we offer none");
  const repeated = ["permits", "prohibits"].find((name) => hasRepeatedType(childrenOf(root, name)));
  if (repeated !== undefined) return refuse("input_invalid", `license: expected one <${repeated}> of each type`);
  const [amount] = payment.flatMap((element) => childrenOf(element, "amount"));
  const users = listOf(root, "permits", "user");
  if (listOf(root, "permits", "geo") !== undefined)
    return refuse("input_invalid", "license: expected no geo, since we offer none");
  return accept({
    usages: listOf(root, "permits", "usage") ?? [],
    users,
    prohibited: [...(listOf(root, "prohibits", "usage") ?? []), ...(listOf(root, "prohibits", "user") ?? [])],
    payment: payment[0]?.attributes.get("type") ?? "free",
    amount:
      amount === undefined
        ? undefined
        : { currency: amount.attributes.get("currency") ?? "", value: amount.text.trim() },
    proofs: childrenOf(root, "legal")
      .filter((legal) => legal.attributes.get("type") === "proof")
      .flatMap((legal) => wordsOf(legal.text)),
  });
}

/** RSL documents use no prefix; a client that cuts the element out may add one, and ours of other namespaces keep theirs. */
function isOurs({ prefix, attributes }: Element): boolean {
  const namespace = attributes.get(prefix === "" ? "xmlns" : `xmlns:${prefix}`);
  return (
    (prefix === "" || prefix === "rsl") && (namespace === undefined || namespace === "https://rslstandard.org/rsl")
  );
}

function childrenOf({ children }: Element, name: string): readonly Element[] {
  return children.filter((child) => child.name === name && isOurs(child));
}

function hasRepeatedType(elements: readonly Element[]): boolean {
  const types = elements.map((element) => element.attributes.get("type"));
  return new Set(types).size !== types.length;
}

function listOf(root: Element, name: string, type: string): readonly string[] | undefined {
  const element = childrenOf(root, name).find((child) => child.attributes.get("type") === type);
  return element === undefined ? undefined : wordsOf(element.text);
}

function wordsOf(text: string): readonly string[] {
  return text.split(/\s+/).filter((word) => word !== "");
}

interface Element {
  readonly prefix: string;
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: Element[];
  text: string;
}

const NAME = "[A-Za-z_][A-Za-z0-9_.-]*";
/** A comment, character data as it stands, an end, a start with its attributes, or text. */
const PIECE = new RegExp(
  [
    "<!--(?<comment>(?:(?!--)[^])*)-->",
    "<!\\[CDATA\\[(?<cdata>(?:(?!\\]\\]>)[^])*)\\]\\]>",
    `</(?<end>(?:${NAME}:)?${NAME})\\s*>`,
    `<(?:(?<prefix>${NAME}):)?(?<name>${NAME})(?<attributes>(?:\\s+(?:${NAME}:)?${NAME}\\s*=\\s*(?:"[^"<]*"|'[^'<]*'))*)\\s*(?<empty>/?)>`,
    "(?<text>[^<]+)",
  ].join("|"),
  "gy",
);
const ATTRIBUTE = new RegExp(`((?:${NAME}:)?${NAME})\\s*=\\s*(?:"([^"<]*)"|'([^'<]*)')`, "g");

/** The one element that a text is; undefined when it is none, or more. */
function parseElement(text: string): Element | undefined {
  const top: Element = { prefix: "", name: "", attributes: new Map(), children: [], text: "" };
  const open: Element[] = [top];
  let end = 0;
  let count = 0;
  for (const { 0: piece, groups = {} } of text.matchAll(PIECE)) {
    end += piece.length;
    const parent = open.at(-1) ?? top;
    if (groups["end"] !== undefined) {
      if (open.length === 1 || qualified(parent) !== groups["end"]) return undefined;
      open.pop();
    } else if (groups["name"] !== undefined) {
      const element = elementOf(groups);
      count += 1;
      if (element === undefined || open.length > MAX_DEPTH || count > MAX_ELEMENTS) return undefined;
      parent.children.push(element);
      if (groups["empty"] === "") open.push(element);
    } else {
      const data = groups["cdata"] ?? (groups["text"] === undefined ? "" : unescapeXml(groups["text"]));
      if (data === undefined) return undefined;
      parent.text += data;
    }
  }
  const [root] = top.children;
  const isOne = end === text.length && open.length === 1 && top.children.length === 1 && top.text.trim() === "";
  return isOne ? root : undefined;
}

function qualified({ prefix, name }: Element): string {
  return prefix === "" ? name : `${prefix}:${name}`;
}

function elementOf(groups: Record<string, string | undefined>): Element | undefined {
  const attributes = new Map<string, string>();
  for (const [, name = "", double, single] of (groups["attributes"] ?? "").matchAll(ATTRIBUTE)) {
    const value = unescapeXml(double ?? single ?? "");
    if (value === undefined || attributes.has(name)) return undefined;
    attributes.set(name, value);
  }
  return { prefix: groups["prefix"] ?? "", name: groups["name"] ?? "", attributes, children: [], text: "" };
}

const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };
const REFERENCE = /&(?:(amp|lt|gt|quot|apos)|#(\d{1,7})|#x([0-9A-Fa-f]{1,6}));/g;

/** Undefined for a reference that XML itself does not define, and for a stray `&`. */
function unescapeXml(text: string): string | undefined {
  if (text.replace(REFERENCE, "").includes("&")) return undefined;
  let isValid = true;
  const read = text.replace(REFERENCE, (_all, name?: string, decimal?: string, hex?: string) => {
    if (name !== undefined) return ENTITIES[name] ?? "";
    const code = decimal === undefined ? Number.parseInt(hex ?? "", 16) : Number(decimal);
    isValid &&= code > 0x1f && code <= 0x10_ffff && (code < 0xd800 || code > 0xdfff);
    return isValid ? String.fromCodePoint(code) : "";
  });
  return isValid ? read : undefined;
}
