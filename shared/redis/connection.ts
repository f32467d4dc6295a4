// The kinds of connection to Redis. Law: no process of Velvet works on a Redis that may evict or that forgets.
import type { Duplex } from 'node:stream';
import { Redis } from 'ioredis';
import type { Times } from '../times.ts';
import { VelvetError } from '../lib/errors.ts';
import { guarded } from './refusals.ts';

export interface RedisAddress {
  readonly url: string;
  /** False on Heroku alone, whose Key-Value Store has a self-signed certificate: encrypted, not authenticated. */
  readonly rejectUnauthorized: boolean;
}

/**
 * asking: the API's, fails within milliseconds while Redis is away, since a caller waits · working: a worker's, waits for Redis
 * to come back, since its fence and lease tell it afterwards whether it may still go on. BullMQ demands the latter.
 */
export type ConnectionKind = 'asking' | 'working';

export function connect(
  address: RedisAddress,
  kind: ConnectionKind,
  times: Times,
  onError: (error: Error) => void,
): Redis {
  const redis = new Redis(address.url, {
    maxRetriesPerRequest: kind === 'asking' ? 1 : null,
    enableOfflineQueue: kind === 'working',
    // One that is connected and does not answer must not hold a caller, who waits behind a router that gives up.
    ...(kind === 'asking' ? { commandTimeout: times.askingMs } : {}),
    retryStrategy: (attempt) => Math.min(50 * 2 ** Math.min(attempt, 10), times.redisRetryMaxMs),
    ...(address.url.startsWith('rediss:') ? { tls: { rejectUnauthorized: address.rejectUnauthorized } } : {}),
  });
  // Without a listener ioredis prints by itself and a closed socket ends the process.
  redis.on('error', onError);
  redis.on('connect', () => writeOnceATurn(redis.stream));
  return redis;
}

/** What is sent in one turn of the event loop leaves in one piece: with twenty tasks at once the system calls cost more than the commands. */
function writeOnceATurn(stream: Duplex): void {
  const write: (...args: Parameters<Duplex['write']>) => boolean = stream.write.bind(stream);
  let corked = false;
  const uncork = () => {
    corked = false;
    stream.uncork();
  };
  const corkedWrite: typeof write = (...args) => {
    if (!corked) {
      corked = true;
      stream.cork();
      process.nextTick(uncork);
    }
    return write(...args);
  };
  Object.assign(stream, { write: corkedWrite });
}

/** Why this Redis may not be used, each reason with what to do; empty where it may. INFO rather than CONFIG: hosted ones refuse the latter. */
export async function unfitReasons(redis: Redis): Promise<readonly string[]> {
  const [memory, persistence] = await Promise.all([
    guarded(redis.info('memory')),
    guarded(redis.info('persistence')),
  ]);
  const policy = field(memory, 'maxmemory_policy');
  const reasons: string[] = [];
  if (policy !== 'noeviction') {
    reasons.push(
      `maxmemory-policy is '${policy}': Redis would drop records of rotations when memory is short. ` +
        'Set it to noeviction (`redis-cli config set maxmemory-policy noeviction`; on Heroku `heroku redis:maxmemory REDIS_URL --policy noeviction`).',
    );
  }
  if (field(persistence, 'aof_enabled') !== '1') {
    reasons.push(
      'appendonly is off: a restart of Redis would forget which tokens were minted. ' +
        'Set `appendonly yes` (on Heroku take a plan with persistence, premium-0 or larger).',
    );
  }
  return reasons;
}

/** Throws, naming every reason, unless the Redis is fit or the installation says that it may be volatile (never in prod). */
export async function demandFit(redis: Redis, allowVolatile: boolean): Promise<void> {
  const reasons = await unfitReasons(redis);
  if (reasons.length === 0 || allowVolatile) return;
  const detail = `Velvet does not start on this Redis. ${reasons.join(' ')} For a try-out that may lose everything: VELVET_ALLOW_VOLATILE_REDIS=1.`;
  throw new VelvetError('store_unavailable', detail, { detail });
}

/**
 * The part of `maxmemory` from which nothing new is begun. A full Redis refuses every write, also those of a revoke: what is
 * under way, and what stops a leak, needs the last fifth.
 */
const MEMORY_FOR_NEW = 0.8;

/** Why this Redis is too full for something new, with what to do; null where it is not, or has no `maxmemory`. */
export async function fullReason(redis: Redis): Promise<string | null> {
  const memory = await guarded(redis.info('memory'));
  const [used, most] = [Number(field(memory, 'used_memory')), Number(field(memory, 'maxmemory'))];
  if (!(most > 0) || used < most * MEMORY_FOR_NEW) return null;
  const percent = Math.round((used / most) * 100);
  return (
    `${percent} % of its maxmemory (${Math.round(most / 2 ** 20)} MiB) is used; at 100 % it would take no record any more, so nothing new is begun from ${MEMORY_FOR_NEW * 100} % on. ` +
    'What is under way goes on. Give it more (`redis-cli config set maxmemory <bytes>`; on Heroku a larger plan), or keep less with VELVET_AUDIT_DAYS.'
  );
}

function field(info: string, name: string): string {
  return new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? 'unknown';
}
