import { anyObject, anything, identifier, instant, listOf, objectOf, readShape, sha256 } from "@licet/protocol";
import type { LicetClient } from "@licet/sdk";
import { CommandError, orFail } from "./command-error.ts";

const PAGE_WORKS = 200;
const MAX_PAGES = 5_000;

const PAGE = objectOf({ content_items: listOf(anyObject, { max: PAGE_WORKS }), next: anything });
const WORK = objectOf({ content_id: identifier, sha256, created_at: instant });

/** What a work is registered with already. */
export type KnownWork = Pick<ReturnType<typeof WORK>, "sha256" | "created_at">;

/**
 * The works that are registered for a creator, by content id. A file that was only copied or
 * touched has a new date and the same bytes: it keeps the date it was registered with, and so
 * importing it again changes nothing.
 */
export async function readKnownWorks(client: LicetClient, creatorId: string): Promise<ReadonlyMap<string, KnownWork>> {
  const known = new Map<string, KnownWork>();
  let after: string | undefined;
  for (let pageNumber = 0; pageNumber < MAX_PAGES; pageNumber += 1) {
    const query = { creator_id: creatorId, limit: PAGE_WORKS, after };
    const page = orFail(
      readShape(
        PAGE,
        orFail(await client.sendJson({ method: "GET", path: "/api/v1/content", query })),
        "page",
        "document_invalid",
      ),
    );
    for (const item of page.content_items) {
      const work = orFail(readShape(WORK, item, "item", "document_invalid"));
      known.set(work.content_id, work);
    }
    if (typeof page.next !== "string") return known;
    after = page.next;
  }
  throw new CommandError(`expected at most ${MAX_PAGES * PAGE_WORKS} works of ${creatorId}, got more`);
}
