"""Frame and style sheet of all pages. `page_parts.py` has the pieces, `report_html.py` fills it."""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""

# The --baseline-N colours differ in lightness too, and their markers in shape: readable without colour vision.
STYLE = """
:root {
  --page: #f6f7f9; --card: #ffffff; --ink: #1b1f24; --muted: #59636e; --grid: #d8dde3; --tuned: #2f6fde;
  --baseline-0: #6b7280; --baseline-1: #c2570c; --baseline-2: #0f7b52; --baseline-3: #8b3fb8; --note: #fff6dd;
  --below: #c0233c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #101418; --card: #181d23; --ink: #e6eaef; --muted: #9aa5b1; --grid: #323a43; --tuned: #5b96f7;
    --baseline-0: #a9b1bb; --baseline-1: #f59a4b; --baseline-2: #4cc38a; --baseline-3: #c88af0; --note: #33290f;
    --below: #ff8795;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0; }
h2 { font-size: 1.25rem; margin: 0 0 .5rem; }
h2::first-letter { text-transform: uppercase; }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
p { margin: 0 0 .75rem; }
header p, footer, .small { color: var(--muted); }
.small, footer { font-size: .85rem; }
section { background: var(--card); border: 1px solid var(--grid); border-radius: 10px; padding: 1.25rem;
  margin: 1.25rem 0; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; margin: .5rem 0; }
a { color: var(--tuned); }
.note { background: var(--note); border: 1px solid var(--grid); border-radius: 8px; padding: .6rem .9rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: .75rem; margin: 0 0 1.25rem; }
.card { border: 1px solid var(--grid); border-radius: 8px; padding: .75rem 1rem; }
.card p { margin: 0; color: var(--muted); font-size: .85rem; }
.card p:first-child { color: var(--ink); font-size: .95rem; }
.card strong { color: var(--ink); font-size: 2rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
.scroll + p { margin-top: .5rem; }
figure { margin: .5rem 0; }
figure svg { display: block; width: 100%; min-width: 24rem; max-width: 40rem; height: auto; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(25rem, 100%), 1fr)); gap: 1rem 2rem; }
.plots > div { min-width: 0; }
.plots h3 { margin: .5rem 0 .25rem; overflow-wrap: anywhere; }
.plots figure svg { min-width: 18rem; }
figure svg * { stroke-linejoin: round; stroke-linecap: butt; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .7rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--grid); }
th { color: var(--muted); font-weight: 600; white-space: normal; text-wrap: balance; vertical-align: bottom; }
.text { text-align: left; }
td.strong { font-weight: 600; }
.wrap td { vertical-align: top; }
.wrap td:nth-last-child(-n+2) { min-width: 9rem; max-width: 20rem; white-space: normal; overflow-wrap: anywhere; }
.below, .card p.below { color: var(--below); }
tbody tr:last-child td { border-bottom: 0; }
.track { position: relative; display: inline-block; width: 7rem; height: .8rem; background: var(--grid);
  border-radius: 3px; overflow: hidden; vertical-align: middle; }
.track i { position: absolute; background: var(--tuned); }
.track .range { top: 42%; height: 16%; min-width: 1px; }
.track .iqr { top: 15%; height: 70%; opacity: .6; min-width: 1px; }
.track .median { top: 0; height: 100%; min-width: 2px; margin-left: -1px; background: var(--ink); }
dl { margin: 0 0 1rem; }
dl > div { display: grid; grid-template-columns: 7rem 1fr; gap: .75rem; padding: .15rem 0; }
@media (min-width: 34rem) { section > dl > div { grid-template-columns: 14rem 1fr; } }
dt { color: var(--muted); }
dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
pre { margin: 0; font: .85rem/1.45 ui-monospace, Menlo, Consolas, monospace; white-space: pre-wrap;
  overflow-wrap: anywhere; }
details { border-top: 1px solid var(--grid); padding: .5rem 0; }
summary { cursor: pointer; overflow-wrap: anywhere; }
summary span { color: var(--muted); font-variant-numeric: tabular-nums; }
.sample { border-left: 3px solid var(--grid); padding: .25rem 0 .25rem .9rem; margin: .75rem 0; }
@media (max-width: 34rem) {
  section { padding: 1rem .8rem; }
  dl > div { grid-template-columns: 1fr; gap: 0; }
}
@media print { section { break-inside: avoid-page; } body { background: none; } }
"""
