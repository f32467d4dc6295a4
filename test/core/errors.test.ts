// The table of errors is a contract with operators: each code says what it means and what to do, in words that stand by themselves.
import { describe, expect, test } from 'vitest';
import {
  errorTable,
  isErrorCode,
  isVelvetError,
  VelvetError,
  type ErrorCode,
} from '../../shared/lib/errors.ts';
import { errorGroups } from '../../shared/lib/errors-render.ts';

const codes = Object.keys(errorTable) as ErrorCode[];

// What an operator is told to do begins with, or holds, one of these: a sentence without any of them describes instead of telling.
const tells =
  /\b(abort|ask|check|choose|confirm|enter|find|finish|follow|give|keep|leave|look|make|mend|name|nothing|open|put|read|repeat|restart|retry|revoke|rotate|say|see|send|skip|start|use|verify|wait|write)\b/i;

describe.each(codes)('%s', (code) => {
  const row = errorTable[code];

  test('is spelled as the wire spells it', () => {
    expect(code).toMatch(/^[a-z]+(?:_[a-z]+)*$/);
  });

  test('says in a sentence what an operator does next', () => {
    expect(row.operator).toMatch(/^[A-Z`].*[.]$/);
    expect(row.operator).toMatch(tells);
    expect(row.operator.length).toBeLessThanOrEqual(200);
  });

  test('says what it means, in one line', () => {
    expect(row.means.length).toBeGreaterThan(10);
    expect(row.means).not.toMatch(/[\n|]/);
    expect(row.operator).not.toMatch(/[\n|]/);
  });

  test("is an HTTP error, and one that may be sent again is not the caller's fault", () => {
    expect(row.http).toBeGreaterThanOrEqual(400);
    expect(row.http).toBeLessThan(600);
    const mayRepeat = row.retry !== 'never';
    expect(mayRepeat && row.http < 500).toBe(false);
  });

  test('stands in exactly one group of the documentation', () => {
    expect(
      errorGroups.filter((group) => group.codes.includes(code)).map((group) => group.title),
    ).toHaveLength(1);
  });
});

describe('the table', () => {
  test('says nothing twice', () => {
    expect(new Set(codes.map((code) => errorTable[code].means)).size).toBe(codes.length);
    // The two ends of a late attempt's way say the same of it; every other remedy is the code's own.
    const remedies = codes.map((code) => errorTable[code].operator);
    expect(remedies.filter((remedy, n) => remedies.indexOf(remedy) !== n)).toEqual([]);
  });

  test('has the statuses that the specification names', () => {
    // oxfmt-ignore
    const named = {
      400: ['invalid_request'], 401: ['unauthenticated'], 403: ['forbidden'], 404: ['not_registered'], 413: ['too_large'], 429: ['rate_limited'],
      409: ['action_not_allowed', 'version_moved', 'claimed', 'idempotency_mismatch', 'bootstrap_credential', 'credential_inactive', 'rotation_open', 'credential_unavailable'],
      422: ['ticket_required', 'confirm_mismatch', 'nothing_to_target', 'not_replaceable'],
      503: ['rotation_disabled', 'degraded'],
    };
    const wanted = Object.entries(named).flatMap(([http, list]) => list.map((code) => [code, Number(http)]));
    expect(wanted.map(([code]) => [code, errorTable[code as ErrorCode].http])).toEqual(wanted);
  });

  test('a code is one of them and nothing that every object has', () => {
    expect(codes.every(isErrorCode)).toBe(true);
    for (const other of ['', 'nope', 'toString', '__proto__', 'constructor'])
      expect(isErrorCode(other)).toBe(false);
  });
});

describe('a VelvetError', () => {
  test('tells an operator what it means and what to do where nobody said it better', () => {
    const { means, operator } = errorTable.ticket_required;
    expect(new VelvetError('ticket_required', 'no ticket').detail).toBe(`${means} ${operator}`);
    expect(new VelvetError('ticket_required', 'no ticket', { detail: 'Send one.' }).detail).toBe('Send one.');
  });

  test('keeps what the log says apart from what the operator reads', () => {
    const error = new VelvetError('vendor_no_answer', 'socket closed after the request was sent', {
      httpStatus: 504,
      kind: 'Timeout',
      retryAfterMs: 3,
    });
    expect(error.message).toBe('socket closed after the request was sent');
    expect(error.detail).not.toContain('socket');
    expect(error).toMatchObject({
      name: 'VelvetError',
      code: 'vendor_no_answer',
      retry: 'reconcile',
      httpStatus: 504,
      kind: 'Timeout',
      retryAfterMs: 3,
      extra: {},
    });
  });

  test('keeps its cause, and has none where none was given', () => {
    const cause = new Error('below');
    expect(new VelvetError('internal', 'above', { cause }).cause).toBe(cause);
    expect(new VelvetError('internal', 'above')).not.toHaveProperty('cause');
  });

  test('is told from every other error', () => {
    expect(isVelvetError(new VelvetError('internal', 'x'))).toBe(true);
    for (const other of [new Error('x'), { code: 'internal' }, null, undefined, 'internal'])
      expect(isVelvetError(other)).toBe(false);
  });
});
