import { REFUSALS, type RefusalCode } from "@licet/protocol";
import { html } from "hono/html";

const STYLE =
  "body{font:1.05rem/1.6 system-ui,sans-serif;max-width:42rem;margin:3rem auto;padding:0 1.25rem;color:#1b1b1f;background:#fff}code{background:#f0f0f4;padding:.1em .35em;border-radius:.25em}h1{font-size:1.6rem;line-height:1.25}dt{font-weight:600;margin-top:1rem}dd{margin:0}@media(prefers-color-scheme:dark){body{color:#e8e8ec;background:#17171a}code{background:#2a2a30}}";

/** The page that a problem's `type` points at. */
export function problemPage(code: RefusalCode) {
  const { status, title, fix } = REFUSALS[code];
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title} · Licet</title>
        <style>
          ${STYLE}
        </style>
      </head>
      <body>
        <h1>${title}</h1>
        <dl>
          <dt>Code</dt>
          <dd><code>${code}</code></dd>
          <dt>HTTP status</dt>
          <dd>${status}</dd>
          <dt>What to do</dt>
          <dd>${fix}</dd>
        </dl>
      </body>
    </html>`;
}
