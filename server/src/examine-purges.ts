import type { Config } from "./config.ts";
import type { Finding } from "./examine.ts";
import { createOutbound } from "./http/outbound.ts";
import { cacheAdapterOf, hostsOf } from "./purges/targets.ts";

/** Nothing carries this tag, so purging it shows that it would work and changes nothing. */
const TAG_OF_NOTHING = "licet-doctor";

/** Asks each cache to forget what nothing holds: whether it is there, takes us for who we are, and does as it is told. */
export async function examinePurges({ purges, allowedHosts }: Config): Promise<readonly Finding[]> {
  if (purges.targets.length === 0 && purges.edges.length === 0)
    return [
      {
        name: "caches",
        outcome: "ok",
        detail: "none is purged (LICET_PURGES), so what is taken back is bounded by the documents' clocks",
      },
    ];
  const outbound = createOutbound({ allowedHosts: [...allowedHosts, ...hostsOf(purges)] });
  try {
    return await Promise.all(
      purges.targets.map(async (target): Promise<Finding> => {
        const adapter = cacheAdapterOf(outbound, target);
        const name = `cache ${adapter.target}`;
        const outcome = await adapter.send({ kind: "tags", items: [TAG_OF_NOTHING] });
        return outcome.isConfirmed
          ? { name, outcome: "ok", detail: "confirmed a purge by tag" }
          : { name, outcome: "wrong", detail: `${outcome.error}; see docs/operations.md#caches-and-edges` };
      }),
    );
  } finally {
    await outbound.close();
  }
}
