/**
 * For an answer that is a stream: a failure breaks it off. Without this header the adapter collects
 * what comes first, and ends an answer that fails meanwhile as if it were whole.
 */
export const BREAKS_OFF = { "transfer-encoding": "chunked" } as const;

/** Chunks as they come and are taken; whoever stops reading ends what makes them. */
export function webStreamOf(chunks: AsyncIterable<string | Uint8Array>): ReadableStream<Uint8Array> {
  const iterator = chunks[Symbol.asyncIterator]();
  const encoder = new TextEncoder();
  return new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      const { done, value } = await iterator.next();
      if (done === true) controller.close();
      else controller.enqueue(typeof value === "string" ? encoder.encode(value) : value);
    },
    cancel: async () => {
      await iterator.return?.();
    },
  });
}
