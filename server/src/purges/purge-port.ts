import type { Leg } from "../db/purge-tables.ts";

/** What one call is about: tags or URLs that a cache forgets, or paths of documents that an edge fetches again. */
export type ItemKind = "tags" | "urls" | "paths";

export interface PurgeCall {
  readonly kind: ItemKind;
  readonly items: readonly string[];
  /** The part that it is for, when it is for one alone. */
  readonly of?: object;
}

/** Confirmed is only what the other side said it has done. */
export type PurgeOutcome =
  | { readonly isConfirmed: true }
  | {
      readonly isConfirmed: false;
      readonly error: string;
      /** Undefined when nothing answered. */
      readonly status?: number;
      /** The `Retry-After` header, where there was one. */
      readonly retryAfter?: string | null;
      /** What is asked of it has happened and has not reached it yet: it is asked again at once. */
      readonly isSoonThere?: boolean;
    };

/** A token bucket: so many a second, and as many at once as it holds. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** What an account may send: calls by tag, and URLs. */
export interface Rates {
  readonly calls: Rate;
  readonly urls: Rate;
}

/** The purge port: a cache, or an edge, that is told what was taken back. */
export interface PurgeAdapter {
  /** As it is configured, without secrets: `varnish:http://10.0.0.5:6081`. */
  readonly target: string;
  readonly leg: Leg;
  /** What it takes, and how many of it in one call. */
  readonly limits: Partial<Record<ItemKind, number>>;
  /** The account that a provider counts by, and its rates; undefined where nobody counts. */
  readonly meter: { readonly account: string; readonly rates: Rates } | undefined;
  /** False for a URL that it cannot hold. */
  readonly mayHold: (url: string) => boolean;
  /** Sends one call. Doing the same again does no harm. */
  readonly send: (call: PurgeCall) => Promise<PurgeOutcome>;
}

/** True for a URL of a domain or one below it. */
export function isBelow(domain: string, url: string): boolean {
  const host = URL.canParse(url) ? new URL(url).hostname : "";
  return host === domain || host.endsWith(`.${domain}`);
}

/** The beginning of an answer that was not understood, for the log. */
export function quoteAnswer(status: number, body: string): string {
  return `${status} ${JSON.stringify(body.slice(0, 120))}`;
}
