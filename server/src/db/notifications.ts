import { sql } from "kysely";
import type { Logger } from "pino";
import type { Database, Trx } from "./open-database.ts";

/** What servers of one database tell each other. */
export const NOTICE_TOPICS = ["documents", "signing-keys", "event-feed"] as const;
export type NoticeTopic = (typeof NOTICE_TOPICS)[number];

/**
 * What changed. `all`: notices may have been lost, so everything that is held in memory counts as
 * changed. Memory that `isCurrent` vouches for is mended before the first `await`.
 */
export type NoticeHandler = (entries: readonly string[] | "all") => void | Promise<void>;

/** Word between the servers of one database: sent with a transaction, heard by every server, this one included. */
export interface Notices {
  /** Tells every server, once the transaction is committed and only then. An entry is a line of text. */
  readonly announce: (trx: Trx, topic: NoticeTopic, entries: readonly string[]) => Promise<void>;
  readonly on: (topic: NoticeTopic, handler: NoticeHandler) => void;
  /**
   * False when a notice may be missing that was sent longer ago than others may be behind: what
   * was read from the database earlier is then no answer, and the database has to be asked.
   */
  readonly isCurrent: () => boolean;
  readonly stop: () => Promise<void>;
}

/** Whom a database tells what it hears. */
export interface NoticeReceiver {
  readonly onNotice: (payload: string) => void;
  /** Called once it listens again after notices may have been lost, and awaited before `isCurrent`. */
  readonly onGap: () => Promise<void>;
}

export interface Listener {
  readonly isCurrent: () => boolean;
  readonly stop: () => Promise<void>;
}

/** A LISTEN channel belongs to one database, so a name is enough. */
export const NOTICE_CHANNEL = "licet_notices";
/** PostgreSQL refuses payloads of 8 000 bytes. */
const MAX_PAYLOAD_BYTES = 7_900;

export async function startNotices(database: Pick<Database, "listen">, log: Logger): Promise<Notices> {
  const handlers = new Map<NoticeTopic, NoticeHandler[]>();

  async function tell(topic: NoticeTopic, entries: readonly string[] | "all"): Promise<void> {
    for (const handler of handlers.get(topic) ?? []) {
      try {
        await handler(entries);
      } catch (error) {
        log.error({ topic, error: String(error) }, "a notice could not be followed");
      }
    }
  }

  const listener = await database.listen({
    onNotice: (payload) => {
      const [name, ...entries] = payload.split("\n");
      const topic = NOTICE_TOPICS.find((known) => known === name);
      if (topic !== undefined) void tell(topic, entries);
    },
    onGap: async () => {
      await Promise.all(NOTICE_TOPICS.map((topic) => tell(topic, "all")));
    },
  });

  return {
    announce: async (trx, topic, entries) => {
      if (entries.length === 0) return;
      await sql`select pg_notify(${NOTICE_CHANNEL}, payload) from unnest(${payloadsOf(topic, entries)}::text[]) as payload`.execute(
        trx,
      );
    },
    on: (topic, handler) => void handlers.set(topic, [...(handlers.get(topic) ?? []), handler]),
    isCurrent: listener.isCurrent,
    stop: listener.stop,
  };
}

/** As few payloads as the limit allows: the topic, then the entries, line by line. */
function payloadsOf(topic: NoticeTopic, entries: readonly string[]): readonly string[] {
  const payloads: string[] = [];
  let open = "";
  for (const entry of entries) {
    const line = `\n${entry}`;
    if (Buffer.byteLength(topic + line) > MAX_PAYLOAD_BYTES)
      throw new RangeError(
        `a notice: expected an entry below ${MAX_PAYLOAD_BYTES} bytes, got ${entry.length} characters`,
      );
    if (Buffer.byteLength(open + line) > MAX_PAYLOAD_BYTES) {
      payloads.push(open);
      open = "";
    }
    open = (open === "" ? topic : open) + line;
  }
  return open === "" ? payloads : [...payloads, open];
}
