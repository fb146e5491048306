import { createHash } from "node:crypto";
import type { Context } from "hono";
import { Hono } from "hono";
import type { Catalogue, Creator, Work } from "./catalogue.ts";
import { pagePath, workPath } from "./catalogue.ts";
import { createWorkServer } from "./files.ts";
import { homePage, messagePage, workPage } from "./pages.ts";
import { STYLE } from "./style.ts";
import { excerptOf, readTextBlocks } from "./texts.ts";

const PAGE_POLICY = [
  "default-src 'none'",
  "img-src 'self' data:",
  "media-src 'self'",
  `style-src 'sha256-${createHash("sha256").update(STYLE).digest("base64")}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

type Page = ReturnType<typeof messagePage>;

interface Listed {
  readonly creator: Creator;
  readonly work: Work;
}

/**
 * The sample platform as a Hono app: a home page, a page per work, and every work's bytes at
 * a stable address. Serves what the catalogue lists and nothing else.
 *
 * @example
 * const site = createSite(await readCatalogue("/srv/catalogue"));
 * const response = await site.request("/works/ana-field-recordings/dawn-at-the-weir.mp3");
 */
export function createSite(catalogue: Catalogue): Hono {
  const listed = catalogue.creators.flatMap((creator) => creator.works.map((work) => ({ creator, work })));
  // Requests are looked up, never joined to a path: what is not a key here is not found.
  const byFile = new Map<string, Listed>(listed.map((entry) => [workPath(entry.work), entry]));
  const byPage = new Map<string, Listed>(listed.map((entry) => [pagePath(entry.work), entry]));
  const serveWork = createWorkServer();
  const site = new Hono();

  site.use(async (c, next) => {
    if (c.req.method !== "GET" && c.req.method !== "HEAD") {
      return c.text("expected GET or HEAD\n", 405, { allow: "GET, HEAD" });
    }
    await next();
    c.header("x-content-type-options", "nosniff");
  });

  site.get("/healthz", (c) => c.text("ok\n"));
  site.get("/", async (c) => showPage(c, homePage(catalogue, await readExcerpts(listed))));
  site.get("/watch/:folder/:slug", async (c) => {
    const entry = byPage.get(c.req.path);
    if (entry === undefined) return c.notFound();
    const blocks = entry.work.modality === "text" ? await readTextBlocks(entry.work) : [];
    return showPage(c, workPage(entry.creator, entry.work, blocks));
  });
  site.get("/works/:folder/:file", (c) => {
    const entry = byFile.get(c.req.path);
    return entry === undefined ? c.notFound() : serveWork(entry.work, c.req.raw);
  });

  site.notFound((c) => showPage(c, messagePage("Not here", "There is no work or page at this address."), 404));
  site.onError((error, c) => {
    console.error(error);
    return showPage(c, messagePage("Something broke", "The platform could not read what you asked for."), 500);
  });
  return site;
}

async function readExcerpts(listed: readonly Listed[]): Promise<ReadonlyMap<string, string>> {
  const texts = listed.filter(({ work }) => work.modality === "text");
  return new Map(
    await Promise.all(texts.map(async ({ work }) => [pagePath(work), excerptOf(await readTextBlocks(work))] as const)),
  );
}

function showPage(c: Context, page: Page, status: 200 | 404 | 500 = 200): Response | Promise<Response> {
  return c.html(page, status, {
    "content-security-policy": PAGE_POLICY,
    "referrer-policy": "no-referrer",
    "cache-control": status === 200 ? "public, max-age=60" : "no-store",
  });
}
