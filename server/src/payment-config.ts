import { parseMicros } from "@licet/protocol";
import { join, resolve } from "node:path";
import type { ReadNumber } from "./money-config.ts";
import { type Environment, readSecret } from "./secret-setting.ts";

/** What an operator says about paying creators and being paid by marketplaces. */
export interface PaymentConfig {
  /** How long what a creator was credited waits before it is paid out. */
  readonly holdSeconds: number;
  readonly minimums: PayoutMinimums;
  /** The day of the month on which batches are made by themselves; undefined means by hand. */
  readonly payoutDay: number | undefined;
  /** Where the csv adapter writes its files. */
  readonly payoutFolder: string;
  /** Undefined without a key: then there is no stripe adapter. */
  readonly stripe: StripeSettings | undefined;
  readonly invoiceDueSeconds: number;
  readonly sending: SendingSettings;
}

/** How payouts are sent. */
export interface SendingSettings {
  /** How often it is looked for payouts that are due. */
  readonly intervalSeconds: number;
  /** How long a payout that is being sent is nobody else's to send. */
  readonly leaseMs: number;
}

/** The least that is paid out, in micro-units. */
export interface PayoutMinimums {
  readonly fallbackMicros: bigint;
  readonly byCurrency: ReadonlyMap<string, bigint>;
}

export interface StripeSettings {
  readonly secretKey: string;
  /** Undefined: no webhook is believed. */
  readonly webhookSecret: string | undefined;
  /** Scheme and host, such as https://api.stripe.com. */
  readonly api: URL;
}

interface Reading {
  readonly readNumber: ReadNumber;
  readonly refuse: (name: string, sentence: string) => never;
  readonly mode: "live" | "test";
}

const DAY_SECONDS = 86_400;
const DEFAULT_MINIMUM_MICROS = 10_000_000n;
const STRIPE_API = "https://api.stripe.com";

export function readPayments(env: Environment, reading: Reading): PaymentConfig {
  const { readNumber } = reading;
  return {
    holdSeconds: readNumber("LICET_PAYOUT_HOLD_DAYS", 7, { min: 0, max: 365 }) * DAY_SECONDS,
    minimums: readMinimums(env["LICET_PAYOUT_MINIMUM_MICROS"], reading),
    payoutDay: readNumber("LICET_PAYOUT_DAY", 0, { min: 0, max: 28 }) || undefined,
    payoutFolder: resolve(env["LICET_PAYOUT_DIR"] || join(env["LICET_DATA_DIR"] || "data", "payouts")),
    stripe: readStripe(env, reading),
    invoiceDueSeconds: readNumber("LICET_INVOICE_DUE_DAYS", 30, { min: 0, max: 365 }) * DAY_SECONDS,
    sending: {
      intervalSeconds: readNumber("LICET_PAYOUT_INTERVAL_MS", 2_000, { min: 50, max: 60_000 }) / 1_000,
      leaseMs: readNumber("LICET_PAYOUT_LEASE_SECONDS", 30, { min: 1, max: 600 }) * 1_000,
    },
  };
}

/** The minimum of a currency, in micro-units. */
export function minimumOf({ fallbackMicros, byCurrency }: PayoutMinimums, currency: string): bigint {
  return byCurrency.get(currency) ?? fallbackMicros;
}

function readMinimums(text: string | undefined, { refuse }: Reading): PayoutMinimums {
  const byCurrency = new Map<string, bigint>();
  let fallbackMicros = DEFAULT_MINIMUM_MICROS;
  for (const entry of text === undefined ? [] : text.split(",")) {
    const [, currency, digits = ""] = /^(?:([A-Z]{3})=)?(\d+)$/.exec(entry.trim()) ?? [];
    const micros = parseMicros(digits);
    if (micros === undefined)
      return refuse(
        "LICET_PAYOUT_MINIMUM_MICROS",
        `expected micro-units such as 10000000, or EUR=10000000 for one currency, separated by commas, got ${entry}`,
      );
    if (currency === undefined) fallbackMicros = micros;
    else byCurrency.set(currency, micros);
  }
  return { fallbackMicros, byCurrency };
}

/** Secrets are not repeated in what is refused. */
function readStripe(env: Environment, reading: Reading): StripeSettings | undefined {
  const secretKey = readSecret(env, "LICET_STRIPE_SECRET_KEY", reading.refuse);
  const webhookSecret = readSecret(env, "LICET_STRIPE_WEBHOOK_SECRET", reading.refuse);
  if (secretKey === undefined) {
    const other = ["LICET_STRIPE_WEBHOOK_SECRET", "LICET_STRIPE_WEBHOOK_SECRET_FILE", "LICET_STRIPE_API"].find(
      (name) => env[name] !== undefined,
    );
    return other === undefined ? undefined : reading.refuse(other, "expected with LICET_STRIPE_SECRET_KEY, got none");
  }
  const [, keyMode] = /^(?:sk|rk)_(live|test)_[A-Za-z0-9_]+$/.exec(secretKey) ?? [];
  // A test key moves no money, so a live platform would call creators paid who are not.
  if (keyMode !== reading.mode)
    return reading.refuse(
      "LICET_STRIPE_SECRET_KEY",
      `expected a key sk_${reading.mode}_… or rk_${reading.mode}_…, since LICET_MODE is ${reading.mode}, got another`,
    );
  if (webhookSecret !== undefined && !/^whsec_\S+$/.test(webhookSecret))
    return reading.refuse("LICET_STRIPE_WEBHOOK_SECRET", "expected a secret whsec_…, got something else");
  return { secretKey, webhookSecret, api: readApi(env["LICET_STRIPE_API"] ?? STRIPE_API, reading) };
}

function readApi(text: string, { refuse }: Reading): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.pathname !== "/" || url.search !== "")
    return refuse("LICET_STRIPE_API", `expected scheme and host such as ${STRIPE_API}, got ${text}`);
  return url;
}
