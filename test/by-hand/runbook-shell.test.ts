// The runbook's own shell: its block is pasted into a bash, and the commands that it is for are typed, against a real server.
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { listen } from '../api/listen.ts';
import { buildWorld, CREDENTIAL } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

const page = await readFile(new URL('../../docs/runbook.md', import.meta.url), 'utf8');

/** The commands of the block below a heading. */
function block(heading: string): string {
  const [, text = ''] =
    new RegExp(`^## ${heading}\\n[^]*?^\`\`\`bash\\n([^]*?)^\`\`\`$`, 'm').exec(page) ?? [];
  expect(text).not.toBe('');
  return text;
}

test('what it defines works, and shows the token to nobody', async () => {
  await using world = await buildWorld(server.url);
  await using web = await listen(world.app);
  const [, ...shell] = block('Your shell').split('\n');
  const [create = '', , read = ''] = block('Before a rotation').split('\n');
  const answers = [
    'velvet "$VELVET_URL/healthz"',
    'velvet "$VELVET_URL/flags"',
    'velvet "$T/subscribers"',
    create,
    `JOB="$(velvet "$T/rotations?limit=1" | node -pe 'JSON.parse(require("fs").readFileSync(0, "utf8")).rotations[0].job_id')"`,
    read,
    `stage '{"action":"verify"}'`,
    'velvet "$VELVET_URL/audit/verify"',
    `velvet -X PUT "$VELVET_URL/flags/velvet_v2_rotation" -d '{"enabled":true}'`,
  ];
  const script = [`VELVET_URL=${web.url}`, ...shell, 'set -x', ...answers].join('\n');

  const child = spawn('bash', ['-c', script], {
    env: { PATH: `${process.execPath.replace(/[^/]+$/, '')}:${process.env['PATH'] ?? ''}` },
  });
  const said = { out: '', err: '' };
  child.stdout.on('data', (chunk: Buffer) => (said.out += String(chunk)));
  child.stderr.on('data', (chunk: Buffer) => (said.err += String(chunk)));
  child.stdin.end(`${world.operator}\n`);
  expect(await new Promise((resolve) => child.once('close', resolve))).toBe(0);

  const bodies = said.out
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(bodies).toHaveLength(8);
  expect(bodies[0]).toMatchObject({ status: 'ok' });
  expect(bodies[1]).toEqual({ velvet_v2_rotation: true });
  expect(bodies[4]).toMatchObject({ credential: CREDENTIAL, status: 'init' });
  expect(bodies[5]).toMatchObject({ status: 'verifying', job_id: bodies[4]?.['job_id'] });
  expect(said.out).not.toContain(world.operator);
  // What `ps` would have shown.
  const ran = said.err.split('\n').filter((line) => /^\++ curl /.test(line));
  expect(ran.length).toBeGreaterThan(8);
  expect(ran.filter((line) => line.includes(world.operator))).toEqual([]);
});
