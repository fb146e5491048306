import { once } from "node:events";
import { Agent, type IncomingMessage, request as httpRequest } from "node:http";
import type { LicensedWork, PropagationStage } from "./propagation-stage.ts";

/** What came of one request: it passed, it was refused because the work was taken back, or something else. */
interface Outcome {
  readonly kind: "passed" | "taken-back" | "else";
  readonly detail: string;
}

/** A work that is being taken back, and what came of every request for it since. All on the clock of `performance`. */
export interface Withdrawal {
  readonly work: LicensedWork;
  readonly askedMs: number;
  /** When the 200 arrived. */
  answeredMs: number | undefined;
  readonly passesSentMs: number[];
  readonly refusals: { readonly sentMs: number; readonly atMs: number }[];
}

export interface Load {
  /** Begins to send. */
  readonly start: () => void;
  /** Counts a work among those that are asked for though they are being taken back. */
  readonly begin: (work: LicensedWork) => Withdrawal;
  /** Asks for a work with its license. */
  readonly askOnce: (work: LicensedWork) => Promise<Outcome>;
  /** The same for a work that is being taken back, and notes what came of it. */
  readonly askFor: (withdrawal: Withdrawal) => Promise<Outcome>;
  readonly counts: () => LoadCounts;
  /** Sends no more, and waits for what is under way. */
  readonly end: () => Promise<void>;
}

export interface LoadCounts {
  /** Of the steady rate, without the requests that wait for a refusal. */
  readonly sentPerSecond: number;
  readonly people: number;
  readonly peopleRefused: number;
  readonly standing: number;
  readonly standingRefused: number;
  /** What those got in place of what they asked for, and how often. */
  readonly surprises: ReadonlyMap<string, number>;
}

/** An edge that is slower than the rate gets no more at once: a heap of requests would be measured otherwise. */
const MAX_UNDER_WAY = 100;
const REQUEST_TIMEOUT_MS = 15_000;
const MAX_DETAIL = 300;
const MAX_SURPRISE = 100;
/** Of the works that were taken back the newest are asked for: an old copy of one would show there. */
const NEWEST = 50;
const PERSON = { "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0" };

/**
 * Sends requests through the edge at a steady rate, whether or not earlier ones were answered: a third
 * are people's, a third are for works that stand, a third for works that were taken back.
 */
export function createLoad(stage: PropagationStage, perSecond: number): Load {
  const withdrawals: Withdrawal[] = [];
  const asker = createAsker(stage);
  const { counts } = asker;
  const underWay = new Set<Promise<unknown>>();
  let startedMs = performance.now();
  let endedMs: number | undefined;
  let sending: Promise<void> | undefined;
  const isOver = (): boolean => endedMs !== undefined;

  function send(index: number): Promise<unknown> {
    const turn = Math.floor(index / 3);
    if (index % 3 === 0) return asker.askAsPerson(turn);
    const newest = withdrawals.slice(-NEWEST);
    const withdrawal = newest[turn % Math.max(1, newest.length)];
    return index % 3 === 1 || withdrawal === undefined ? asker.askForStanding(turn) : asker.askFor(withdrawal);
  }

  async function keepSending(): Promise<void> {
    for (let index = 0; !isOver(); index += 1) {
      const dueMs = startedMs + (index * 1_000) / perSecond;
      await sleep(Math.max(0, dueMs - performance.now()));
      if (underWay.size >= MAX_UNDER_WAY) continue;
      counts.sent += 1;
      const asking = send(index).finally(() => underWay.delete(asking));
      underWay.add(asking);
    }
  }

  return {
    start: () => {
      startedMs = performance.now();
      sending = keepSending();
    },
    begin: (work) => {
      const askedMs = performance.now();
      const withdrawal: Withdrawal = { work, askedMs, answeredMs: undefined, passesSentMs: [], refusals: [] };
      withdrawals.push(withdrawal);
      return withdrawal;
    },
    askOnce: asker.askOnce,
    askFor: asker.askFor,
    counts: () => ({
      ...counts,
      sentPerSecond: counts.sent / (((endedMs ?? performance.now()) - startedMs) / 1_000),
    }),
    end: async () => {
      endedMs ??= performance.now();
      await sending;
      await Promise.all(underWay);
      asker.close();
    },
  };
}

interface Asker extends Pick<Load, "askOnce" | "askFor"> {
  readonly askAsPerson: (turn: number) => Promise<void>;
  readonly askForStanding: (turn: number) => Promise<void>;
  readonly counts: {
    people: number;
    peopleRefused: number;
    standing: number;
    standingRefused: number;
    sent: number;
    readonly surprises: Map<string, number>;
  };
  readonly close: () => void;
}

function createAsker({ edge, works, standing }: PropagationStage): Asker {
  const agent = new Agent({ keepAlive: true });
  const counts = {
    people: 0,
    peopleRefused: 0,
    standing: 0,
    standingRefused: 0,
    sent: 0,
    surprises: new Map<string, number>(),
  };
  const didPass = ({ kind, detail }: Outcome): boolean => {
    if (kind === "passed") return true;
    const code = /"code":"([a-z_]+)"/.exec(detail)?.[1];
    const surprise = code === undefined ? detail.slice(0, MAX_SURPRISE) : `${detail.slice(0, 3)} ${code}`;
    counts.surprises.set(surprise, (counts.surprises.get(surprise) ?? 0) + 1);
    return false;
  };
  const ask = (path: string, headers: Readonly<Record<string, string>>): Promise<Outcome> =>
    outcomeOf(edge + path, headers, agent).catch((error: unknown): Outcome => ({
      kind: "else",
      detail: String(error),
    }));
  const askOnce = ({ path, authorization }: LicensedWork): Promise<Outcome> => ask(path, { authorization });
  return {
    counts,
    askOnce,
    askFor: async (withdrawal) => {
      const sentMs = performance.now();
      const outcome = await askOnce(withdrawal.work);
      if (outcome.kind === "passed") withdrawal.passesSentMs.push(sentMs);
      if (outcome.kind === "taken-back") withdrawal.refusals.push({ sentMs, atMs: performance.now() });
      return outcome;
    },
    askAsPerson: async (turn) => {
      counts.people += 1;
      if (!didPass(await ask(works[turn % works.length]?.path ?? "/", PERSON))) counts.peopleRefused += 1;
    },
    askForStanding: async (turn) => {
      const work = standing[turn % standing.length];
      counts.standing += 1;
      if (work === undefined || !didPass(await askOnce(work))) counts.standingRefused += 1;
    },
    close: () => agent.destroy(),
  };
}

async function outcomeOf(url: string, headers: Readonly<Record<string, string>>, agent: Agent): Promise<Outcome> {
  const request = httpRequest(url, { headers, agent, signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) });
  request.end();
  const [response] = (await once(request, "response")) as [IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
  const { statusCode = 0 } = response;
  if (statusCode === 200) return { kind: "passed", detail: "" };
  const text = Buffer.concat(chunks).toString("utf8");
  const isTakenBack = statusCode === 403 && text.includes('"consent_revoked"');
  return { kind: isTakenBack ? "taken-back" : "else", detail: `${statusCode} ${text.slice(0, MAX_DETAIL)}` };
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
