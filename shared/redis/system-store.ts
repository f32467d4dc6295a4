// What belongs to the installation and not to one credential: flags, service tokens, signs of life, the epoch.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { systemKeys } from './keys.ts';
import { guarded } from './refusals.ts';
import { runScript } from './scripts.ts';

export const scopes = ['read', 'rotate', 'revoke', 'admin'] as const;
export type Scope = (typeof scopes)[number];

export const workerFamilies = ['stage', 'distribute', 'healthcheck', 'notifier'] as const;
export type WorkerFamily = (typeof workerFamilies)[number];

const tokenSchema = z.object({
  id: z.string(),
  name: z.string(),
  /** The person behind the token: two tokens of one owner are one person. */
  owner: z.string(),
  scopes: z.array(z.enum(scopes)),
  /** Names, or prefixes that end in `*`; null means every credential. */
  credentials: z.array(z.string()).nullable(),
  slack_user_id: z.string().nullable(),
  created_at: z.number(),
  expires_at: z.number(),
  hash: z.string(),
});
export type ServiceToken = z.infer<typeof tokenSchema>;
export type NewServiceToken = Omit<ServiceToken, 'id' | 'hash'>;

/** Whether one of a token's patterns (a name, or a beginning and `*`) names the credential. */
export function isNamed(credential: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) =>
    pattern.endsWith('*') ? credential.startsWith(pattern.slice(0, -1)) : pattern === credential,
  );
}

/** The flags that exist, with what an installation starts with. */
export const flagDefaults = { velvet_v2_rotation: true } as const;
export type FlagName = keyof typeof flagDefaults;

export interface SystemStore {
  flags(): Promise<Record<FlagName, boolean>>;
  setFlag(name: FlagName, on: boolean): Promise<void>;
  /** Makes a token, stores its hash, and answers with the one copy of it: `vlt_<id>_<secret>`. */
  createToken(token: NewServiceToken): Promise<{ readonly token: string; readonly record: ServiceToken }>;
  tokens(): Promise<readonly ServiceToken[]>;
  deleteToken(id: string): Promise<boolean>;
  /** The record of a presented token, or null for one that is unknown, deleted, mistyped or expired at `now`. */
  findToken(presented: string, now: number): Promise<ServiceToken | null>;
  beat(family: WorkerFamily, ttlMs: number): Promise<void>;
  /** The families that nobody has beaten for. */
  silentFamilies(): Promise<readonly WorkerFamily[]>;
  /** Credential → why it cannot be rotated now. Replaces what was said before. */
  setUnavailable(reasons: Readonly<Record<string, string>>): Promise<void>;
  unavailable(): Promise<Readonly<Record<string, string>>>;
  epoch(): Promise<string | null>;
  /** Gives the installation an epoch where it has none; the present one otherwise. */
  demandEpoch(): Promise<string>;
  /** Opens a new epoch in place of `from`, and answers with the present one: another's, where somebody was first. */
  openEpoch(from: string | null): Promise<string>;
}

export function createSystemStore(redis: Redis): SystemStore {
  async function tokens(): Promise<readonly ServiceToken[]> {
    const records = await guarded(redis.hvals(systemKeys.serviceTokens));
    return records
      .map((json) => tokenSchema.parse(JSON.parse(json)))
      .toSorted((a, b) => a.created_at - b.created_at);
  }

  return {
    tokens,

    async flags() {
      const stored = await guarded(redis.hgetall(systemKeys.flags));
      const entries = Object.entries(flagDefaults).map(([name, on]) => [
        name,
        stored[name] === undefined ? on : stored[name] === '1',
      ]);
      return Object.fromEntries(entries) as Record<FlagName, boolean>;
    },

    async setFlag(name, on) {
      await guarded(redis.hset(systemKeys.flags, name, on ? '1' : '0'));
    },

    async createToken(token) {
      const id = randomBytes(6).toString('hex');
      const presented = `vlt_${id}_${randomBytes(32).toString('hex')}`;
      const record = { ...token, id, hash: hashOf(presented) };
      await guarded(redis.hset(systemKeys.serviceTokens, id, JSON.stringify(record)));
      return { token: presented, record };
    },

    async deleteToken(id) {
      return (await guarded(redis.hdel(systemKeys.serviceTokens, id))) === 1;
    },

    async findToken(presented, now) {
      const id = /^vlt_([0-9a-f]{12})_[0-9a-f]{64}$/.exec(presented)?.[1];
      if (id === undefined) return null;
      const json = await guarded(redis.hget(systemKeys.serviceTokens, id));
      if (json === null) return null;
      const record = tokenSchema.parse(JSON.parse(json));
      const same = timingSafeEqual(Buffer.from(record.hash, 'hex'), Buffer.from(hashOf(presented), 'hex'));
      return same && record.expires_at > now ? record : null;
    },

    async beat(family, ttlMs) {
      await guarded(redis.set(systemKeys.beat(family), '1', 'PX', ttlMs));
    },

    async silentFamilies() {
      const beats = await Promise.all(
        workerFamilies.map(
          async (family) => [family, await guarded(redis.exists(systemKeys.beat(family)))] as const,
        ),
      );
      return beats.filter(([, alive]) => alive === 0).map(([family]) => family);
    },

    async setUnavailable(reasons) {
      const replacing = redis.multi().del(systemKeys.unavailable);
      if (Object.keys(reasons).length > 0) replacing.hset(systemKeys.unavailable, reasons);
      await guarded(replacing.exec());
    },

    unavailable: () => guarded(redis.hgetall(systemKeys.unavailable)),

    epoch: () => guarded(redis.get(systemKeys.epoch)),

    async demandEpoch() {
      await guarded(redis.set(systemKeys.epoch, newEpoch(), 'NX'));
      return (await guarded(redis.get(systemKeys.epoch))) ?? '';
    },

    async openEpoch(from) {
      const [, epoch] = await runScript(redis, 'openEpoch', [systemKeys.epoch], {
        from: from ?? '',
        to: newEpoch(),
      });
      return String(epoch);
    },
  };
}

function newEpoch(): string {
  return randomBytes(4).toString('hex');
}

// 32 random bytes cannot be guessed offline, so a bare hash is enough here, as it is not for a credential's value.
function hashOf(presented: string): string {
  return createHash('sha256').update(presented).digest('hex');
}
