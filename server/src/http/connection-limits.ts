import type { Socket } from "node:net";
import type { Logger } from "pino";
import type { ConnectionLimits } from "../config.ts";
import type { ListeningServer } from "./listen.ts";
import { addressKey } from "./address-key.ts";
import type { TrustedProxies } from "./trusted-proxies.ts";

interface Limiting {
  readonly limits: ConnectionLimits;
  readonly proxies: TrustedProxies;
  readonly log: Logger;
}

/** Closes a connection at once that is one too many, of all or of its address; no answer is worth its cost. */
export function limitConnections(servers: readonly ListeningServer[], { limits, proxies, log }: Limiting): void {
  let open = 0;
  const openByAddress = new Map<string, number>();
  const admit = (socket: Socket): void => {
    const remote = socket.remoteAddress ?? "";
    const address = addressKey(remote);
    const ofAddress = openByAddress.get(address) ?? 0;
    const isOneTooMany = ofAddress >= limits.maxConnectionsPerAddress && !proxies.includes(remote);
    if (open >= limits.maxConnections || isOneTooMany) {
      log.debug({ open, of_address: ofAddress }, "a connection too many was closed");
      socket.destroy();
      return;
    }
    open += 1;
    openByAddress.set(address, ofAddress + 1);
    socket.once("close", () => {
      open -= 1;
      const left = (openByAddress.get(address) ?? 1) - 1;
      if (left > 0) openByAddress.set(address, left);
      else openByAddress.delete(address);
    });
  };
  for (const server of servers) server.on("connection", admit);
}
