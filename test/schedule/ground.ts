// What a world stands on: Redis, the vault's folder, the vendors and the time. It can be put back to an earlier moment.
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { access } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { Secret } from '../../shared/lib/secret.ts';
import { slots, type Vault } from '../../workers/vault/contract.ts';
import { fileVault } from '../../workers/vault/file.ts';
import { setUpCall } from '../harness.ts';
import { CREDENTIAL, ENV, startOutside, type AppSpec, type Outside } from './outside.ts';
import { createTime, type Time } from './time.ts';

export interface Ground {
  readonly redis: Redis;
  readonly time: Time;
  readonly outside: Outside;
  readonly vault: Vault;
  /** What is answered puts everything back to how it stands now. For a moment at which nothing is due. */
  save(): Promise<() => Promise<void>>;
  remove(): void;
}

const VELVET_FOLDER = '/velvet';

export async function createGround(redis: Redis, apps: readonly AppSpec[], byHand: boolean): Promise<Ground> {
  const time = createTime();
  const outside = await startOutside(time, apps, byHand);
  const dir = await folder();
  const vault = fileVault({ dir, key: Buffer.alloc(32, 9), folder: VELVET_FOLDER, env: ENV, clock: time });
  await vault.initialise();
  await vault.write(setUpCall(), slots.current(CREDENTIAL), new Secret(outside.first.token));
  const files = join(dir, VELVET_FOLDER, ENV);
  return {
    redis,
    time,
    outside,
    vault,
    async save() {
      if (time.nextDue() !== null) throw new Error('something is due: this is no moment to come back to');
      const now = time.now();
      const redisBack = await saveRedis(redis);
      const vaultBack = saveFiles(files);
      const vendorsBack = [outside.account, ...outside.apps].map((one) => one.save());
      const values = outside.values.length;
      const byHand = [...outside.revokedByHand];
      const { bootstrap } = outside;
      return async () => {
        time.reset(now);
        await redisBack();
        vaultBack();
        for (const back of vendorsBack) back();
        outside.values.splice(values);
        outside.revokedByHand.clear();
        for (const id of byHand) outside.revokedByHand.add(id);
        outside.bootstrap = bootstrap;
      };
    },
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}

/** A folder in memory where the system has one: the vault writes through to the disk, thousands of times here. */
async function folder(): Promise<string> {
  const memory = await access('/dev/shm').then(
    () => '/dev/shm',
    () => tmpdir(),
  );
  return mkdtempSync(join(memory, 'velvet-schedule-'));
}

/** What is answered puts Redis alone back to how it stands now, as a lost end of its log does. */
export async function saveRedis(redis: Redis): Promise<() => Promise<void>> {
  const keys = await redis.keys('*');
  const dumps = await Promise.all(keys.map(async (key) => [key, await redis.dumpBuffer(key)] as const));
  return async () => {
    const all = redis.pipeline().flushdb();
    for (const [key, dump] of dumps) all.restore(key, 0, dump);
    for (const [error] of (await all.exec()) ?? []) if (error !== null) throw error;
  };
}

function saveFiles(dir: string): () => void {
  const files = readdirSync(dir).map((name) => [name, readFileSync(join(dir, name))] as const);
  return () => {
    for (const name of readdirSync(dir)) rmSync(join(dir, name));
    for (const [name, bytes] of files) writeFileSync(join(dir, name), bytes, { mode: 0o600 });
  };
}
