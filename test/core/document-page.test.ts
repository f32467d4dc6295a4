// The page that a problem's `type` leads to: every code has its place in it, whoever wrote about it.
import { describe, expect, test } from 'vitest';
import { pageOf, runbookPage } from '../../api/document-page.ts';
import { errorTable } from '../../shared/lib/errors.ts';

const idsOf = (page: string) => [...page.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id);
test('the page of this release has a place for every code, and none twice', () => {
  const ids = idsOf(runbookPage());
  expect(Object.keys(errorTable).filter((code) => !ids.includes(code))).toEqual([]);
  expect(ids.filter((id, n) => ids.indexOf(id) !== n)).toEqual([]);
});

describe('a heading can be linked to', () => {
  test('by the code that it names in backticks, or is', () => {
    const page = pageOf(['### `ticket_required`\n\nOpen one.\n\n### claimed\n\n## What `degraded` means\n']);
    expect(idsOf(page)).toEqual(['ticket_required', 'claimed', 'degraded', 'what-degraded-means']);
  });

  test('by each of several codes', () => {
    expect(idsOf(pageOf(['### `stale_fence`, `stale_version`']))).toEqual([
      'stale_fence',
      'stale_version',
      'stale_fence-stale_version',
    ]);
  });

  test('by its words otherwise, which take no code its place', () => {
    const page = pageOf(['# Degraded\n\n## Before a rotation\n\n### `degraded`\n']);
    expect(idsOf(page)).toEqual(['before-a-rotation', 'degraded']);
  });

  test('and what was written first is what a code leads to', () => {
    const page = pageOf(['### `claimed`\nthe runbook', '### claimed\nthe table']);
    expect(idsOf(page)).toEqual(['claimed']);
    expect(page.indexOf('id="claimed"')).toBeLessThan(page.indexOf('the runbook'));
  });
});

test('what is in a block of code is no heading, and nothing that was written becomes markup', () => {
  const page = pageOf(['```\n# heroku ps\n```\n<script>alert(1)</script> & "x"\n<!-- generated -->\n']);
  expect(idsOf(page)).toEqual([]);
  expect(page).toContain('# heroku ps');
  expect(page).toContain('&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;x&quot;');
  expect(page).not.toContain('generated');
});

test('a link within the page or to https is one; another document is not served here', () => {
  const page = pageOf(['[a](#claimed) [b](https://example.com/x) [c](deploy.md) [d](javascript:alert(1))']);
  expect([...page.matchAll(/<a href="([^"]*)"/g)].map(([, to]) => to)).toEqual([
    '#claimed',
    'https://example.com/x',
  ]);
});
