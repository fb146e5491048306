/** An attempt's error is kept up to this length. */
const MAX_LENGTH = 300;

/** What is remembered of why an attempt failed: short, and without what a database keeps in no text: U+0000 and half a character. */
export function attemptError(text: string): string {
  return text.slice(0, MAX_LENGTH).toWellFormed().replaceAll("\0", "\uFFFD");
}
