import { type Result, accept, refuse } from "@licet/protocol";
import {
  type BareItem,
  type InnerList,
  type Item,
  Token,
  isInnerList,
  parseDictionary,
  serializeInnerList,
  serializeItem,
} from "structured-headers";
import type { EdgeRequest } from "./ports.ts";

/** Components that one signature covers at most. */
const MAX_COMPONENTS = 32;
const FIELD_NAME = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;

/** A component of a signature (RFC 9421 section 2): its name, and the `key` of a dictionary's member. */
export interface Component {
  readonly name: string;
  readonly key: string | undefined;
}

/** The covered components, as a signature's input lists them. Refuses `credentials_malformed`. */
export function readComponents(input: InnerList): Result<readonly Component[]> {
  const components: Component[] = [];
  for (const [name, parameters] of input[0]) {
    const key = parameters.get("key");
    const isKnown = [...parameters.keys()].every((parameter) => parameter === "key" || parameter === "name");
    if (typeof name !== "string" || !isKnown || (key !== undefined && typeof key !== "string"))
      return malformed(`expected components with no parameter but key and name`);
    components.push({ name, key });
  }
  const identifiers = input[0].map((item) => serializeItem(item));
  if (new Set(identifiers).size !== identifiers.length) return malformed("expected each component once");
  return components.length > MAX_COMPONENTS
    ? malformed(`expected at most ${MAX_COMPONENTS} components, got ${components.length}`)
    : accept(components);
}

function malformed(detail: string) {
  return refuse("credentials_malformed", detail);
}

/**
 * The signature base of a request (RFC 9421 section 2.5): a line for each component, and the input
 * itself as the last. Refuses `agent_signature_invalid` when a component is not in the request.
 */
export function signatureBase(request: EdgeRequest, input: InnerList): Result<string> {
  const lines: string[] = [];
  for (const item of input[0]) {
    const value = valueOf(request, item);
    if (value === undefined)
      return refuse(
        "agent_signature_invalid",
        `the signature covers ${serializeItem(item)}, which the request has not`,
      );
    lines.push(`${serializeItem(item)}: ${value}`);
  }
  lines.push(`"@signature-params": ${serializeInnerList(input)}`);
  return accept(lines.join("\n"));
}

function valueOf(request: EdgeRequest, [name, parameters]: Item): string | undefined {
  if (typeof name !== "string") return undefined;
  const url = new URL(request.url);
  switch (name) {
    case "@method":
      return request.method;
    case "@authority":
      return url.host;
    case "@scheme":
      return url.protocol.slice(0, -1);
    case "@target-uri":
      return request.url;
    case "@path":
      return url.pathname;
    case "@query":
      return url.search === "" ? "?" : url.search;
    case "@query-param":
      return queryParameter(url, parameters.get("name"));
    default:
      return FIELD_NAME.test(name) ? fieldOf(request, name, parameters.get("key")) : undefined;
  }
}

/** Section 2.2.8: a parameter that is there once, its value encoded again. */
function queryParameter(url: URL, name: BareItem | undefined): string | undefined {
  if (typeof name !== "string" || !isEncoded(name)) return undefined;
  const values = url.searchParams.getAll(decodeURIComponent(name));
  return values.length === 1 ? encodeURIComponent(values[0] ?? "") : undefined;
}

function isEncoded(text: string): boolean {
  try {
    return decodeURIComponent(text) !== undefined;
  } catch {
    return false;
  }
}

/** A field's value, its lines joined by a comma and a space (section 2.1), or one member of a dictionary (section 2.1.2). */
function fieldOf({ headers }: EdgeRequest, name: string, key: BareItem | undefined): string | undefined {
  const value = headers.get(name);
  if (value === null) return undefined;
  if (key === undefined) return value.trim();
  const member = typeof key === "string" ? parsedDictionary(value)?.get(key) : undefined;
  if (member === undefined) return undefined;
  return isInnerList(member) ? serializeInnerList(member) : serializeItem(member);
}

/** A dictionary, or undefined when the text is none. */
export function parsedDictionary(text: string): ReadonlyMap<string, Item | InnerList> | undefined {
  try {
    return parseDictionary(text);
  } catch {
    return undefined;
  }
}

/** What a parameter that is a string or a token says. */
export function textOf(value: BareItem | undefined): string | undefined {
  if (value instanceof Token) return value.toString();
  return typeof value === "string" ? value : undefined;
}
