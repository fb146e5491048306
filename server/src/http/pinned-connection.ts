import { hostAndPort, isPublicAddress } from "@licet/protocol";
import { lookup as lookupName } from "node:dns/promises";
import { type LookupFunction, isIPv6 } from "node:net";
import { buildConnector } from "undici";

/** One address of a name. */
export interface ResolvedAddress {
  readonly address: string;
  readonly family: number;
}

/** Every address of a name, as the machine's resolver gives them; tests hold their own. */
export type ResolveName = (name: string) => Promise<readonly ResolvedAddress[]>;

export const systemResolver: ResolveName = (name) => lookupName(name, { all: true, verbatim: true });

/** A name has at least one address that is not on the open Internet. */
export class ForbiddenAddressError extends Error {}

const CONNECT_TIMEOUT_MS = 10_000;
/** A name with more addresses than this is tried at the first ones only. */
const MAX_ADDRESSES = 16;

/**
 * Opens connections so that the address that is connected to is the address that was checked: the
 * name is resolved once, inside the connecting itself, and the certificate is checked against the
 * name. One forbidden address among several forbids the name, since the next try could reach it.
 */
export function pinnedConnector(
  allowedHosts: readonly string[],
  resolve: ResolveName,
): ReturnType<typeof buildConnector> {
  const open = buildConnector({ timeout: CONNECT_TIMEOUT_MS, lookup: lookupThrough(resolve, () => true) });
  const guarded = buildConnector({ timeout: CONNECT_TIMEOUT_MS, lookup: lookupThrough(resolve, isPublicAddress) });
  return (options, callback) => {
    const host = isIPv6(options.hostname) ? `[${options.hostname}]` : options.hostname;
    const target = hostAndPort(new URL(`${options.protocol}//${host}:${options.port}`));
    const connect = allowedHosts.includes(target) ? open : guarded;
    connect(options, callback);
  };
}

function lookupThrough(resolve: ResolveName, isReachable: (address: string) => boolean): LookupFunction {
  return (name, options, settle) => {
    resolve(name).then(
      (addresses) => {
        const forbidden = addresses.find(({ address }) => !isReachable(address));
        const [first] = addresses;
        if (forbidden !== undefined)
          settle(new ForbiddenAddressError(`${name} has the address ${forbidden.address}`), []);
        else if (first === undefined) settle(new Error(`${name} has no address`), []);
        else if (options.all === true) settle(null, addresses.slice(0, MAX_ADDRESSES));
        else settle(null, first.address, first.family);
      },
      (error: unknown) => settle(error instanceof Error ? error : new Error(String(error)), []),
    );
  };
}
