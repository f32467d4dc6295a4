// docs/consumer-proof.md: its code is taken out of the page, run as a server in its own language, and asked by the probe of the product.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../shared/lib/clock.ts';
import { Secret } from '../../shared/lib/secret.ts';
import { newRow } from '../../shared/rotation/rows.ts';
import { times } from '../../shared/times.ts';
import { judge } from '../../workers/stages/probe.ts';
import type { VendorCall } from '../../workers/vendors/contract.ts';
import { createHealthcheck } from '../../workers/vendors/healthcheck.ts';
import { createDoor } from '../../workers/vendors/http.ts';

interface Language {
  readonly name: string;
  /** The word behind the fence. */
  readonly fence: string;
  readonly program: string;
  readonly file: string;
  readonly server: URL;
  /** What a hurried hand makes of it: the header's name, and a plain hash in place of the keyed one. */
  readonly wrongHeader: readonly [string, string];
  readonly withoutKey: readonly [string, string];
}

const languages: readonly Language[] = [
  {
    name: 'Node',
    fence: 'js',
    program: process.execPath,
    file: 'proof.mjs',
    server: new URL('server.ts', import.meta.url),
    wrongHeader: ["'Velvet-Proof'", "'X-Velvet-Proof'"],
    withoutKey: ["createHmac('sha256', token())", "createHmac('sha256', '')"],
  },
  {
    name: 'Python',
    fence: 'python',
    program: 'python3',
    file: 'proof.py',
    server: new URL('server.py', import.meta.url),
    wrongHeader: ['"Velvet-Proof"', '"X-Velvet-Proof"'],
    withoutKey: [
      'hmac.new(self.token().encode(), nonce.encode(), hashlib.sha256)',
      'hashlib.sha256((self.token() + nonce).encode())',
    ],
  },
  {
    name: 'Ruby',
    fence: 'ruby',
    program: 'ruby',
    file: 'proof.rb',
    server: new URL('server.rb', import.meta.url),
    wrongHeader: ['"velvet-proof"', '"x-velvet-proof"'],
    withoutKey: [
      'OpenSSL::HMAC.digest("SHA256", @token.call, nonce)',
      'OpenSSL::Digest.digest("SHA256", @token.call + nonce)',
    ],
  },
];

const page = await readFile(new URL('../../docs/consumer-proof.md', import.meta.url), 'utf8');
const [before, next] = [new Secret('HRKU-the-token-of-before'), new Secret('HRKU-the-new-token')];
const NONCE = 'job-1.consumer.4f1e';

/** The middleware as the page shows it; the page has one block of each language. */
function shown({ fence }: Language): string {
  const blocks = [...page.matchAll(new RegExp(`^\`\`\`${fence}\\n([^]*?)^\`\`\`$`, 'gm'))];
  expect(blocks).toHaveLength(1);
  return blocks[0]?.[1] ?? '';
}

interface Consumer extends AsyncDisposable {
  readonly url: string;
  /** What the app works on from now on. */
  hold(token: Secret): Promise<void>;
}

async function start(
  language: Language,
  code: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Consumer> {
  if (spawnSync(language.program, ['--version']).status !== 0)
    throw new Error(
      `${language.program} is not on the PATH: bin/setup --for-tests installs it. This test is not skipped, for the page promises that its code works.`,
    );
  const dir = await mkdtemp(join(tmpdir(), 'velvet-proof-'));
  const [file, tokenFile] = [join(dir, language.file), join(dir, 'token')];
  await writeFile(file, code);
  await writeFile(tokenFile, before.reveal());
  const server = fileURLToPath(language.server);
  const child = spawn(language.program, [server, file], {
    env: { PATH: process.env['PATH'], TOKEN_FILE: tokenFile, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const port = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve);
    child.once('exit', () => reject(new Error(`${language.name}: the server ended`)));
  });
  return {
    url: `http://127.0.0.1:${port}/healthz`,
    hold: (token) => writeFile(tokenFile, token.reveal()),
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await exited;
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** What the product makes of the consumer's answer while old and new token both live. */
async function seenAt(consumer: Consumer, probeKey?: string) {
  const healthcheck = createHealthcheck({
    door: createDoor({ fetch: globalThis.fetch, clock: systemClock, times }),
    times,
    ...(probeKey === undefined ? {} : { probeKey: new Secret(probeKey) }),
  });
  const call: VendorCall = {
    jobId: 'job-1',
    fence: '1-a',
    lease: null,
    signal: new AbortController().signal,
    repeat: false,
  };
  const result = await healthcheck.probe(call, { healthcheck_endpoint: consumer.url }, NONCE);
  expect([result.class, result.httpStatus]).toEqual(['ok', 200]);
  const row = newRow(
    {
      consumer_id: 'consumer',
      update_method: 'HEROKU_CONFIG_PATCH',
      wave: 1,
      self: false,
      healthcheck_endpoint: consumer.url,
      healthcheck_success_status: 200,
      healthcheck_after: 0,
      probe: 'self_report',
      proof: 'possession',
    },
    0,
  );
  const values = { next, previous: before };
  const { proven, holds } = judge({ row, result, nonce: NONCE, begunAt: 1, values });
  return { proven, holds };
}

const proven = { proven: 'possession', holds: 'new' };
const onOld = { proven: null, holds: 'old' };
const onOther = { proven: null, holds: 'other' };
const unproven = { proven: null, holds: 'unknown' };

describe.each(languages)('$name', (language) => {
  const broken = ([find, put]: readonly [string, string]) => {
    expect(shown(language).split(find)).toHaveLength(2);
    return shown(language).replace(find, () => put);
  };

  test('what the page shows proves the value that the app works on, and disproves the one that it has not got', async () => {
    await using consumer = await start(language, shown(language));
    expect(await seenAt(consumer)).toEqual(onOld);
    await consumer.hold(next);
    expect(await seenAt(consumer)).toEqual(proven);
    await consumer.hold(new Secret('HRKU-somebody-elses'));
    expect(await seenAt(consumer)).toEqual(onOther);
  });

  test('with a probe key it answers nobody who has not got it', async () => {
    await using consumer = await start(language, shown(language), { PROBE_KEY: 'the-probe-key' });
    await consumer.hold(next);
    expect(await seenAt(consumer)).toEqual(unproven);
    expect(await seenAt(consumer, 'another-key')).toEqual(unproven);
    expect(await seenAt(consumer, 'the-probe-key')).toEqual(proven);
  });

  test('given a copy that was taken at start it is not proven, whatever the app works on by now', async () => {
    await using consumer = await start(language, shown(language), { STALE: '1' });
    await consumer.hold(next);
    expect(await seenAt(consumer)).toEqual(onOld);
  });

  test('under another header it proves nothing', async () => {
    await using consumer = await start(language, broken(language.wrongHeader));
    await consumer.hold(next);
    expect(await seenAt(consumer)).toEqual(unproven);
  });

  test('a hash that is not keyed with the token proves nothing', async () => {
    await using consumer = await start(language, broken(language.withoutKey));
    await consumer.hold(next);
    expect(await seenAt(consumer)).toEqual(onOther);
  });
});
