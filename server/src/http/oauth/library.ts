/**
 * oidc-provider greets a Node release that it does not know with a line on standard error, while
 * it is being loaded. Standard error is the log's, so the line is dropped.
 */
const { warn } = console;
Object.assign(console, { warn: () => undefined });
export const { default: OidcProvider, errors } = await import("oidc-provider");
Object.assign(console, { warn });
