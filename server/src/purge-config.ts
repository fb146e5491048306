import { hostAndPort } from "@licet/protocol";
import { isLoopback } from "./loopback.ts";
import { type Environment, readSecret } from "./secret-setting.ts";

/** What an operator says about caches and edges: whom to tell when something was taken back. */
export interface PurgeConfig {
  readonly targets: readonly PurgeTarget[];
  /** Node edges that are told to fetch documents again. */
  readonly edges: readonly URL[];
}

/** A cache, by what it is. */
export type PurgeTarget = CloudflareTarget | FastlyTarget | VarnishTarget;

export interface CloudflareTarget {
  readonly kind: "cloudflare";
  readonly zone: string;
  /** URLs are purged of this domain and the ones below it: a zone knows no others. */
  readonly domain: string;
  readonly token: string;
  readonly api: URL;
  readonly plan: CloudflarePlan;
}

export interface FastlyTarget {
  readonly kind: "fastly";
  readonly service: string;
  readonly domain: string;
  readonly token: string;
  readonly api: URL;
}

export interface VarnishTarget {
  readonly kind: "varnish";
  readonly url: URL;
}

export const CLOUDFLARE_PLANS = ["free", "pro", "business", "enterprise"] as const;
export type CloudflarePlan = (typeof CLOUDFLARE_PLANS)[number];

interface Reading {
  readonly refuse: (name: string, sentence: string) => never;
  /** `host:port` pairs that may be reached without https. */
  readonly allowedHosts: readonly string[];
}

const MAX_TARGETS = 20;
const MAX_EDGES = 100;
const CLOUDFLARE_API = "https://api.cloudflare.com";
const FASTLY_API = "https://api.fastly.com";
const DOMAIN = /^(?=.{1,253}$)[a-z0-9-]+(\.[a-z0-9-]+)+$/;
const TARGETS =
  "cloudflare:<zone id>@<domain>, fastly:<service id>@<domain> or varnish:http://<host>:<port>, separated by commas";

export function readPurges(env: Environment, reading: Reading): PurgeConfig {
  const texts = listOf(env["LICET_PURGES"] ?? "none").filter((text) => text !== "none");
  if (texts.length > MAX_TARGETS)
    return reading.refuse("LICET_PURGES", `expected at most ${MAX_TARGETS} caches, got ${texts.length}`);
  const twice = texts.find((text, index) => texts.indexOf(text) !== index);
  if (twice !== undefined) return reading.refuse("LICET_PURGES", `expected each cache once, got ${twice} twice`);
  const targets = texts.map((text) => readTarget(text, env, reading));
  refuseUnused(env, targets, reading);
  return { targets, edges: readEdges(env["LICET_EDGES"], reading) };
}

function readTarget(text: string, env: Environment, reading: Reading): PurgeTarget {
  const { refuse } = reading;
  const [, kind, name = ""] = /^(cloudflare|fastly|varnish):(.+)$/.exec(text) ?? [];
  if (kind === "varnish") return { kind, url: readVarnish(name, reading) };
  const [, id = "", domain = ""] = /^([^@]+)@(.+)$/.exec(name) ?? [];
  if (kind === "cloudflare" && /^[0-9a-f]{32}$/.test(id) && DOMAIN.test(domain))
    return {
      kind,
      zone: id,
      domain,
      token: requireToken(env, "LICET_CLOUDFLARE_TOKEN", reading),
      api: readApi(env, "LICET_CLOUDFLARE_API", CLOUDFLARE_API, reading),
      plan: readPlan(env["LICET_CLOUDFLARE_PLAN"], reading),
    };
  if (kind === "fastly" && /^[A-Za-z0-9]{1,64}$/.test(id) && DOMAIN.test(domain))
    return {
      kind,
      service: id,
      domain,
      token: requireToken(env, "LICET_FASTLY_TOKEN", reading),
      api: readApi(env, "LICET_FASTLY_API", FASTLY_API, reading),
    };
  return refuse("LICET_PURGES", `expected none, or ${TARGETS}, got ${text}`);
}

/** What was set for a provider that is not purged was meant for something. */
function refuseUnused(env: Environment, targets: readonly PurgeTarget[], { refuse }: Reading): void {
  for (const kind of ["cloudflare", "fastly"] as const) {
    if (targets.some((target) => target.kind === kind)) continue;
    const set = Object.keys(env).find((name) => name.startsWith(`LICET_${kind.toUpperCase()}_`));
    if (set !== undefined) refuse(set, `expected with ${kind}:… in LICET_PURGES, got none`);
  }
}

/** Caches stand beside the server, so plain http is what they speak; whoever purges is known by the address. */
function readVarnish(text: string, { refuse }: Reading): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || !isBare(url))
    return refuse(
      "LICET_PURGES",
      `expected varnish: with scheme, host and port such as http://10.0.0.5:6081, got ${shown(text)}`,
    );
  return url;
}

function readEdges(text: string | undefined, { refuse, allowedHosts }: Reading): readonly URL[] {
  const texts = listOf(text ?? "");
  if (texts.length > MAX_EDGES)
    return refuse("LICET_EDGES", `expected at most ${MAX_EDGES} edges, got ${texts.length}`);
  return [...new Set(texts)].map((edge) => {
    const url = URL.canParse(edge) ? new URL(edge) : undefined;
    if (url === undefined || !/^https?:$/.test(url.protocol) || !isBare(url))
      return refuse("LICET_EDGES", `expected scheme and host such as https://edge.example.org, got ${shown(edge)}`);
    if (url.protocol !== "https:" && !isLoopback(url.hostname) && !allowedHosts.includes(hostAndPort(url)))
      return refuse("LICET_EDGES", `expected https, or a host:port of LICET_ALLOW_HOSTS, got ${edge}`);
    return url;
  });
}

function readPlan(text = "free", { refuse }: Reading): CloudflarePlan {
  const plan = CLOUDFLARE_PLANS.find((known) => known === text);
  return plan ?? refuse("LICET_CLOUDFLARE_PLAN", `expected one of ${CLOUDFLARE_PLANS.join(" ")}, got ${text}`);
}

function readApi(env: Environment, name: string, fallback: string, { refuse, allowedHosts }: Reading): URL {
  const text = env[name] ?? fallback;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || !isBare(url))
    return refuse(name, `expected scheme and host such as ${fallback}, got ${shown(text)}`);
  // A token would be read on the way.
  if (url.protocol !== "https:" && !isLoopback(url.hostname) && !allowedHosts.includes(hostAndPort(url)))
    return refuse(name, `expected https, got ${text}`);
  return url;
}

/** The token goes into a header; it is not repeated in what is refused. */
function requireToken(env: Environment, name: string, reading: Reading): string {
  const token = readSecret(env, name, reading.refuse);
  if (token === undefined || !/^[\x21-\x7e]{1,512}$/.test(token))
    return reading.refuse(name, `expected the API's token, which purges, got ${token === undefined ? "none" : "else"}`);
  return token;
}

function isBare(url: URL): boolean {
  return url.pathname === "/" && url.search === "" && url.hash === "" && url.username === "" && url.password === "";
}

/** A URL as it may be repeated: without a password in it. */
function shown(text: string): string {
  return text.replace(/\/\/[^/@]*@/, "//…@");
}

function listOf(text: string): readonly string[] {
  return text
    .split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "");
}
