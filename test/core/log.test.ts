import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { VelvetError } from '../../shared/lib/errors.ts';
import { createLog, logfields } from '../../shared/lib/log.ts';
import type { Log, LogFields } from '../../shared/lib/log.ts';
import { Secret } from '../../shared/lib/secret.ts';

const clock = { now: () => Date.UTC(2026, 9, 5, 12, 0, 0, 7), monotonic: () => 0 };

function logInto(lines: string[], family = 'stage'): Log {
  return createLog({ env: 'prod', family, clock, write: (line) => lines.push(line) });
}

/** The line of one event, without its beginning. */
function lineOf(fields: LogFields): string {
  const lines: string[] = [];
  logInto(lines).info('m', fields);
  return (lines[0] ?? '').replace(/^.* msg=m env=prod ?/, '');
}

describe('a line', () => {
  test('tells one event, its fields in the order given', () => {
    const lines: string[] = [];
    const log = logInto(lines).with({ job_id: '7f1c', credential: 'HK_PLATFORM_FULL' });

    log.warn('mint failed', {
      consumer_id: 'heroku-console',
      attempt: 1,
      error: 'Timeout',
      http_status: 503,
      last: null,
      ok: false,
    });

    expect(lines).toEqual([
      'time=2026-10-05T12:00:00.007Z level=warning logger=stage msg="mint failed" env=prod job_id=7f1c ' +
        'credential=HK_PLATFORM_FULL consumer_id=heroku-console attempt=1 error=Timeout http_status=503 last=null ok=false',
    ]);
  });

  test('stays one line, whatever is in it', () => {
    const lines: string[] = [];

    logInto(lines).error('two\nlines', {
      detail: 'a\r\nb\tc "d" \\ \u001b[31m\u0000\u0085',
      'odd key\n=': 'x',
    });

    expect(lines[0]).toMatch(/^[ -~]+$/);
    expect(lines[0]).toContain(String.raw`msg="two\nlines"`);
    expect(lines[0]).toContain(String.raw`detail="a\r\nb\tc \"d\" \\ \u001b[31m`);
  });

  test('leaves undefined fields out, and a later field of a name wins', () => {
    const lines: string[] = [];

    logInto(lines).with({ a: 1, b: 2 }).with({ b: 3 }).info('m', { a: undefined, c: 'null' });

    expect(lines[0]).toMatch(/msg=m env=prod b=3 c="null"$/);
  });

  test('does not grow without bound', () => {
    expect(lineOf({ detail: 'x'.repeat(100_000) })).toBe(`detail="${'x'.repeat(4000)}… (96000 more)"`);
  });
});

describe('redaction', () => {
  test('a secret prints as [secret] under any name', () => {
    expect(lineOf({ note: new Secret('hush-hush') })).toBe('note=[secret]');
  });

  test.for([
    'token',
    'access_token',
    'accessToken',
    'client_secret',
    'password',
    'passwd',
    'Authorization',
    'api_key',
    'apikey',
    'private_key',
    'value',
    'new_value',
    'set_cookie',
    'cookie',
    'token_hint',
    'bearer',
  ])('a field named %s is never printed', (name) => {
    expect(lineOf({ [name]: 'hush-hush' })).toBe(`${name}=[secret]`);
  });

  test.for([
    'token_name',
    'token_count',
    'token_id',
    'secret_names',
    'value_fingerprint',
    'token_expires_at',
    'credential',
    'job_id',
    'old_auth_id',
    'detail',
  ])('a field named %s is printed', (name) => {
    expect(lineOf({ [name]: 'plain' })).toBe(`${name}=plain`);
  });

  test('an object that came by a cast is not looked into', () => {
    const fields = { body: { nested: 'hush-hush' }, list: ['hush-hush'] } as unknown as LogFields;

    expect(lineOf(fields)).toBe('body=[object] list=[object]');
  });
});

describe('two logs in one process', () => {
  test('share neither destination nor fields', () => {
    const [one, other]: [string[], string[]] = [[], []];
    const stage = logInto(one, 'stage').with({ job_id: 'a' });
    const notifier = logInto(other, 'notifier');

    stage.info('for one');
    notifier.info('for the other');

    expect(one).toEqual([expect.stringMatching(/logger=stage msg="for one" env=prod job_id=a$/)]);
    expect(other).toEqual([expect.stringMatching(/logger=notifier msg="for the other" env=prod$/)]);
  });

  test('write to standard output where nothing else is said', () => {
    const written: unknown[] = [];
    const write = process.stdout.write.bind(process.stdout);
    process.stdout.write = (chunk: unknown) => written.push(chunk) > 0;
    try {
      createLog({ env: 'prod', family: 'web', clock }).info('hello');
    } finally {
      process.stdout.write = write;
    }

    expect(written).toEqual(['time=2026-10-05T12:00:00.007Z level=info logger=web msg=hello env=prod\n']);
  });
});

describe('errors', () => {
  const foreseen = new VelvetError('vendor_unavailable', 'heroku: GET /account answered 503', {
    kind: 'HTTP503',
    httpStatus: 503,
    detail: 'Heroku is down.',
  });

  test('a VelvetError is told by kind, code, status and words', () => {
    expect(logfields(foreseen)).toEqual({
      error: 'HTTP503',
      code: 'vendor_unavailable',
      http_status: 503,
      detail: 'Heroku is down.',
      reason: 'heroku: GET /account answered 503',
    });
    expect(logfields(new VelvetError('claimed', 'x'))).toMatchObject({
      error: 'claimed',
      http_status: undefined,
    });
  });

  test('any other is told by name and message, without its stack', () => {
    expect(logfields(new RangeError('out of it'))).toEqual({ error: 'RangeError', reason: 'out of it' });
    expect(logfields({ body: 'hush-hush' })).toEqual({ error: 'NotAnError', reason: 'object' });
  });

  test('an error line has the stack of a cause that nobody foresaw, on the same line', () => {
    const lines: string[] = [];
    const log = logInto(lines).with({ job_id: 'a' });

    log.error('task failed', { attempt: 2 }, { cause: new RangeError('out of it') });
    log.error('task failed', {}, { cause: foreseen });

    expect(lines[0]).toMatch(
      /job_id=a error=RangeError reason="out of it" stack="RangeError: out of it\\n +at .*" attempt=2$/,
    );
    expect(lines[1]).toContain('error=HTTP503 code=vendor_unavailable http_status=503');
    expect(lines[1]).not.toContain('stack=');
  });

  test('inspecting a log shows nothing of its fields', () => {
    expect(inspect(logInto([]).with({ note: 'standing' }))).not.toContain('standing');
  });
});
