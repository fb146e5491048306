import { PROPAGATION_PATH, anyObject, verifyKeySet, verifyPropagation } from "@licet/protocol";
import type { RevocationTimeline } from "@licet/sdk";
import { readPublic, waitFor } from "../call-api.ts";
import { claim, orFail } from "../command-error.ts";
import { type Consenting, operatorOf } from "./act-consent.ts";
import { type Narrator, duration } from "./narrate.ts";
import type { Stage } from "./start-processes.ts";

const SETTLE_SECONDS = 30;

const LEGS = {
  committed: "it is durable, and every public document says so",
  purge: "the edge's cache has forgotten what it held",
  edge: "an edge on Node has fetched it anew",
  webhook: "the marketplace has accepted the signed message",
  acknowledgement: "the marketplace has stopped, and says so",
} as const satisfies Record<RevocationTimeline["entries"][number]["leg"], string>;

/** The legs of a story with one cache and one marketplace. */
const EXPECTED = ["committed", "purge", "webhook", "acknowledgement"] as const;

/** How long each leg of a revocation took, as the server measured it. */
export async function actTimeline(stage: Stage, { jti, name }: Consenting, narrator: Narrator): Promise<void> {
  const operator = operatorOf(stage);
  const { entries, revocation_id } = await narrator.step(
    () =>
      waitFor("every leg of the revocation to be done", SETTLE_SECONDS, async () => {
        const timeline = await operator.getRevocation(jti);
        claim(
          timeline.ok,
          `expected how far the revocation has come, got ${timeline.ok ? "" : timeline.refusal.detail}`,
        );
        const isWhole = EXPECTED.every((leg) =>
          timeline.value.legs.some((sum) => sum.leg === leg && sum.done > 0 && sum.waiting === 0 && sum.failed === 0),
        );
        return isWhole && timeline.value.done ? timeline.value : undefined;
      }),
    () => `Licet followed ${name}'s refusal until everybody had it. How long each leg took, since the fact itself:`,
  );
  const lines = entries
    .map(({ leg, took_ms = 0 }) => ({ leg, took_ms }))
    .toSorted((left, right) => left.took_ms - right.took_ms)
    .map(({ leg, took_ms }) => `${leg.padEnd(16)}${duration(took_ms).padStart(7)}  ${LEGS[leg]}`);
  narrator.quote(lines.join("\n"));
  narrator.quote(`GET /api/v1/revocations/${revocation_id}`);
  await seePropagation(stage, narrator);
}

/** The same over the last days, for anybody to read. It is made anew every few seconds, so that this one comes a little later. */
async function seePropagation({ origin }: Stage, narrator: Narrator): Promise<void> {
  await narrator.step(
    async () => {
      const now = Math.floor(Date.now() / 1_000);
      const keys = orFail(
        await verifyKeySet(await readPublic(`${origin}/.well-known/keys.json`, anyObject), origin, now),
        1,
      );
      const response = await fetch(`${origin}${PROPAGATION_PATH}`);
      orFail(await verifyPropagation(await response.text(), { keys, now }), 1);
    },
    () =>
      `How long refusals took over the last days, leg by leg, is a public document, signed and made of such records alone: ${PROPAGATION_PATH}. It is made anew every few seconds.`,
  );
}
