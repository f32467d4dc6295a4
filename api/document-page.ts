// The documents that a problem's `type` points into, as one page. Law: `#<error code>` leads to what is written about that code, whoever wrote it first.
import { existsSync, readFileSync } from 'node:fs';
import { isErrorCode } from '../shared/lib/errors.ts';

/** In this order: what people wrote for each code, and behind it the generated table, which has every code. */
const sources = ['runbook.md', 'errors.md'].map((name) => new URL(`../docs/${name}`, import.meta.url));

/** The runbook as a page of HTML: the text as it was written, each heading with its anchors. */
export function runbookPage(): string {
  // One that is not there leaves its sections to the other: no link of a problem may lead nowhere.
  return pageOf(sources.filter((source) => existsSync(source)).map((source) => readFileSync(source, 'utf8')));
}

/** A heading that names an error code in backticks, or is one, can be linked to by the code; every heading by its words, as on GitHub. */
export function pageOf(documents: readonly string[]): string {
  const taken = new Set<string>();
  const body = documents.map((text) => blocksOf(text, taken)).join('\n<hr>\n');
  return [
    '<!doctype html>',
    '<html lang="en"><head><meta charset="utf-8"><title>Velvet: runbook</title>',
    '<meta name="viewport" content="width=device-width">',
    '<style>body{max-width:60rem;margin:1rem auto;padding:0 1rem;font:1rem/1.5 system-ui,sans-serif}pre{white-space:pre-wrap;font:inherit}:target{background:#fd6}</style>',
    `</head><body>\n${body}\n</body></html>\n`,
  ].join('\n');
}

function blocksOf(text: string, taken: Set<string>): string {
  const blocks: string[] = [];
  let plain: string[] = [];
  let inCode = false;
  const flush = () => {
    const said = plain.join('\n').trim();
    if (said !== '') blocks.push(`<pre>${withLinks(escaped(said))}</pre>`);
    plain = [];
  };
  for (const line of text.replaceAll(/<!--[^]*?-->/g, '').split('\n')) {
    if (/^\s*(```|~~~)/.test(line)) inCode = !inCode;
    const [, marks, title] = (inCode ? null : /^(#{1,6}) +(.+?) *#*$/.exec(line)) ?? [];
    if (marks === undefined || title === undefined) {
      plain.push(line);
      continue;
    }
    flush();
    const level = marks.length;
    const anchors = anchorsOf(title).filter((anchor) => !taken.has(anchor));
    anchors.forEach((anchor) => taken.add(anchor));
    const [first, ...more] = anchors;
    const others = more.map((anchor) => `<a id="${anchor}"></a>`).join('');
    blocks.push(
      `<h${level}${first === undefined ? '' : ` id="${first}"`}>${others}${withLinks(escaped(title))}</h${level}>`,
    );
  }
  flush();
  return blocks.join('\n');
}

function anchorsOf(title: string): readonly string[] {
  const named = [...title.matchAll(/`([^`]+)`/g)].map(([, word]) => word ?? '');
  const codes = [title.trim(), ...named].filter(isErrorCode);
  const words = title
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}_ -]/gu, '')
    .replaceAll(' ', '-');
  // "Degraded" as the title of something else must not take the place of what is written about `degraded`.
  const own = words === '' || (isErrorCode(words) && !codes.includes(words)) ? [] : [words];
  return [...new Set([...codes, ...own])];
}

function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

/** Only what stays on the page or is https: other documents are not served here. */
function withLinks(html: string): string {
  return html.replaceAll(/\[([^\]]+)\]\((#[\w-]+|https:\/\/[^)\s"]+)\)/g, '<a href="$2">$1</a>');
}
