/** The one style sheet, inline in every page; the content security policy allows it by its hash. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #f7f5ef; --card: #ffffff; --ink: #1f2a2e; --quiet: #56646a; --line: #dcd8cc;
  --accent: #0d6062; --pond: #d5e5e2; --ripple: #c3d9d6;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #12191c; --card: #1b2528; --ink: #e8ebe6; --quiet: #a5b2b5; --line: #2d393d;
    --accent: #7fd0c8; --pond: #1f3436; --ripple: #274145;
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif;
}
header, main, footer { max-width: 74rem; margin: 0 auto; padding: 0 clamp(1rem, 4vw, 2.5rem); }
header { padding-top: 1.25rem; }
h1, h2, h3, .brand, .panel.text p, .prose { font-family: Georgia, "Iowan Old Style", "DejaVu Serif", serif; }
h1 { font-size: clamp(1.8rem, 4.6vw, 2.9rem); line-height: 1.15; margin: 0 0 .75rem; font-weight: 600; text-wrap: balance; }
h2 { font-size: clamp(1.35rem, 3vw, 1.7rem); line-height: 1.25; margin: 0; font-weight: 600; }
h3 { font-size: 1.1rem; line-height: 1.3; margin: .8rem 0 0; font-weight: 600; }
p { margin: 0 0 1rem; }
a { color: var(--accent); text-underline-offset: .18em; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 3px; border-radius: 4px; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: .5rem; background: var(--card); padding: .5rem 1rem; z-index: 1; }
.brand { font-size: 1.25rem; font-weight: 700; color: var(--ink); text-decoration: none; letter-spacing: .01em; }
.brand::before {
  content: ""; display: inline-block; width: 1.1em; height: 1.1em; margin-right: .45em; vertical-align: -.17em;
  border-radius: 50%; background: repeating-radial-gradient(circle, var(--accent) 0 2px, transparent 2px 4.5px);
}
.intro { padding: clamp(2rem, 6vw, 4rem) 0 clamp(1.5rem, 4vw, 2.5rem); }
.intro h1, .intro p { max-width: 46rem; }
.intro p { font-size: 1.1rem; color: var(--quiet); }
nav { display: flex; flex-wrap: wrap; gap: .6rem; }
nav a {
  padding: .5rem .95rem; border: 1px solid var(--line); border-radius: 99rem; background: var(--card);
  text-decoration: none; font-size: .95rem;
}
nav a:hover { border-color: var(--accent); }
section { padding: 1.75rem 0 2.25rem; border-top: 1px solid var(--line); }
.meta { color: var(--quiet); font-size: .9rem; margin: .15rem 0 0; }
.works { list-style: none; margin: 1.25rem 0 0; padding: 0; display: grid; gap: 1.75rem 1.5rem; grid-template-columns: minmax(0, 1fr); }
@media (min-width: 40rem) {
  .works { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .works > li:first-child { grid-column: span 2; }
  .works > li:first-child .panel.text p { font-size: 1.2rem; max-width: 40rem; -webkit-line-clamp: 6; }
  .works > li:first-child .panel img { object-position: 50% 30%; }
}
@media (min-width: 62rem) { .works { grid-template-columns: repeat(3, minmax(0, 1fr)); } }
.works h3 a { color: inherit; text-decoration: none; }
.works h3 a:hover { color: var(--accent); text-decoration: underline; }
.panel { height: 13.5rem; border-radius: .8rem; overflow: hidden; border: 1px solid var(--line); background: var(--card); }
.panel img, .panel video { width: 100%; height: 100%; object-fit: cover; display: block; }
.panel video { background: #000; }
.audio {
  display: flex; align-items: flex-end; padding: 1rem;
  background: repeating-radial-gradient(circle at 50% 36%, var(--pond) 0 .8rem, var(--ripple) .8rem .9rem);
}
audio { width: 100%; display: block; }
.panel.text { padding: 1.3rem 1.5rem; display: flex; align-items: center; border-left: .3rem solid var(--accent); }
.panel.text p { margin: 0; font-size: 1.02rem; line-height: 1.5; display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 7; overflow: hidden; }
.panel a { color: inherit; text-decoration: none; display: block; width: 100%; height: 100%; }
.panel.text a { height: auto; }
@media (max-width: 39.99rem) { .panel.audio { height: 9rem; } }
.work { padding: clamp(1.5rem, 4vw, 3rem) 0 3rem; max-width: 60rem; margin: 0 auto; }
.crumb { margin-bottom: .6rem; }
.stage { margin: 1.5rem 0; border-radius: .8rem; overflow: hidden; }
.stage img, .stage video { width: 100%; height: auto; max-height: 80vh; object-fit: contain; display: block; background: #000; }
.stage.image img { background: transparent; }
.stage.audio { min-height: 15rem; }
.prose { margin: 1.75rem 0 2.5rem; max-width: 38rem; font-size: 1.12rem; line-height: 1.7; }
.prose h2 { margin: 2rem 0 .6rem; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: 1rem; margin: 0; padding-top: 1.25rem; border-top: 1px solid var(--line); }
dt { color: var(--quiet); font-size: .85rem; }
dd { margin: 0; overflow-wrap: anywhere; }
footer { color: var(--quiet); font-size: .9rem; padding-top: 1.5rem; padding-bottom: 2rem; }
footer p { border-top: 1px solid var(--line); padding-top: 1.25rem; margin: 0; }
`;
