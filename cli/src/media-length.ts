import { parseFile } from "music-metadata";

/** How long a recording runs, and whether there is anything to see. */
export interface MediaLength {
  readonly lengthMs?: number;
  readonly hasVideo?: boolean;
}

/**
 * Reads the duration of an audio or video file. What the file does not say stays absent: a work
 * without a known length is still a work.
 */
export async function readMediaLength(path: string): Promise<MediaLength> {
  try {
    const { format } = await parseFile(path, { duration: true, skipCovers: true });
    const { duration, hasVideo } = format;
    const isKnown = duration !== undefined && Number.isFinite(duration) && duration > 0;
    return {
      ...(isKnown ? { lengthMs: Math.round(duration * 1_000) } : {}),
      ...(hasVideo === undefined ? {} : { hasVideo }),
    };
  } catch (error) {
    // Its parsers throw errors of their own, and TypeErrors and RangeErrors, on media that is damaged.
    if (error instanceof Error) return {};
    throw error;
  }
}
