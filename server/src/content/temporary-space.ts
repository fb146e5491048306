import type { Context } from "../context.ts";

/** What one download takes of the temporary folder. */
export interface Space {
  /** False when the bytes would be more than all downloads together may take. */
  readonly take: (bytes: number) => boolean;
  /** Once the file is gone. */
  readonly giveBack: () => void;
}

/** The bytes that the downloads of a server take at the moment. */
const taken = new WeakMap<Context["outbound"], number>();

export function takeSpace({ outbound, config }: Pick<Context, "outbound" | "config">): Space {
  let own = 0;
  const add = (bytes: number): void => {
    own += bytes;
    taken.set(outbound, (taken.get(outbound) ?? 0) + bytes);
  };
  return {
    take: (bytes) => {
      if ((taken.get(outbound) ?? 0) + bytes > config.temporaryBytes) return false;
      add(bytes);
      return true;
    },
    giveBack: () => add(-own),
  };
}
