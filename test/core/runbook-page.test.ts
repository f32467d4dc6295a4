// docs/runbook.md: nothing that an operator can meet is missing from it, and nothing in it is a command that does not exist.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { buildApp } from '../../api/app.ts';
import type { ApiDeps } from '../../api/router.ts';
import { createBody, drillBody, flagBody } from '../../api/schemas.ts';
import { stageBody } from '../../api/stage-bodies.ts';
import { errorTable } from '../../shared/lib/errors.ts';
import { sopNames } from '../../shared/manifest/sop/page.ts';
import { loadManifest } from '../../shared/manifest/load.ts';
import { bootstrapCredentials } from '../../shared/manifest/vendors.ts';
import { operatorActionNames, transitions, type OperatorAction } from '../../shared/rotation/machine.ts';
import { residualKindNames } from '../../shared/rotation/residuals.ts';
import { statusNames, type Status } from '../../shared/rotation/statuses.ts';
import { committed, strict } from './manifest-text.ts';

const fileOf = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const read = (path: string) => readFileSync(fileOf(path), 'utf8');
const page = read('docs/runbook.md');
const guide = `${page}\n${read('docs/deploy-heroku.md')}\n${read('README.md')}`;

/** Heading → what stands under it, up to the next heading of any level. */
const sections = new Map(
  page
    .split(/^(?=#{1,3} )/m)
    .map((part) => /^#{1,3} (.*)\n([^]*)$/.exec(part))
    .map((found) => [found?.[1] ?? '', (found?.[2] ?? '').trim()] as const),
);
const under = (name: string) => sections.get(`\`${name}\``) ?? '';

describe('nothing is missing', () => {
  test.for([...statusNames, ...Object.keys(errorTable)])('%s has a section of its own', (name) => {
    expect(under(name).length).toBeGreaterThan(80);
  });

  test('no section is empty, no two say the same, and none is about what is not there', () => {
    const texts = [...sections.values()];
    expect(texts.length).toBeGreaterThan(90);
    expect(texts.filter((text) => text === '')).toEqual([]);
    expect(texts.filter((text, n) => texts.indexOf(text) !== n)).toEqual([]);
    const known = new Set<string>([...statusNames, ...Object.keys(errorTable)]);
    const named = [...sections.keys()].flatMap((title) => /^`(\w+)`$/.exec(title)?.[1] ?? []);
    expect(named.filter((name) => !known.has(name))).toEqual([]);
    expect(named).toHaveLength(known.size);
  });

  test.for(residualKindNames)('the residual %s has its row', (kind) => {
    expect(sections.get('Residuals')).toMatch(new RegExp(`^\\| \`${kind}\` \\|.{60,}`, 'm'));
  });

  test.for(Object.keys(bootstrapCredentials))('the bootstrap procedure names %s', (name) => {
    expect(sections.get('Bootstrap credentials')).toContain(`\`${name}\``);
  });

  test('the bootstrap procedure has all of its steps, in order', () => {
    const text = sections.get('Bootstrap credentials') ?? '';
    const order = [
      'heroku authorizations:create',
      '--app velvet-prod >/dev/null 2>&1',
      '--app velvet-staging',
      '/healthz?deep=1',
      'heroku authorizations:revoke',
      'HK_VELVET_BOOTSTRAP__AUTH_ID',
    ].map((part) => text.indexOf(part));
    expect(order).not.toContain(-1);
    expect(order).toEqual(order.toSorted((a, b) => a - b));
  });
});

/** What an operator may do in a status, and whether this release does it. */
const actionsOf = (status: Status): readonly OperatorAction[] =>
  operatorActionNames.filter((action) =>
    transitions.some((row) => row.from === status && row.on === action && row.by === 'operator'),
  );

describe('a status and its actions', () => {
  test.for(statusNames)('%s: each action that it takes is named, and none other is sent', (status) => {
    const text = under(status);
    const taken = actionsOf(status);
    expect(
      taken.filter((action) => !text.includes(`\`${action}\``) && !text.includes(`"action":"${action}"`)),
    ).toEqual([]);
    const sent = [...text.matchAll(/"action":"(\w+)"/g)].map(([, action]) => action);
    expect(sent.filter((action) => !taken.some((one) => one === action))).toEqual([]);
  });
});

// --- Commands ------------------------------------------------------------------------------------------------------

/** Every command of a document, in blocks and between backticks. */
const commands = [...guide.matchAll(/^```(?:bash)?\n([^]*?)^```$|`([^`\n]+)`/gm)].flatMap(([, block, word]) =>
  (block ?? word ?? '').split('\n').map((line) => line.trim()),
);

describe('every command exists', () => {
  const ofVelvet = commands.flatMap((line) =>
    [...line.matchAll(/npx velvet((?: [a-z]+)*)([^|`)]*)/g)].map(([, words = '', rest = '']) => ({
      words: words.trim().split(' '),
      rest,
    })),
  );

  test('npx velvet: its subcommands and their flags', () => {
    const wanted = new Map<string, Set<string>>();
    for (const { words, rest } of ofVelvet.filter(({ words: [first] }) => first !== '')) {
      const [group = '', verb = ''] = words;
      const name = ['manifest', 'token', 'vault', 'audit'].includes(group)
        ? `${group} ${verb}`.trim()
        : group;
      const flags = wanted.get(name) ?? new Set();
      for (const [flag] of rest.matchAll(/--[a-z-]+/g)) flags.add(flag);
      wanted.set(name, flags);
    }
    expect(wanted.size).toBeGreaterThan(5);
    for (const [name, flags] of wanted) {
      const help = execFileSync(process.execPath, [fileOf('bin/velvet.ts'), ...name.split(' '), '--help'], {
        encoding: 'utf8',
      });
      expect(help).toContain(`Usage: velvet ${name}`);
      for (const flag of flags) expect(help).toContain(flag);
    }
  });

  test('npm run: its scripts', () => {
    const { scripts } = JSON.parse(read('package.json')) as {
      readonly scripts: Readonly<Record<string, string>>;
    };
    const named = [...guide.matchAll(/npm (?:run )?([a-z:]+)/g)].map(([, name = '']) => name);
    expect(named).toContain('sop');
    expect(named.filter((name) => !['install', 'ci'].includes(name) && scripts[name] === undefined)).toEqual(
      [],
    );
  });

  test('what is sent to a stage, to rotate and to a flag is what the API takes', () => {
    const stages = [...guide.matchAll(/stage '(\{[^']*\})'/g)].map(([, body = '']) => body);
    expect(stages.length).toBeGreaterThan(20);
    for (const body of stages) expect(stageBody.safeParse(JSON.parse(body)).error).toBeUndefined();
    const bodies = [...page.matchAll(/(\S+) -d '(\{[^']*\})'/g)].map(
      ([, where = '', body = '']) => [where, body] as const,
    );
    expect(bodies.length).toBeGreaterThan(1);
    for (const [where, body] of bodies) {
      const schema = where.includes('/flags/') ? flagBody : where.includes('/alarm/') ? drillBody : createBody; // prettier-ignore
      expect(schema.safeParse(JSON.parse(body)).error).toBeUndefined();
    }
  });

  test('what is asked of the API is a route of it', () => {
    const routes = new Set(buildApp({} as ApiDeps).routes.map(({ path }) => path));
    const asked = [...page.matchAll(/"\$(T|VELVET_URL)(\/[^"?]*)?(?:\?[^"]*)?"/g)].map(
      ([, base, path = '']) =>
        `${base === 'T' ? '/tokens/:name' : ''}${path}`
          .replace('$JOB', ':job_id')
          .replace('$NAME', ':name')
          .replace(/^\/flags\/.+/, '/flags/:name'),
    );
    expect(asked.length).toBeGreaterThan(15);
    expect([...new Set(asked)].filter((path) => path !== '/tokens/:name' && !routes.has(path))).toEqual([]);
  });

  test("Heroku's commands that print values throw their output away", () => {
    const loud = commands.filter((line) => /heroku (config:set|authorizations:revoke) /.test(line));
    expect(loud.length).toBeGreaterThan(4);
    const quiet = (line: string) => line.includes('>/dev/null 2>&1');
    expect(loud.filter((line) => line.includes('config:set') && !quiet(line))).toEqual([]);
  });

  test('pages of docs/sop that it speaks of are there', () => {
    const named = [...page.matchAll(/\(sop\/(\w+)\.md\)/g)].map(([, name]) => name);
    const there = sopNames(loadManifest(committed, strict));
    expect(named.length).toBeGreaterThan(2);
    expect(named.filter((name) => !there.some((one) => one === name))).toEqual([]);
  });

  test('each link within the page leads to a heading', () => {
    const anchors = new Set(
      [...sections.keys()].map((title) =>
        title
          .toLowerCase()
          .replaceAll(/[^\w -]/g, '')
          .replaceAll(' ', '-'),
      ),
    );
    const links = [...page.matchAll(/\]\(#([^)]+)\)/g)].map(([, anchor = '']) => anchor);
    expect(links.length).toBeGreaterThan(50);
    expect([...new Set(links)].filter((anchor) => !anchors.has(anchor))).toEqual([]);
  });
});
