// What an operator does in a shell where a person mints: adopt the first value, submit the new one. Neither is ever an argument.
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, request as forward } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CREDENTIAL, type World } from '../harness.ts';
import { listen } from '../api/listen.ts';
import { awaits, byHandWorld, MINT_INSTRUCTIONS, newToken, toAwaiting } from '../flows/by-hand-world.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { onTerminal, velvet } from './commands.ts';

/** Each command is a process of its own, on a machine that may have other things to do. */
const COMMANDS_MS = 180_000;

let redis: RedisServer;
let cwd: string;
beforeAll(async () => {
  [redis, cwd] = await Promise.all([startRedis(), mkdtemp(join(tmpdir(), 'velvet-by-hand-'))]);
});
afterAll(async () => {
  await redis.stop();
  await rm(cwd, { recursive: true, force: true });
});

const envOf = (world: World, url: string) => ({
  VELVET_ALLOW_LOOPBACK: '1',
  VELVET_URL: url,
  VELVET_TOKEN: world.operator,
});

test(
  'submit takes the value from a pipe to the job that waits for it, and says what became of it',
  async () => {
    await using world = await byHandWorld(redis.url);
    await using web = await listen(world.app);
    const env = envOf(world, web.url);
    const jobId = await toAwaiting(world);
    const { token } = newToken(world);

    const wrong = await velvet(['submit', CREDENTIAL], { cwd, env, input: 'wrong-value\n' });
    expect([wrong.code, wrong.stdout]).toEqual([1, '']);
    expect(wrong.stderr).toContain(MINT_INSTRUCTIONS);
    expect(wrong.stderr).toContain('The vendor refuses the value');
    expect(wrong.stderr).toContain('(value_refused)');
    const right = await velvet(['submit', CREDENTIAL], { cwd, env, input: token });

    expect([right.code, right.stdout]).toEqual([
      0,
      expect.stringMatching(new RegExp(`^taken: job ${jobId} is \\w+\n$`)),
    ]);
    // The reason of the last refusal is what it begins with.
    expect(right.stderr).toContain('The vendor refuses the value');
    expect(`${right.stdout}${right.stderr}`).not.toContain(token);
    await world.reaches(jobId, 'validated');
  },
  COMMANDS_MS,
);

test(
  'submit says that a value whose answer was lost may have been taken, and it was',
  async () => {
    await using world = await byHandWorld(redis.url);
    await using web = await listen(world.app);
    // The request goes through, and its answer never comes back.
    const losing = createServer((request, response) => {
      const to = { method: request.method, headers: request.headers };
      const onward = forward(`${web.url}${request.url}`, to, (answer) => {
        if (request.method === 'POST') return response.destroy();
        response.writeHead(answer.statusCode ?? 500, answer.headers);
        return answer.pipe(response);
      });
      request.pipe(onward);
    });
    await new Promise<void>((resolve) => losing.listen(0, '127.0.0.1', resolve));
    const { port } = losing.address() as AddressInfo;
    const jobId = await toAwaiting(world);
    const { token } = newToken(world);

    const env = envOf(world, `http://127.0.0.1:${port}`);
    const lost = await velvet(['submit', CREDENTIAL], { cwd, env, input: token });
    losing.close();

    expect([lost.code, lost.stdout]).toEqual([1, '']);
    expect(lost.stderr).toContain('gave no answer');
    expect(lost.stderr).toContain('may have been taken all the same: look at the job');
    expect(lost.stderr).not.toContain(token);
    await world.reaches(jobId, 'validated');
  },
  COMMANDS_MS,
);

test(
  'submit asks on a terminal, and shows nothing of what is typed',
  async () => {
    await using world = await byHandWorld(redis.url);
    await using web = await listen(world.app);
    const jobId = await toAwaiting(world);
    const { token } = newToken(world);

    const { code, screen } = await onTerminal(
      ['submit', CREDENTIAL],
      { cwd, env: envOf(world, web.url) },
      { prompt: 'not shown', typed: `${token}\r` },
    );

    expect(screen).toContain(`taken: job ${jobId}`);
    expect(code).toBe(0);
    expect(screen).not.toContain(token.slice(0, 12));
  },
  COMMANDS_MS,
);

test(
  'submit asks nobody for a value that no job waits for, that cannot be one, or that cannot be sent',
  async () => {
    await using world = await byHandWorld(redis.url);
    await using web = await listen(world.app);
    const env = envOf(world, web.url);
    const submit = (input: string, more: Readonly<Record<string, string>> = {}) =>
      velvet(['submit', CREDENTIAL], { cwd, env: { ...env, ...more }, input });

    expect((await submit('hunter2')).stderr).toContain(`No rotation of ${CREDENTIAL} waits for a value`);
    const jobId = await toAwaiting(world);
    // oxfmt-ignore
    const ran = [
    [await submit(''),                                                 `npx velvet submit ${CREDENTIAL}`],
    [await submit('hunter2\nhunter2'),                                 'more than one line'],
    [await submit('hunter2'.repeat(2_400)),                            '16 KiB'],
    [await submit('hunter2', { VELVET_TOKEN: 'vlt_none' }),            '(unauthenticated)'],
    [await submit('hunter2', { VELVET_TOKEN: await world.token(['read']) }), '(forbidden)'],
    [await submit('hunter2', { VELVET_URL: 'http://127.0.0.1:9' }),    'was not reached'],
    [await submit('hunter2', { VELVET_URL: '' }),                      'VELVET_URL is not set'],
  ] as const;
    for (const [{ code, stdout, stderr }, says] of ran) {
      expect([code, stdout]).toEqual([1, '']);
      expect(stderr).toContain(says);
      expect(stderr).not.toMatch(/hunter|at .*:\d+\)/);
    }
    await awaits(world, jobId, 'value_needed');
  },
  COMMANDS_MS,
);

test(
  'adopt asks the address of the manifest about the first value, with no authority',
  async () => {
    await using world = await byHandWorld(redis.url, { adopt: false });
    const adopt = (input: string) => velvet(['adopt', CREDENTIAL], { cwd, env: world.environment, input });

    const dead = await adopt('wrong-value');
    expect(dead.code).toBe(1);
    expect(dead.stderr).toContain('The issuer refuses this value');
    const first = await adopt(world.firstToken);

    expect(first.code).toBe(0);
    expect(first.stderr).toContain('revoke will be by hand (delete it at the vendor');
    expect((await world.vault.read(CREDENTIAL))?.reveal()).toBe(world.firstToken);
  },
  COMMANDS_MS,
);
