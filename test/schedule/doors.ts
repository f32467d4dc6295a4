// The doors to the outside, each behind a turn: HTTP, Redis, the vault. Production code gets them as it gets the real ones.
import { createHash } from 'node:crypto';
import { channel } from 'node:diagnostics_channel';
import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import { VelvetError } from '../../shared/lib/errors.ts';
import { scriptTable } from '../../shared/redis/scripts.ts';
import type { Secret } from '../../shared/lib/secret.ts';
import type { Vault } from '../../workers/vault/contract.ts';
import type { VendorCall } from '../../workers/vendors/contract.ts';
import type { Turns } from './turns.ts';

const aboutToSend = channel('undici:client:sendHeaders');

/** Every request of the product is one effect. It announces itself just before it leaves, as Node's own fetch does. */
export function fetchThrough(turns: Turns, network: typeof fetch): typeof fetch {
  return (input, init) => {
    const { method = 'GET', signal } = init ?? {};
    const path = new URL(input instanceof Request ? input.url : input).pathname;
    return turns.effect(
      { door: 'http', name: `${method} ${path}`, change: method !== 'GET' && method !== 'HEAD' },
      {
        leave: () => {
          aboutToSend.publish({});
          signal?.throwIfAborted();
        },
        apply: () => network(input, { ...init, signal: null }),
        broken: () =>
          new TypeError('fetch failed', { cause: Object.assign(new Error('reset'), { code: 'ECONNRESET' }) }),
      },
    );
  };
}

const reads = new Set([
  'get',
  'hget',
  'hmget',
  'hgetall',
  'hvals',
  'hexists',
  'smembers',
  'zrange',
  'xrange',
]);
const changes = new Set(['evalsha', 'eval', 'sadd', 'set', 'hset', 'hdel']);

/** Every command is one effect. A command that is neither known as a read nor as a change is refused, so that none goes by unseen. */
export function redisThrough(turns: Turns, redis: Redis, answers: RedisAnswers): Redis {
  return new Proxy(redis, {
    get(target, key, receiver) {
      const value: unknown = Reflect.get(target, key, receiver);
      if (typeof value !== 'function' || typeof key !== 'string') return value;
      if (!reads.has(key) && !changes.has(key)) throw new TypeError(`a schedule does not know ${key}`);
      const ask = value as (...args: unknown[]) => Promise<unknown>;
      return (...args: unknown[]) => {
        const apply = () => ask.apply(target, args);
        return turns.effect(
          { door: 'redis', name: nameOf(key, args), change: changes.has(key) },
          {
            apply: changes.has(key)
              ? () => answers.change(keysOf(key, args), apply)
              : async () => inOrder(key, await answers.read(key, args, apply)),
            broken: () => new Error('Connection is closed.'),
          },
        );
      };
    },
  });
}

/** Which keys a change may touch: a script touches those alone that it names. */
function keysOf(command: string, args: readonly unknown[]): ReadonlySet<string> {
  const named = command.startsWith('eval') ? args.slice(2, 2 + Number(args[1])) : args.slice(0, 1);
  return new Set(named.map(String));
}

/** The order of a set and of a hash's values is Redis's own, and another one in each server. */
function inOrder(command: string, answer: unknown): unknown {
  const unordered = command === 'smembers' || command === 'hvals';
  return unordered && Array.isArray(answer) ? (answer as string[]).toSorted() : answer;
}

/** What Redis answered of each key since that was last changed. Nobody else writes to it, so it would answer the same, a round trip later. */
export interface RedisAnswers {
  read(command: string, args: readonly unknown[], ask: () => Promise<unknown>): Promise<unknown>;
  change(keys: ReadonlySet<string>, ask: () => Promise<unknown>): Promise<unknown>;
  /** Redis lost data: nothing that it said before is what it would say now. */
  forget(): void;
}

interface Known {
  readonly of: string;
  answer: Promise<unknown>;
  readonly ask: () => Promise<unknown>;
  hot: boolean;
}

export function redisAnswers(): RedisAnswers {
  const known = new Map<string, Known>();
  return {
    read(command, args, ask) {
      const question = `${command} ${args.join(' ')}`;
      const found = known.get(question) ?? { of: String(args[0]), answer: ask(), ask, hot: true };
      found.hot = true;
      known.set(question, found);
      return found.answer;
    },
    forget: () => known.clear(),
    async change(keys, ask) {
      const changed = ask();
      const asked: Promise<unknown>[] = [];
      // What was asked of a key since its last change will be asked again: it travels along, behind the change.
      for (const [question, one] of known) {
        if (!keys.has(one.of)) continue;
        if (!one.hot) known.delete(question);
        else asked.push(Object.assign(one, { answer: one.ask(), hot: false }).answer);
      }
      await Promise.allSettled([changed, ...asked]);
      return changed;
    },
  };
}

const lua = (file: string) =>
  readFileSync(new URL(`../../shared/redis/lua/${file}`, import.meta.url), 'utf8');
const lib = ['lib.lua', 'lib-rows.lua', 'lib-alarm.lua'].map(lua).join('\n');
const sources = Object.entries(scriptTable).map(
  ([name, { file }]) => [name, `${lib}\n${lua(file)}`] as const,
);
const names = new Map(
  sources.map(([name, source]) => [createHash('sha1').update(source).digest('hex'), name]),
);

function nameOf(command: string, args: readonly unknown[]): string {
  return command === 'evalsha' ? (names.get(String(args[0])) ?? command) : `${command} ${String(args[0])}`;
}

/** So that the first world asks for as many turns as every later one. */
export async function loadScripts(redis: Redis): Promise<void> {
  for (const [, source] of sources) await redis.script('LOAD', source);
}

/** Every verb of the vault is one effect; its own look at the lease comes after the turn was given. */
export function vaultThrough(turns: Turns, vault: Vault): Vault {
  const through = <A extends readonly unknown[], R>(
    verb: string,
    change: boolean,
    run: (...args: A) => Promise<R>,
  ) => {
    const slotOf = (args: readonly unknown[]) => args.find((arg) => typeof arg === 'string') ?? '';
    return (...args: A): Promise<R> =>
      turns.effect(
        { door: 'vault', name: `${verb} ${slotOf(args)}`, change },
        { apply: () => run(...args), broken: (late) => lost(verb, late && change) },
      );
  };
  return {
    kind: vault.kind,
    check: through('check', false, () => vault.check()),
    read: through('read', false, (slot: string) => vault.read(slot)),
    list: through('list', false, (prefix: string) => vault.list(prefix)),
    write: through('write', true, (call: VendorCall, slot: string, secret: Secret) =>
      vault.write(call, slot, secret),
    ),
    create: through('create', true, (call: VendorCall, slot: string, secret: Secret) =>
      vault.create(call, slot, secret),
    ),
    remove: through('remove', true, (call: VendorCall, slot: string) => vault.remove(call, slot)),
    ref: (slot) => vault.ref(slot),
  };
}

function lost(verb: string, mayBeApplied: boolean): VelvetError {
  return new VelvetError(mayBeApplied ? 'vendor_no_answer' : 'vault_unavailable', `vault ${verb}: no answer`);
}
