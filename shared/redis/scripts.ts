// Every Lua script: its file, how many keys it has and what its numbers mean. Law: a script answers the same call twice the same way.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import { VelvetError } from '../lib/errors.ts';

// oxfmt-ignore
export const scriptTable = {
  openJob:   { file: 'open-job.lua',   keys: 7 },
  commit:    { file: 'commit.lua',     keys: 12 },
  writeRow:  { file: 'write-row.lua',  keys: 10 },
  beginStep: { file: 'begin-step.lua', keys: 3 },
  openLease: { file: 'open-lease.lua', keys: 3 },
  takeValue: { file: 'take-value.lua', keys: 4 },
  raiseFence: { file: 'raise-fence.lua', keys: 2 },
  kick:      { file: 'kick.lua',       keys: 2 },
  adopt:     { file: 'adopt.lua',      keys: 6 },
  record:    { file: 'record.lua',     keys: 3 },
  seal:      { file: 'seal.lua',       keys: 3 },
  retire:    { file: 'retire.lua',     keys: 4 },
  hold:      { file: 'hold.lua',       keys: 1 },
  openEpoch: { file: 'open-epoch.lua', keys: 1 },
  raiseAlarm: { file: 'raise-alarm.lua', keys: 2 },
  writeReceipt: { file: 'write-receipt.lua', keys: 3 },
  endAlarm:  { file: 'end-alarm.lua',  keys: 2 },
} as const satisfies Record<string, { file: string; keys: number }>;
export type ScriptName = keyof typeof scriptTable;

/** What a script's first number says, for all of them. */
export const answers = {
  applied: 0,
  existed: 1,
  noSuchRecord: -1,
  staleVersion: -2,
  staleFence: -3,
  claimed: -4,
  otherBody: -5,
  rowMoved: -6,
  wouldClose: -7,
} as const;

const read = (file: string) => readFileSync(new URL(`./lua/${file}`, import.meta.url), 'utf8');
const lib = ['lib.lua', 'lib-rows.lua', 'lib-alarm.lua'].map(read).join('\n');
const loaded = Object.fromEntries(
  Object.entries(scriptTable).map(([name, { file }]) => {
    const source = `${lib}\n${read(file)}`;
    return [name, { source, sha: createHash('sha1').update(source).digest('hex') }];
  }),
) as Record<ScriptName, { source: string; sha: string }>;

export type ScriptAnswer = readonly [code: number, ...rest: (string | number)[]];

/** What a script is sent: JSON, and behind it `texts` as they are, for what it only copies. */
export type ScriptArg = Readonly<Record<string, unknown>> & { readonly texts?: readonly string[] };

/** Runs one script. Every failure to learn its answer is `store_unavailable`: it may have been applied or not, so it is never "refused". */
export async function runScript(
  redis: Redis,
  name: ScriptName,
  keys: readonly string[],
  { texts = [], ...arg }: ScriptArg,
): Promise<ScriptAnswer> {
  const { source, sha } = loaded[name];
  if (keys.length !== scriptTable[name].keys)
    throw new VelvetError('invariant_broken', `${name} wants ${scriptTable[name].keys} keys`);
  const json = JSON.stringify(arg);
  try {
    return (await redis.evalsha(sha, keys.length, ...keys, json, ...texts)) as ScriptAnswer;
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw unknownOutcome(name, error);
  }
  try {
    return (await redis.eval(source, keys.length, ...keys, json, ...texts)) as ScriptAnswer;
  } catch (error) {
    throw unknownOutcome(name, error);
  }
}

function unknownOutcome(name: ScriptName, error: unknown): VelvetError {
  // Redis repeats a script's arguments in no message of its own; still, only its first line is kept.
  const says = error instanceof Error ? (error.message.split('\n', 1)[0] ?? '') : 'unknown';
  return new VelvetError('store_unavailable', `Redis did not answer ${name}: ${says}`, {
    kind: 'ConnectionError',
  });
}
