import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createCrew, doubling, readProcfile, type Crew } from '../../bin/cli/processes.ts';
import { until } from '../harness.ts';

let cwd: string;
beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'velvet-crew-'));
});
afterAll(() => rm(cwd, { recursive: true, force: true }));

interface Watched {
  readonly crew: Crew;
  readonly lines: string[];
  readonly events: string[];
}

function watched(): Watched {
  const [lines, events]: [string[], string[]] = [[], []];
  const crew = createCrew({
    cwd,
    onLine: (name, line) => lines.push(`${name}: ${line}`),
    onEvent: (name, text) => events.push(`${name} ${text}`),
  });
  return { crew, lines, events };
}

const script = (text: string) => [process.execPath, '-e', text];
const alive = (pid: number) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};
const never = () => null;

test('the Procfile is the one list: every line but the release step, each as a process of its own', () => {
  const procfile = readProcfile(new URL('../../Procfile', import.meta.url).pathname);

  expect(procfile.map(({ name }) => name)).toEqual(['web', 'stage', 'distribute', 'healthcheck', 'notifier']);
  expect(procfile[0]?.command).toEqual(['sh', '-c', 'exec node api/main.ts']);
});

test('whoever dies is started again, and each line is told with its name', async () => {
  const { crew, lines, events } = watched();
  const env = { GIVEN: 'yes' };
  crew.start({ name: 'web', command: script('console.log(process.env.GIVEN, process.env.HOME); console.error("err"); setInterval(() => {}, 1e6)'), env, againAfterMs: () => 20 }); // prettier-ignore
  await until(() => (lines.length === 2 ? true : null));
  const first = crew.pids().get('web') ?? 0;

  process.kill(first, 'SIGKILL');
  await until(() => (lines.length === 4 ? true : null));
  const second = crew.pids().get('web') ?? 0;
  await crew.stop(5_000);

  expect(lines.toSorted()).toEqual(['web: err', 'web: err', 'web: yes undefined', 'web: yes undefined']);
  expect(events).toEqual([
    'web died (SIGKILL); starting it again in 0.02 s',
    `web started again, pid ${second}`,
  ]);
  expect(second).not.toBe(first);
  expect(alive(second)).toBe(false);
});

test('stopping asks with SIGTERM, reads the last lines, and kills what does not go with all that it started', async () => {
  const { crew, lines, events } = watched();
  crew.start({ name: 'kind', command: script('process.on("SIGTERM", () => { console.log("bye"); process.exit() }); console.log("up"); setInterval(() => {}, 1e6)'), env: {}, againAfterMs: () => 0 }); // prettier-ignore
  const stubborn = `process.on("SIGTERM", () => {}); const { spawn } = require("node:child_process"); console.log(spawn("sleep", ["1000"], { stdio: "inherit" }).pid); setInterval(() => {}, 1e6)`;
  crew.start({ name: 'stubborn', command: script(stubborn), env: {}, againAfterMs: () => 0 });
  await until(() => (lines.length === 2 ? true : null));
  const grandchild = Number(lines.find((line) => line.startsWith('stubborn'))?.split(' ')[1]);
  expect(alive(grandchild)).toBe(true);

  await crew.stop(300);

  expect(lines).toContain('kind: bye');
  expect(events).toEqual([]);
  expect(crew.pids().size).toBe(0);
  await until(() => (alive(grandchild) ? null : true));
});

test('a crew that is being stopped starts nothing any more', async () => {
  const { crew, events } = watched();
  crew.start({ name: 'brief', command: script(''), env: {}, againAfterMs: () => 50 });
  await until(() => (events.length === 1 ? true : null));

  await crew.stop(1_000);
  crew.start({ name: 'late', command: script(''), env: {}, againAfterMs: never });
  await new Promise((resolve) => setTimeout(resolve, 100));

  expect(crew.pids().size).toBe(0);
  expect(events).toEqual(['brief died (exit code 0); starting it again in 0.05 s']);
});

test('a program that is not there is told and not started over and over', async () => {
  const { crew, events } = watched();
  crew.start({ name: 'ghost', command: [join(cwd, 'nothing')], env: {}, againAfterMs: never });

  await until(() => (events.length > 0 ? true : null));
  await crew.stop(1_000);

  expect(events).toEqual([expect.stringMatching(/^ghost could not be started: .*ENOENT/)]);
});

test('the wait before a restart doubles up to half a minute', () => {
  expect([1, 2, 3, 6, 50].map(doubling)).toEqual([1_000, 2_000, 4_000, 30_000, 30_000]);
});

test('a Procfile may have blank lines and comments', async () => {
  await writeFile(
    join(cwd, 'Procfile'),
    '# all of it\n\nweb: node a.ts\n release: node r.ts\nwork-er_2: node b.ts x\n',
  );

  expect(readProcfile(join(cwd, 'Procfile')).map(({ name }) => name)).toEqual(['web', 'work-er_2']);
  expect(await readFile(join(cwd, 'Procfile'), 'utf8')).toContain('release');
});
