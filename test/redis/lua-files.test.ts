// The Lua files held against the table of scripts and against the laws that they are written under.
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { scriptTable, type ScriptName } from '../../shared/redis/scripts.ts';
import { scriptKeys } from './raw-calls.ts';

const names = Object.keys(scriptTable) as ScriptName[];
const folder = new URL('../../shared/redis/lua/', import.meta.url);
const sources = new Map(
  readdirSync(folder).map((file) => [file, readFileSync(new URL(file, folder), 'utf8')]),
);

test('are those of the table, and what they share', () => {
  const wanted = [
    ...Object.values(scriptTable).map(({ file }) => file),
    'lib.lua',
    'lib-rows.lua',
    'lib-alarm.lua',
  ];
  expect([...sources.keys()].toSorted()).toEqual(wanted.toSorted());
});

test.each(names)("%s: the header's keys are those of the table, of the calls and of the code", (name) => {
  const source = sources.get(scriptTable[name].file) ?? '';
  const header = /^-- KEYS (.*)$/m.exec(source)?.[1] ?? '';
  const numbers = [...header.matchAll(/(\d+) \w+/g)].map(([, n]) => Number(n));
  expect(numbers).toEqual(Array.from({ length: scriptTable[name].keys }, (_, n) => n + 1));
  expect(scriptKeys[name]).toHaveLength(numbers.length);
  const code = source.replaceAll(/^--.*$/gm, '');
  const used = new Set([...code.matchAll(/KEYS\[(\d+)\]/g)].map(([, n]) => Number(n)));
  expect([...used].toSorted((a, b) => a - b)).toEqual(numbers);
  for (const line of ['-- ARGV 1 JSON {', '-- Returns {0']) expect(source).toContain(line);
});

test.each([...sources])(
  '%s: 40 lines at most, no clock of its own, no key name that it builds',
  (_, source) => {
    expect(source.trimEnd().split('\n').length).toBeLessThanOrEqual(40);
    expect(source).not.toMatch(/'TIME'/i);
    expect(source).not.toMatch(/velvet/);
    const calls = [...source.matchAll(/redis\.call\('\w+', ([^,)]+)/g)].map(([, key]) => key ?? '');
    // KEYS[n], or what the shared functions were given, bare: nothing is put together.
    expect(calls.filter((key) => !/^(KEYS\[\d+\]|[a-z]+)$/.test(key))).toEqual([]);
    expect(source).not.toMatch(/KEYS\[\d+\] ?\.\./);
  },
);

test('every key of one credential lies on one slot, and so does what belongs to none', () => {
  const slotsOf = (name: ScriptName) => new Set(scriptKeys[name].map((key) => /\{[^}]+\}/.exec(key)?.[0]));
  for (const name of names)
    expect([name, [...slotsOf(name)]]).toEqual([
      name,
      [name === 'openEpoch' ? '{system}' : '{HK_PLATFORM_FULL.prod}'],
    ]);
});
