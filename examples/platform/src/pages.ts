import { html, raw } from "hono/html";
import type { Catalogue, Creator, Modality, Work } from "./catalogue.ts";
import { pagePath, workPath } from "./catalogue.ts";
import { STYLE } from "./style.ts";
import type { TextBlock } from "./texts.ts";

const SITE_NAME = "Millpond";
const NAMES = {
  text: "Text",
  image: "Image",
  audio: "Sound",
  video: "Film",
} as const satisfies Record<Modality, string>;
const DATE = new Intl.DateTimeFormat("en-GB", { dateStyle: "long", timeZone: "UTC" });

/** Whole, because the policy's hash covers every space between the tags. */
const STYLE_ELEMENT = raw(`<style>${STYLE}</style>`);

type Html = ReturnType<typeof html>;

/** `excerpts` holds the beginning of each text work, by its page path. */
export function homePage(catalogue: Catalogue, excerpts: ReadonlyMap<string, string>): Html {
  return layout(
    `${SITE_NAME}: sound, words and pictures`,
    html`<div class="intro">
        <h1>Sound, words and pictures, made slowly.</h1>
        <p>${SITE_NAME} is where a few people put what they make. Listen, look, read; every work has its own page.</p>
        <nav aria-label="Creators">
          ${catalogue.creators.map((creator) => html`<a href="#${creator.folder}">${creator.display}</a>`)}
        </nav>
      </div>
      ${catalogue.creators.map((creator) => creatorSection(creator, excerpts))}`,
  );
}

export function workPage(creator: Creator, work: Work, blocks: readonly TextBlock[]): Html {
  return layout(
    `${work.title} · ${SITE_NAME}`,
    html`<article class="work">
      <p class="crumb"><a href="/#${creator.folder}">${creator.display}</a></p>
      <h1>${work.title}</h1>
      <p class="meta">${describe(work)}</p>
      ${work.modality === "text" ? prose(blocks) : html`<div class="stage ${work.modality}">${player(work.modality, work)}</div>`}
      <dl>
        <div>
          <dt>Creator</dt>
          <dd>${creator.creatorId}</dd>
        </div>
        <div>
          <dt>Format</dt>
          <dd>${work.contentType.replace(/;.*/, "")}</dd>
        </div>
        <div>
          <dt>Size</dt>
          <dd>${formatBytes(work.byteLength)}</dd>
        </div>
        <div>
          <dt>File</dt>
          <dd><a href="${workPath(work)}">${work.file}</a></dd>
        </div>
      </dl>
    </article>`,
  );
}

export function messagePage(title: string, message: string): Html {
  return layout(
    `${title} · ${SITE_NAME}`,
    html`<div class="intro">
      <h1>${title}</h1>
      <p>${message}</p>
      <p><a href="/">Back to all works</a></p>
    </div>`,
  );
}

function layout(title: string, main: Html): Html {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title}</title>
        <link rel="icon" href="data:," />
        ${STYLE_ELEMENT}
      </head>
      <body>
        <a class="skip" href="#main">Skip to the works</a>
        <header><a class="brand" href="/">${SITE_NAME}</a></header>
        <main id="main">${main}</main>
        <footer>
          <p>
            ${SITE_NAME} is the Licet sample platform: a small site whose works Licet offers as training data, with its
            creators’ consent.
          </p>
        </footer>
      </body>
    </html>`;
}

function creatorSection(creator: Creator, excerpts: ReadonlyMap<string, string>): Html {
  return html`<section id="${creator.folder}" aria-labelledby="${creator.folder}-name">
    <h2 id="${creator.folder}-name">${creator.display}</h2>
    <p class="meta">${creator.creatorId} · ${creator.works.length} ${creator.works.length === 1 ? "work" : "works"}</p>
    <ul class="works">
      ${creator.works.map(
        (work) =>
          html`<li>
            ${panel(work, excerpts.get(pagePath(work)) ?? "")}
            <h3><a href="${pagePath(work)}">${work.title}</a></h3>
            <p class="meta">${describe(work)}</p>
          </li>`,
      )}
    </ul>
  </section>`;
}

/** What a card shows above its title; the title is the link that assistive technology meets. */
function panel(work: Work, excerpt: string): Html {
  const inside = work.modality === "text" ? html`<p>${excerpt}</p>` : player(work.modality, work);
  if (work.modality === "audio" || work.modality === "video") {
    return html`<div class="panel ${work.modality}">${inside}</div>`;
  }
  return html`<div class="panel ${work.modality}">
    <a href="${pagePath(work)}" tabindex="-1" aria-hidden="true">${inside}</a>
  </div>`;
}

function player(modality: Exclude<Modality, "text">, work: Work): Html {
  const address = workPath(work);
  switch (modality) {
    case "image":
      return html`<img src="${address}" alt="${work.title}" loading="lazy" />`;
    case "audio":
      return html`<audio controls preload="metadata" src="${address}" aria-label="${work.title}"></audio>`;
    case "video":
      return html`<video controls playsinline preload="metadata" src="${address}" aria-label="${work.title}"></video>`;
  }
}

function prose(blocks: readonly TextBlock[]): Html {
  return html`<div class="prose">
    ${blocks.map((block) => (block.kind === "heading" ? html`<h2>${block.text}</h2>` : html`<p>${block.text}</p>`))}
  </div>`;
}

function describe(work: Work): Html {
  return html`${NAMES[work.modality]} ·
    <time datetime="${work.createdAt}">${DATE.format(new Date(work.createdAt))}</time>`;
}

function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} bytes`;
  if (bytes < 1_000_000) return `${(bytes / 1000).toFixed(1)} kB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}
