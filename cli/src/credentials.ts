import { isOrigin } from "@licet/protocol";
import { type LicetClient, createClient } from "@licet/sdk";
import { CommandError } from "./command-error.ts";
import type { Settings } from "./settings.ts";

const LOOPBACK = /^(localhost|\[::1\]|127(\.\d{1,3}){3})$/;

/** True for a host name that is this machine. */
export function isLoopback(hostname: string): boolean {
  return LOOPBACK.test(hostname);
}

/** Refuses to carry a secret over an open wire: https, or this machine. */
function requireSafeOrigin(origin: string, name: string): string {
  if (!isOrigin(origin))
    throw new CommandError(`${name}: expected scheme, host and port such as https://licet.example.org, got ${origin}`);
  const { protocol, hostname } = new URL(origin);
  if (protocol !== "https:" && !isLoopback(hostname))
    throw new CommandError(
      `${name}: expected https, since credentials would travel in the open to ${hostname}, got ${origin}`,
    );
  return origin;
}

/** What may be given on the command line instead of in the environment. */
export interface GivenCredentials {
  readonly origin?: string | undefined;
  readonly token?: string | undefined;
}

/** The server that is named, which secrets may be sent to. */
function originOf(settings: Settings, given: Pick<GivenCredentials, "origin">): string {
  const named = given.origin ?? settings.origin;
  if (named === undefined)
    throw new CommandError("expected --origin or LICET_ORIGIN to say where the Licet server is, got neither");
  return requireSafeOrigin(named.replace(/\/$/, ""), "--origin");
}

/** A client of the server whose operator, or platform, runs this command. */
export function createOwnClient(settings: Settings, given: GivenCredentials, scope: string): LicetClient {
  const origin = originOf(settings, given);
  const token = given.token ?? settings.token;
  if (token !== undefined) return createClient({ origin, token });
  const { clientId, clientSecret } = settings;
  if (clientId !== undefined && clientSecret !== undefined)
    return createClient({ origin, clientId, clientSecret, scope });
  throw new CommandError("expected LICET_TOKEN (or --token), or LICET_CLIENT_ID with LICET_CLIENT_SECRET, got neither");
}

/** The server and the operator's token, for what only the operator may do. */
export function operatorOf(
  settings: Settings,
  given: GivenCredentials,
): { readonly origin: string; readonly token: string } {
  const origin = originOf(settings, given);
  const token = given.token ?? settings.token;
  if (token === undefined) throw new CommandError("expected LICET_TOKEN (or --token) of the operator, got neither");
  return { origin, token };
}

/** The server and the credentials of a marketplace's client, for what only a marketplace is told. */
export function marketplaceOf(
  settings: Settings,
  given: Pick<GivenCredentials, "origin">,
): { readonly origin: string; readonly clientId: string; readonly clientSecret: string } {
  const origin = originOf(settings, given);
  const { clientId, clientSecret } = settings;
  if (clientId === undefined || clientSecret === undefined)
    throw new CommandError("expected LICET_CLIENT_ID and LICET_CLIENT_SECRET of a marketplace, got not both");
  return { origin, clientId, clientSecret };
}

/** A marketplace's client from LICET_CLIENT_ID and LICET_CLIENT_SECRET; undefined when neither is set. */
export function createMarketplaceClient(
  { clientId, clientSecret }: Settings,
  origin: string,
  scope: string,
): LicetClient | undefined {
  if (clientId === undefined && clientSecret === undefined) return undefined;
  if (clientId === undefined || clientSecret === undefined)
    throw new CommandError("expected LICET_CLIENT_ID and LICET_CLIENT_SECRET together, got only one of them");
  return createClient({ origin: requireSafeOrigin(origin, "manifest URL"), clientId, clientSecret, scope });
}
