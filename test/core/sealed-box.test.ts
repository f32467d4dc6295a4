// What an operator types, sealed: one key opens it, for one job, and nothing else does.
import { expect, test } from 'vitest';
import { isPair, newSealKeys } from '../../shared/lib/seal-keys.ts';
import { openedFor, sealedFor } from '../../shared/lib/sealed-box.ts';
import { Secret } from '../../shared/lib/secret.ts';
import { faultOfValue, VALUE_BYTES_MAX } from '../../shared/lib/typed-value.ts';

const keys = newSealKeys();
const bytes = (key: string) => Buffer.from(key, 'base64');
const value = new Secret('correct horse battery stäple');

test('comes out as it went in, and twice sealed is never the same', async () => {
  const [one, two] = await Promise.all([1, 2].map(() => sealedFor('job-1', value, bytes(keys.publicKey))));
  expect(one).not.toBe(two);
  for (const box of [one, two])
    expect((await openedFor('job-1', box ?? '', bytes(keys.privateKey)))?.equals(value)).toBe(true);
  expect(Buffer.from(one ?? '', 'base64').toString('latin1')).not.toContain('horse');
});

test('opens neither with another key, nor for another job, nor where it was touched', async () => {
  const box = await sealedFor('job-1', value, bytes(keys.publicKey));
  const touched = Buffer.from(box, 'base64');
  touched[40] = (touched[40] ?? 0) ^ 1;

  expect(await openedFor('job-1', box, bytes(newSealKeys().privateKey))).toBeNull();
  expect(await openedFor('job-10', box, bytes(keys.privateKey))).toBeNull();
  for (const other of [touched.toString('base64'), '', 'no box at all'])
    expect(await openedFor('job-1', other, bytes(keys.privateKey))).toBeNull();
});

test('a pair is told from two halves of different ones', () => {
  const other = newSealKeys();
  expect(isPair(bytes(keys.publicKey), bytes(keys.privateKey))).toBe(true);
  expect(isPair(bytes(keys.publicKey), bytes(other.privateKey))).toBe(false);
  expect(bytes(other.publicKey)).toHaveLength(32);
});

test('the longest value that is taken is one of 16 KiB, counted in bytes', () => {
  expect(faultOfValue('x'.repeat(VALUE_BYTES_MAX))).toBeNull();
  expect(faultOfValue('ä'.repeat(VALUE_BYTES_MAX / 2 + 1))).toContain('16 KiB');
});
