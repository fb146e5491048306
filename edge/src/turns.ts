/** One of the connections to the site that a client may hold at a time. */
export interface Turn {
  /** Settles once it is this one's turn, or it was ended before. */
  readonly begins: Promise<void>;
  readonly end: () => void;
}

interface Line {
  taken: number;
  readonly waiting: Set<() => void>;
}

/** Lets each client have `most` turns at a time; whatever else it asks for waits in the order it came. */
export function createTurns(most: number): (client: string) => Turn {
  const lines = new Map<string, Line>();
  return (client) => {
    const line = lines.get(client) ?? { taken: 0, waiting: new Set() };
    lines.set(client, line);
    const { promise, resolve } = Promise.withResolvers<void>();
    if (line.taken < most) {
      line.taken += 1;
      resolve();
    } else line.waiting.add(resolve);
    let isOver = false;
    const end = (): void => {
      if (isOver) return;
      isOver = true;
      // Whoever still waits has no turn to give on.
      if (line.waiting.delete(resolve)) return resolve();
      const [next] = line.waiting;
      if (next === undefined) line.taken -= 1;
      else {
        line.waiting.delete(next);
        next();
      }
      if (line.taken === 0) lines.delete(client);
    };
    return { begins: promise, end };
  };
}
