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
  async function reachable(name: string): Promise<readonly [ResolvedAddress, ...ResolvedAddress[]]> {
    const [first, ...others] = await resolve(name);
    if (first === undefined) throw new Error(`${name} has no address`);
    const forbidden = [first, ...others].find(({ address }) => !isReachable(address));
    if (forbidden !== undefined) throw new ForbiddenAddressError(`${name} has the address ${forbidden.address}`);
    return [first, ...others.slice(0, MAX_ADDRESSES - 1)];
  }
  return (name, options, settle) => {
    reachable(name).then(
      ([first, ...others]) =>
        options.all === true ? settle(null, [first, ...others]) : settle(null, first.address, first.family),
      (error: unknown) => settle(error instanceof Error ? error : new Error(String(error)), []),
    );
  };
}
