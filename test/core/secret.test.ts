// A Secret prints as `[secret]`, however it is printed: each way in which a program turns a value into text, or a value into another.
import { createHmac } from 'node:crypto';
import { format, formatWithOptions, inspect } from 'node:util';
import { deserialize, serialize } from 'node:v8';
import { describe, expect, test } from 'vitest';
import { VelvetError } from '../../shared/lib/errors.ts';
import { Secret, shortFingerprint } from '../../shared/lib/secret.ts';

const value = 'HRKU-AAqV1 "slash\\ & percent%?ü';
const secret = new Secret(value);
const nested = {
  token: secret,
  list: [secret],
  map: new Map([['token', secret]]),
  set: new Set([secret]),
  deep: { deeper: { deepest: { secret } } },
};

/** Whether any form of the value, or a recognisable part of it, is in `text`. */
function leaks(text: string): boolean {
  return [
    value,
    'AAqV1',
    encodeURIComponent(value),
    JSON.stringify(value).slice(1, -1),
    Buffer.from(value).toString('base64'),
    Buffer.from(value).toString('hex'),
  ].some((form) => text.includes(form));
}

// Typed as unknown, as a careless caller's compiler would see it.
const any = secret as unknown as string;

const printings: Record<string, () => unknown> = {
  'a template': () => `token: ${any}`,
  'a concatenation': () => 'token: ' + any,
  'String()': () => String(secret),
  'toString()': () => secret.toString(),
  'toLocaleString()': () => secret.toLocaleString(),
  'join()': () => [any, any].join(' '),
  'JSON.stringify': () => JSON.stringify(secret),
  'JSON.stringify of what holds it': () => JSON.stringify(nested),
  'JSON.stringify with a replacer': () => JSON.stringify(nested, (_, each: unknown) => each, 2),
  inspect: () => inspect(secret),
  'inspect of what holds it': () => inspect(nested, { depth: Infinity, showHidden: true, getters: true }),
  'inspect without the custom printer': () =>
    inspect(nested, { depth: Infinity, showHidden: true, customInspect: false }),
  'inspect of a proxy around it': () => inspect(new Proxy(secret, {}), { showProxy: true, showHidden: true }),
  'format %s': () => format('%s', secret),
  'format %o': () => format('%o', nested),
  'format %O': () => format('%O', nested),
  'format %j': () => format('%j', nested),
  'format %d': () => format('%d', secret),
  'what the console prints': () =>
    formatWithOptions({ colors: true, depth: Infinity, showHidden: true }, 'token', secret, nested),
  "an error's message": () => new Error(`refused ${any}`).message,
  "an error's cause": () =>
    inspect(new Error('refused', { cause: nested }), { depth: Infinity, showHidden: true }),
  'a VelvetError': () =>
    inspect(
      new VelvetError('internal', `with ${any}`, { detail: `with ${any}`, extra: { nested }, cause: secret }),
      { depth: Infinity, showHidden: true },
    ),
  'Object.keys': () => Object.keys(secret).join(),
  'Object.entries': () => JSON.stringify(Object.entries(secret)),
  'Reflect.ownKeys': () => Reflect.ownKeys(secret).map(String).join(),
  'a spread': () => inspect({ ...(secret as object) }, { showHidden: true }),
  'Object.assign': () => inspect(Object.assign({}, secret), { showHidden: true }),
  'Object.getOwnPropertyDescriptors': () =>
    inspect(Object.getOwnPropertyDescriptors(secret), { depth: Infinity, showHidden: true }),
  'for … in': () => {
    const seen: string[] = [];
    for (const key in secret) seen.push(key);
    return seen.join();
  },
  structuredClone: () => inspect(structuredClone(secret), { showHidden: true, depth: Infinity }),
  'structuredClone of what holds it': () =>
    inspect(structuredClone(nested), { showHidden: true, depth: Infinity }),
  'v8.serialize': () =>
    serialize(nested).toString('latin1') + inspect(deserialize(serialize(nested)), { depth: Infinity }),
  "a URL's query": () => new URLSearchParams({ token: any }).toString(),
  'a form': () => {
    const form = new FormData();
    form.set('token', any);
    return form.get('token');
  },
  'a header': () => new Headers({ authorization: `Bearer ${any}` }).get('authorization'),
  encodeURIComponent: () => encodeURIComponent(any),
  "a symbol's description": () => Symbol(any).toString(),
  'a regular expression': () => new RegExp(any).source,
  'a Buffer': () => Buffer.from(String(secret)).toString(),
  'a key of an object': () => Object.keys({ [any]: 1 }).join(),
};

describe('a secret never prints', () => {
  test.each(Object.entries(printings))('in %s', (_, print) => {
    expect(leaks(String(print()))).toBe(false);
  });

  test('what prints in its place is [secret]', () => {
    for (const way of ['a template', 'String()', 'inspect', 'format %s', 'join()'] as const)
      expect(printings[way]?.()).toContain('[secret]');
    expect(JSON.stringify(secret)).toBe('"[secret]"');
  });

  test('nor in a comparison that fails', () => {
    const thrown = (() => {
      try {
        expect({ token: secret }).toEqual({ token: 'other' });
        return new Error('nothing was thrown');
      } catch (error) {
        return error;
      }
    })();
    expect(leaks(inspect(thrown, { depth: Infinity, showHidden: true }))).toBe(false);
  });

  test('an arithmetic slip makes no number of it', () => {
    expect(Number(any)).toBeNaN();
  });
});

describe('what a secret is for', () => {
  test('it gives itself up where it is asked by name', () => {
    expect(secret.reveal()).toBe(value);
  });

  test('an empty one cannot be made', () => {
    expect(() => new Secret('')).toThrow('empty');
  });

  test('two are compared by value, whatever their lengths', () => {
    expect(secret.equals(new Secret(value))).toBe(true);
    expect(secret.equals(new Secret(`${value}x`))).toBe(false);
    expect(secret.equals(new Secret('y'))).toBe(false);
  });

  test('its fingerprint depends on the key and says nothing without it', () => {
    const [key, other] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
    expect(secret.fingerprint(key)).toBe(createHmac('sha256', key).update(value).digest('hex'));
    expect(secret.fingerprint(key)).not.toBe(secret.fingerprint(other));
    expect(shortFingerprint(secret.fingerprint(key))).toMatch(/^[0-9a-f]{12}$/);
  });

  test('its proof is what a consumer computes from the nonce', () => {
    expect(secret.proof('n1')).toBe(createHmac('sha256', value).update('n1').digest('base64url'));
    expect(secret.proof('n2')).not.toBe(secret.proof('n1'));
  });

  test('it is found and removed in what others say: plain, percent-encoded, JSON-escaped, and more than once', () => {
    const said = `a ${value} b ${encodeURIComponent(value)} c ${JSON.stringify({ value })} d ${value}`;
    expect(secret.appearsIn(said)).toBe(true);
    expect(secret.appearsIn('something else')).toBe(false);
    expect(leaks(secret.removeFrom(said))).toBe(false);
    expect(secret.removeFrom('a $& b')).toBe('a $& b');
  });
});
