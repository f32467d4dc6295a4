// velvet audit verify, as an auditor runs it: a log, a public key, and nothing else of Velvet.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { signingKey } from '../../shared/audit/signing-key.ts';
import { keep, ONE, ownKey, put, trailWorld, TWO } from '../audit/trail-world.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { velvet, type Ran } from './commands.ts';

const DAY_MS = 86_400_000;
let server: RedisServer;
let cwd: string;
/** A log as a drain keeps it: three segments of one credential and one of another, the first in many lines. */
let log: readonly string[];
/** The same credential's, with a loss in the middle. */
let lossy: readonly string[];
beforeAll(async () => {
  server = await startRedis();
  cwd = await mkdtemp(join(tmpdir(), 'velvet-audit-verify-'));
  log = await left(false);
  lossy = await left(true);
});
afterAll(async () => {
  await server.stop();
  await rm(cwd, { recursive: true, force: true });
});

async function left(loses: boolean): Promise<readonly string[]> {
  await using world = await trailWorld(server.url);
  const stage = world.stage({ keepDays: 10 });
  await world.write(TWO, 1);
  for (const events of [400, 3, 4, 1]) {
    await world.write(ONE, events);
    await stage.settle();
    if (loses && events === 3) {
      const then = await keep(world.redis, ONE);
      await world.write(ONE, 2);
      await stage.settle();
      await put(world.redis, ONE, then);
      await stage.audit.openEpochIfShorter();
    }
  }
  await world.write(TWO, 1);
  await stage.settle();
  world.clock.move(100 * DAY_MS);
  await stage.retire();
  return world.log.map((line) => `2026-01-01T00:00:00+00:00 app[stage.1]: ${line}`);
}

const isRecord = (line: string) => line.includes('"audit segment left"');
const of = (from: number) => (line: string) =>
  isRecord(line) && line.includes(`credential=${ONE} `) && line.includes(` from_seq=${from} `);

async function verify(lines: readonly string[], key = ownKey.publicKey): Promise<Ran> {
  await writeFile(join(cwd, 'stage.log'), `${lines.join('\n')}\n`);
  return velvet(['audit', 'verify', 'stage.log', '--key', key], { cwd });
}

test('what left is intact, with the key alone; out of order, told twice and among other lines too', async () => {
  expect(log.filter(of(1)).length).toBeGreaterThan(1);
  const told = [
    `${ONE} (staging): intact, events 1 to 407 in 3 segments`,
    `${TWO} (staging): intact, events 1 to 1 in 1 segment,`,
  ];
  for (const lines of [log, log.filter(isRecord), [...log.toReversed(), ...log]]) {
    const { code, stdout, stderr } = await verify(lines);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const line of told) expect(stdout).toContain(line);
    expect(stdout).toContain('GET /audit/verify');
  }
});

test('the public key is printed where the signing key is, and may come from a file', async () => {
  const env = { VELVET_AUDIT_SIGNING_KEY: Buffer.alloc(32, 21).toString('base64') };
  expect(await velvet(['audit', 'key'], { cwd, env })).toEqual({
    code: 0,
    stdout: `${ownKey.publicKey}\n`,
    stderr: '',
  });
  await writeFile(
    join(cwd, 'key.pem'),
    `-----BEGIN PUBLIC KEY-----\n${ownKey.publicKey}\n-----END PUBLIC KEY-----\n`,
  );
  expect((await verify(log, 'key.pem')).code).toBe(0);
  const none = await velvet(['audit', 'key'], { cwd });
  expect([none.code, none.stdout]).toEqual([1, '']);
  expect(none.stderr).toMatch(/^VELVET_AUDIT_SIGNING_KEY must be 32 bytes in base64/);
});

describe('exit code 1, and what was found', () => {
  /** The record of these lines with its text changed, in one line. */
  function changed(lines: readonly string[], change: (text: string) => string): string {
    const record = lines.map((line) => /record="?([A-Za-z0-9+/=]+)/.exec(line)?.[1] ?? '').join('');
    const text = gunzipSync(Buffer.from(record, 'base64')).toString();
    expect(change(text)).not.toBe(text);
    const [line = ''] = lines;
    const again = gzipSync(change(text)).toString('base64');
    return line.replace(/ of=\d+/, ' of=1').replace(/record=.*$/, `record="${again}"`);
  }
  const second = () => log.filter(of(401));
  const others = () => log.filter((line) => isRecord(line) && !of(401)(line));

  test('an event that was changed, or left out', async () => {
    const flip = (text: string) =>
      text.replace(/"cm93","(.)/, (_, one: string) => `"cm93","${one === 'e' ? 'f' : 'e'}`);
    const drop = (text: string) => text.replace(/"events":\[\[.*?\]\],/, '"events":[');
    for (const change of [flip, drop]) {
      const { code, stdout } = await verify([...others(), changed(second(), change)]);
      expect(code).toBe(1);
      expect(stdout).toMatch(/NOT BELIEVED:\n {2}HK_ONE, events 401 to 403 .*: it is not what was sealed/);
      expect(stdout).toContain('HK_ONE (staging): NOT INTACT');
    }
  });

  test('a segment that is not there, or only in part', async () => {
    const without = await verify(others());
    expect(without.code).toBe(1);
    expect(without.stdout).toContain('Events 401 to 403 are not among the records.');
    const [cut = ''] = log.filter(of(1));
    const part = await verify(log.filter((line) => line !== cut));
    expect(part.code).toBe(1);
    expect(part.stdout).toContain('HK_ONE, events 1 to 400');
    expect(part.stdout).toContain('a part of it is missing');
  });

  test('a record that is no record', async () => {
    const { code, stdout } = await verify([
      ...others(),
      ...second().map((line) => line.replace(/record="?..../, 'record="AAAA')),
    ]);
    expect(code).toBe(1);
    expect(stdout).toContain('it is not a record that Velvet wrote');
  });

  test("a stranger's key", async () => {
    const { code, stdout } = await verify(log, signingKey(Buffer.alloc(32, 1)).publicKey);
    expect(code).toBe(1);
    expect(stdout).toContain(
      `it is not signed by a key that was given, though it names the key ${ownKey.id}`,
    );
    expect(stdout).not.toContain('intact');
  });

  test('a loss that was noted, which all that is there does not make good', async () => {
    const { code, stdout } = await verify(lossy);
    expect(code).toBe(1);
    expect(stdout).toMatch(
      /HK_ONE \(staging\): NOT INTACT.*\n.*Redis lost events 404 to 405; Velvet noted and signed that at /,
    );
  });
});

test.each([
  {
    says: 'a file that is not there',
    args: ['gone.log', '--key', ownKey.publicKey],
    told: /^gone\.log could not be read \(ENOENT\)\. Name a file/,
  },
  {
    says: 'a file without records',
    args: ['empty.log', '--key', ownKey.publicKey],
    told: /^empty\.log holds no record .*Give the log of the stage process/,
  },
  { says: 'no key', args: ['empty.log'], told: /required option '--key/ },
  {
    says: 'a key that is none',
    args: ['empty.log', '--key', 'rubbish'],
    told: /^--key is no Ed25519 public key .*npx velvet audit key/,
  },
  {
    says: 'the secret key',
    args: ['empty.log', '--key', Buffer.alloc(32, 21).toString('base64')],
    told: /may be the secret signing key.*npx velvet audit key/,
  },
])('$says: exit code 1, and what to do', async ({ args, told }) => {
  await writeFile(join(cwd, 'empty.log'), 'time=now level=info msg="nothing of ours"\n');
  const { code, stdout, stderr } = await velvet(['audit', 'verify', ...args], { cwd });
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toMatch(told);
  expect(stderr).not.toMatch(/ at .*\.ts:/);
});
