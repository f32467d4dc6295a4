// docs/deploy-heroku.md: its table of config vars is what the process families read. (Its connections are counted in test/boot.test.ts.)
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { readEnv, type Family } from '../../shared/lib/env.ts';
import { common, full, infisicalIdentity, type Source } from './env-fixture.ts';

const page = readFileSync(new URL('../../docs/deploy-heroku.md', import.meta.url), 'utf8');
const families: readonly Family[] = ['web', 'stage', 'distribute', 'healthcheck', 'notifier'];
const source: Source = { ...common, ...full, ...infisicalIdentity, VELVET_VAULT: 'infisical', DYNO: 'web.1' };

const rows = page
  .slice(page.indexOf('## 4. Config vars'), page.indexOf('## 5.'))
  .split('\n')
  .filter((line) => line.startsWith('| `'))
  .map((line) => {
    const [names = '', ...marks] = line.split('|').slice(1, -1);
    return {
      names: [...names.matchAll(/`([A-Z_]+)(?:=\w+)?`/g)].map(([, name = '']) => name),
      read: families.filter((_, n) => marks[n]?.trim() === '✓'),
    };
  });

/** The variables that a family looks at while it reads its environment. */
function readBy(family: Family): ReadonlySet<string> {
  const asked = new Set<string>();
  const watched = new Proxy(source, {
    get: (of, name) => {
      asked.add(String(name));
      return of[String(name)];
    },
  });
  readEnv(family, watched);
  return asked;
}

const looks = new Map(families.map((family) => [family, readBy(family)]));

test('there are rows enough, and none names a variable twice', () => {
  const names = rows.flatMap((row) => row.names);
  expect(names.length).toBeGreaterThan(15);
  expect(new Set(names).size).toBe(names.length);
});

test.for(rows.flatMap(({ names, read }) => names.map((name) => ({ name, read }))))(
  '$name is read by the families that have a mark, and a secret by no other',
  ({ name, read }) => {
    const by = families.filter((family) => looks.get(family)?.has(name) === true);
    expect(by).toEqual(expect.arrayContaining([...read]));
    // Where Infisical's folder is, which is no secret, every family reads along.
    const place = ['INFISICAL_PROJECT_ID', 'VELVET_VAULT_FOLDER', 'INFISICAL_SITE_URL'];
    expect(by.filter((family) => !read.includes(family) && !place.includes(name))).toEqual([]);
  },
);
