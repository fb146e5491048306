import {
  count,
  formatInstant,
  identifier,
  instant,
  listOf,
  objectOf,
  oneOf,
  qualifiedIdentifier,
  sha256Hex,
  textUpTo,
} from "@licet/protocol";
import { type LicetClient, createClient } from "@licet/sdk";
import { randomBytes } from "node:crypto";
import { CommandError, type ExitCode, reasonOf } from "./command-error.ts";
import { isLoopback, operatorOf } from "./credentials.ts";
import { call, readPublic, waitFor } from "./call-api.ts";
import { draftConsent, enterCreator, signConsent } from "./creator.ts";
import type { Settings } from "./settings.ts";
import { type Terminal, printable } from "./terminal.ts";
import { type Fixture, TRIGGERED_EVENTS, type TriggeredEvent, findTriggeredEvent } from "./trigger-events.ts";

export interface TriggerFlags {
  readonly origin?: string;
  readonly token?: string;
  readonly marketplace?: string;
  readonly dataset?: string;
  readonly live?: true;
}

interface Surroundings {
  readonly settings: Settings;
  readonly terminal: Terminal;
}

/** The server, and where each step is told. */
interface Stage {
  readonly client: LicetClient;
  readonly tell: (line: string) => void;
}

/**
 * `licet trigger`: makes what an event needs through the API, causes the event, and says who was told.
 * Ends with 0, with 1 when a step was refused or a marketplace did not take the message, with 2 when it
 * was asked the wrong way or of a server it must not touch.
 */
export async function trigger(name: string, flags: TriggerFlags, surroundings: Surroundings): Promise<ExitCode> {
  const event = findTriggeredEvent(name);
  if (event === undefined)
    throw new CommandError(`expected one of ${Object.keys(TRIGGERED_EVENTS).join(", ")}, got ${printable(name)}`);
  const { origin, token } = operatorOf(surroundings.settings, flags);
  await requireTestServer(origin, flags.live === true);
  const stage = { client: createClient({ origin, token }), tell: surroundings.terminal.print };
  const { dataset, marketplace } = flags;
  const fixture = dataset === undefined ? await makeFixture(stage) : await findFixture(stage, dataset);
  if (marketplace !== undefined) await offer(stage, fixture, marketplace);
  if (event.before !== undefined) await call(stage.client, event.before(fixture), objectOf({}));
  const before = await readDeliveries(stage.client, fixture);
  await call(stage.client, event.cause(fixture), objectOf({}));
  stage.tell(`${name}: ${event.says}`);
  return tellDeliveries(stage, { fixture, event, marketplace, known: before.map(nameOf) });
}

const READY = objectOf({ mode: oneOf("live", "test") });

/** A live server holds consents of people, and its marketplaces are real. */
async function requireTestServer(origin: string, isLiveAllowed: boolean): Promise<void> {
  const ready = readPublic(`${origin}/readyz`, READY);
  const { mode } = await ready.catch((error: unknown) => {
    throw new CommandError(`expected a Licet server that is ready at ${origin}: ${reasonOf(error)}`);
  });
  if (mode === "test" || (isLiveAllowed && isLoopback(new URL(origin).hostname))) return;
  const way = isLoopback(new URL(origin).hostname)
    ? ", or --live, since it is on this machine"
    : "; --live is for this machine only";
  throw new CommandError(`expected a server in test mode (LICET_MODE=test), got a live one at ${origin}${way}`);
}

const WORK = objectOf({ content_id: identifier });
const DATASET = objectOf({ dataset_id: identifier, version: count });

/** What the creator of a fixture consents to. */
const WISH = { scope: ["training", "commercial"], price_floor: "per-token:0.00005", duration_days: 365 };

/** A creator with a key, a small work, a consent and a dataset, each new. */
async function makeFixture({ client, tell }: Stage): Promise<Fixture> {
  const name = randomBytes(6).toString("hex");
  const creator = await enterCreator(client, `trigger:${name}`, "EdDSA");
  tell(`creator ${creator.creatorId}, with a key of their own`);
  const work = {
    creator_id: creator.creatorId,
    canonical_url: `https://works.example/licet-trigger/${name}`,
    sha256: sha256Hex(name),
    mime_type: "text/plain",
    created_at: formatInstant(Math.floor(Date.now() / 1_000)),
    size_bytes: name.length,
  };
  const { content_id: contentId } = await call(client, { method: "POST", path: "/api/v1/content", body: work }, WORK);
  tell(`work ${contentId}`);
  const jti = await signConsent(
    creator,
    await draftConsent(creator, { ...WISH, subject: `creator:${creator.creatorId}` }),
  );
  tell(`consent ${jti}, signed by the creator`);
  const body = {
    name: `licet trigger ${name}`,
    content_items: [{ content_id: contentId }],
    pricing: { model_use: "per-token:0.0001" },
  };
  const dataset = await call(client, { method: "POST", path: "/api/v1/datasets", body }, DATASET);
  tell(`dataset ${dataset.dataset_id}, version ${dataset.version}`);
  return { creatorId: creator.creatorId, contentId, jti, datasetId: dataset.dataset_id };
}

const MAX_ENTRIES = 1_000;
const PROVENANCE = objectOf({
  provenance: objectOf({
    content_items: listOf(objectOf({ content_id: identifier, creator_id: qualifiedIdentifier }), { max: MAX_ENTRIES }),
  }),
  consents: listOf(objectOf({ jti: textUpTo(64), creator_id: qualifiedIdentifier, state: textUpTo(32) }), {
    max: MAX_ENTRIES,
  }),
});

/** The first work that stands in a dataset that is there, and a consent of its creator's. */
async function findFixture({ client, tell }: Stage, datasetId: string): Promise<Fixture> {
  const path = `/api/v1/datasets/${encodeURIComponent(datasetId)}/provenance`;
  const { provenance, consents } = await call(client, { method: "GET", path }, PROVENANCE);
  for (const { content_id: contentId, creator_id: creatorId } of provenance.content_items) {
    const consent = consents.find((entry) => entry.creator_id === creatorId && entry.state === "active");
    if (consent === undefined) continue;
    tell(`dataset ${datasetId}, with the work ${contentId} under the consent ${consent.jti}`);
    return { creatorId, contentId, jti: consent.jti, datasetId };
  }
  throw new CommandError(`expected a work that stands in the dataset ${datasetId}, got none on its first page`, 1);
}

async function offer({ client, tell }: Stage, { datasetId }: Fixture, marketplace: string): Promise<void> {
  const path = `/api/v1/datasets/${encodeURIComponent(datasetId)}/offers`;
  await call(client, { method: "POST", path, body: { marketplace_id: marketplace } }, objectOf({}));
  tell(`offered to ${marketplace}`);
}

const DELIVERIES = objectOf({
  deliveries: listOf(
    objectOf({
      event_id: identifier,
      endpoint_id: identifier,
      change: textUpTo(32),
      state: textUpTo(32),
      attempts: listOf(objectOf({ at: instant }, { status: count, error: textUpTo(4_096) }), { max: MAX_ENTRIES }),
    }),
    { max: MAX_ENTRIES },
  ),
});
type Delivery = ReturnType<typeof DELIVERIES>["deliveries"][number];

async function readDeliveries(client: LicetClient, { datasetId }: Fixture): Promise<readonly Delivery[]> {
  const query = { dataset_id: datasetId, limit: String(MAX_ENTRIES) };
  const answer = await call(client, { method: "GET", path: "/api/v1/webhook-deliveries", query }, DELIVERIES);
  return answer.deliveries;
}

function nameOf({ event_id, endpoint_id }: Delivery): string {
  return `${event_id} ${endpoint_id}`;
}

/** How long somebody may take until they answer the first attempt. */
const DELIVERY_SECONDS = 20;

interface Caused {
  readonly fixture: Fixture;
  readonly event: TriggeredEvent;
  readonly marketplace: string | undefined;
  readonly known: readonly string[];
}

/** Waits for the first attempt of each message, when there is somebody to tell. */
async function tellDeliveries({ client, tell }: Stage, caused: Caused): Promise<ExitCode> {
  const { fixture, event, marketplace, known } = caused;
  const isNew = (delivery: Delivery) => delivery.change === event.change && !known.includes(nameOf(delivery));
  const read = async () => (await readDeliveries(client, fixture)).filter(isNew);
  if (marketplace === undefined) {
    const sent = await read();
    for (const { event_id, endpoint_id } of sent) tell(`${event_id} is on its way to ${endpoint_id}`);
    if (sent.length === 0) tell("nobody waits for it here: name one with --marketplace, and it is told");
    return 0;
  }
  const sent = await waitFor(`an attempt to send ${event.change} to ${marketplace}`, DELIVERY_SECONDS, async () => {
    const found = await read();
    return found.length > 0 && found.every(isSettled) ? found : undefined;
  });
  for (const delivery of sent) tell(describe(delivery));
  return sent.every(({ state }) => state === "delivered") ? 0 : 1;
}

/** An attempt is written down before what came of it: one that was taken is waited for until it says so. */
function isSettled({ state, attempts }: Delivery): boolean {
  return state !== "waiting" || attempts.some(({ status = 0 }) => status < 200 || status > 299);
}

function describe({ event_id, endpoint_id, state, attempts }: Delivery): string {
  const { status, error } = attempts.at(-1) ?? {};
  const parts = [status === undefined ? [] : `status ${status}`, error ?? []].flat();
  return `${event_id} to ${endpoint_id}: ${state} (${printable(parts.join(", "))})`;
}
