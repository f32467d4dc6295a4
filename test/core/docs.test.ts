// The generated pages are what the tables say today (`npm run docs` writes them anew), and they hold together.
import { describe, expect, test } from 'vitest';
import { renderErrors } from '../../shared/lib/errors-render.ts';
import { errorTable } from '../../shared/lib/errors.ts';
import { guards } from '../../shared/rotation/guards.ts';
import { transitions } from '../../shared/rotation/machine.ts';
import { renderStateMachine } from '../../shared/rotation/render.ts';
import { statusNames } from '../../shared/rotation/statuses.ts';

const pages = [
  { name: 'state-machine.md', text: renderStateMachine() },
  { name: 'errors.md', text: renderErrors() },
];
const [machine, errors] = [renderStateMachine(), renderErrors()];
const headings = (text: string) =>
  [...text.matchAll(/^#+ (.+)$/gm)].map(([, title]) =>
    (title ?? '')
      .toLowerCase()
      .replaceAll(/[^\w -]/g, '')
      .replaceAll(' ', '-'),
  );

describe.each(pages)('docs/$name', ({ name, text }) => {
  test('is what the tables say', async () => {
    await expect(text).toMatchFileSnapshot(`../../docs/${name}`);
  });

  test('says that it is generated, and how', () => {
    expect(text.split('\n')[0]).toMatch(/Generated .* by `npm run docs`/);
  });

  test('has no heading twice, and each of its links leads somewhere', () => {
    const anchors = headings(text);
    expect(anchors.filter((anchor, n) => anchors.indexOf(anchor) !== n)).toEqual([]);
    const links = [...text.matchAll(/\]\((?:(errors)\.md)?#([^)]+)\)/g)];
    expect(links.length).toBeGreaterThan(10);
    const lost = links.filter(
      ([, page, anchor]) => !(page === undefined ? anchors : headings(errors)).includes(anchor ?? ''),
    );
    expect(lost.map(([link]) => link)).toEqual([]);
  });

  test('has whole tables and nothing that is undefined', () => {
    expect(text).not.toMatch(/undefined|\[object|NaN/);
    const lines = text.split('\n');
    const ragged = lines.filter(
      (line, n) =>
        line.startsWith('|') &&
        lines[n - 1]?.startsWith('|') === true &&
        line.split('|').length !== lines[n - 1]?.split('|').length,
    );
    expect(ragged).toEqual([]);
  });
});

describe('nothing is left out', () => {
  test('each status has a section, each transition and each condition a line', () => {
    expect(statusNames.filter((status) => !machine.includes(`\n### ${status}\n`))).toEqual([]);
    const lines = machine
      .slice(machine.indexOf('## Every transition'), machine.indexOf('## A consumer'))
      .split('\n');
    expect(lines.filter((line) => line.startsWith('| `'))).toHaveLength(transitions.length);
    expect(Object.keys(guards).filter((name) => !machine.includes(`| \`${name}\` |`))).toEqual([]);
  });

  test('each error code has its section', () => {
    expect(Object.keys(errorTable).filter((code) => !errors.includes(`\n### ${code}\n`))).toEqual([]);
  });

  test('three flows are drawn', () => {
    expect([...machine.matchAll(/^stateDiagram-v2$/gm)]).toHaveLength(3);
  });
});
