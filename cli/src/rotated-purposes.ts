/** What `licet keys rotate --purpose` takes: a list of its own, so that help needs nothing else. */
export const ROTATED_PURPOSES = ["consent", "document", "receipt", "webhook", "oauth"] as const;
