/** What changes nothing, and may therefore be asked twice (RFC 9110 section 9.2.1). */
export const SAFE_METHODS: readonly (string | undefined)[] = ["GET", "HEAD", "OPTIONS"];

/**
 * Asks once more when the first time no answer came: a connection that was kept open may be closed
 * by the other side just as it is used (RFC 9112 section 9.3.1), and `fetch` does not say whether it
 * was that. Only for what may be asked twice. One signal for both ends both.
 */
export async function askTwice(ask: () => Promise<Response>): Promise<Response> {
  try {
    return await ask();
  } catch {
    return ask();
  }
}
