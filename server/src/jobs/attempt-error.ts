/** An attempt's error is kept up to this length. */
const MAX_LENGTH = 300;

/** What is remembered of why an attempt failed: short, and without the one character that a database keeps in no text. */
export function attemptError(text: string): string {
  return text.slice(0, MAX_LENGTH).replaceAll("\0", "\uFFFD");
}
