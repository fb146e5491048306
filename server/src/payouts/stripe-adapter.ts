import { type Result, accept, refuse } from "@licet/protocol";
import { Stripe } from "stripe";
import type { Context } from "../context.ts";
import { attemptError } from "../jobs/attempt-error.ts";
import type { StripeSettings } from "../payment-config.ts";
import type { Absent, PayoutAdapter, PayoutDestination, PayoutOrder, PayoutOutcome } from "./payout-adapter.ts";
import { minorUnitsOf, outcomeOf } from "./stripe-transfer.ts";

/** Longer than the one way out gives any request. */
const TIMEOUT_MS = 20_000;
/** Far below Stripe's own limits, and all of them within a claim's lease. */
const MAX_AT_ONCE = 8;
/** Stripe's own errors that say nothing about this payout: a limit, a lock, a key that is not right. */
const NOT_ABOUT_THE_PAYOUT: readonly number[] = [401, 403, 409, 429];

/**
 * Pays by Stripe Connect transfers. The idempotency key and the transfer group are the payout's id:
 * the first keeps a second request from being a second transfer for a day, the second finds the
 * transfer after that.
 */
export function stripeAdapterOf(ctx: Pick<Context, "outbound">, settings: StripeSettings): PayoutAdapter {
  const stripe = createStripe(ctx, settings);
  return {
    name: "stripe",
    maxAtOnce: MAX_AT_ONCE,
    send: async (orders) =>
      new Map(
        await Promise.all(
          orders.map(async (order): Promise<[string, PayoutOutcome]> => [
            order.payoutId,
            await transfer(stripe, order),
          ]),
        ),
      ),
    check: (destination) => findAccount(stripe, destination),
    find: (order) => findTransfer(stripe, order),
  };
}

function createStripe({ outbound }: Pick<Context, "outbound">, { secretKey, api }: StripeSettings): Stripe {
  return new Stripe(secretKey, {
    protocol: api.protocol === "http:" ? "http" : "https",
    host: api.hostname,
    ...(api.port === "" ? {} : { port: api.port }),
    timeout: TIMEOUT_MS,
    // What is tried again, and when, is written down: see send-payouts.ts.
    maxNetworkRetries: 0,
    telemetry: false,
    httpClient: Stripe.createFetchHttpClient(async (input: string | URL | Request, init: RequestInit = {}) => {
      const answer = await outbound.send(String(input instanceof Request ? input.url : input), {
        method: init.method === "POST" ? "POST" : "GET",
        headers: Object.fromEntries(new Headers(init.headers)),
        ...(typeof init.body === "string" && init.body !== "" ? { body: init.body } : {}),
      });
      if (!answer.ok) throw new TypeError(answer.refusal.detail);
      const { status, headers, body } = answer.value;
      return new Response(body, { status, headers });
    }),
  });
}

async function transfer(stripe: Stripe, order: PayoutOrder): Promise<PayoutOutcome> {
  const { payoutId, batchId, currency, destination } = order;
  if (destination?.adapter !== "stripe") return { kind: "failed", reason: "there is no Stripe account to send it to" };
  const amount = minorUnitsOf(order);
  if (amount === undefined) return { kind: "failed", reason: "the amount is larger than one transfer can be" };
  try {
    const made = await stripe.transfers.create(
      {
        amount,
        currency: currency.toLowerCase(),
        destination: destination.stripe_account,
        transfer_group: payoutId,
        metadata: { payout_id: payoutId, batch_id: batchId },
      },
      { idempotencyKey: payoutId },
    );
    return outcomeOf(order, made);
  } catch (error) {
    return outcomeOfError(error);
  }
}

/** What Stripe says of an account that is none, or that is not connected to the platform. */
const NO_ACCOUNT: readonly (string | undefined)[] = ["account_invalid", "resource_missing"];

async function findAccount(stripe: Stripe, destination: PayoutDestination): Promise<Result<true>> {
  if (destination.adapter !== "stripe") return accept(true);
  try {
    await stripe.accounts.retrieve(destination.stripe_account);
    return accept(true);
  } catch (error) {
    if (!(error instanceof Stripe.errors.StripeError) || !NO_ACCOUNT.includes(error.code)) return accept(true);
    const detail = `expected an account that is connected to the platform's, got one of which Stripe says: ${attemptError(error.message)}`;
    return refuse("input_invalid", detail, [{ at: "body.stripe_account", code: "input_invalid", detail }]);
  }
}

async function findTransfer(stripe: Stripe, order: PayoutOrder): Promise<PayoutOutcome | Absent> {
  try {
    const { data } = await stripe.transfers.list({ transfer_group: order.payoutId, limit: 1 });
    const [found] = data;
    return found === undefined ? { kind: "absent" } : outcomeOf(order, found);
  } catch (error) {
    const outcome = outcomeOfError(error);
    // Whatever is wrong with the question, it is no answer about the payout.
    return outcome.kind === "failed" ? { kind: "unclear", reason: outcome.reason } : outcome;
  }
}

/** Only what Stripe says of this very payout ends it; whatever else went wrong leaves it open. */
function outcomeOfError(error: unknown): PayoutOutcome {
  if (!(error instanceof Stripe.errors.StripeError)) return { kind: "unclear", reason: attemptError(String(error)) };
  const { statusCode, code, rawType, message } = error;
  const reason = attemptError(`${code ?? rawType ?? error.type}: ${message}`);
  const isAboutThePayout =
    statusCode !== undefined &&
    statusCode >= 400 &&
    statusCode < 500 &&
    !NOT_ABOUT_THE_PAYOUT.includes(statusCode) &&
    rawType !== "idempotency_error";
  if (isAboutThePayout) return { kind: "failed", reason };
  const seconds = Number(error.headers?.["retry-after"]);
  return { kind: "unclear", reason, retryAfterSeconds: Number.isFinite(seconds) ? seconds : undefined };
}
