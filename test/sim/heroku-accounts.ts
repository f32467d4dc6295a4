// Heroku's accounts: their OAuth authorizations and their rate limit. Law: a token is live as long as its authorization exists and has not expired.
import { randomBytes, randomUUID } from 'node:crypto';
import type { Clock } from '../../shared/lib/clock.ts';

export const herokuScopes = [
  'global',
  'identity',
  'read',
  'write',
  'read-protected',
  'write-protected',
] as const;
export type HerokuScope = (typeof herokuScopes)[number];

const globalScope: readonly HerokuScope[] = ['global'];

export interface Authorization {
  readonly id: string;
  readonly account: HerokuAccount;
  readonly description: string | null;
  readonly scope: readonly HerokuScope[];
  readonly tokenId: string;
  readonly token: string;
  readonly expiresInS: number | null;
  readonly createdAt: number;
}

export interface AuthorizeOptions {
  readonly description?: string | null;
  /** `['global']` unless given. */
  readonly scope?: readonly HerokuScope[];
  /** Seconds; null or absent: never. */
  readonly expiresInS?: number | null;
}

export interface AccountOptions {
  readonly email?: string;
  /** Size of the token bucket and its refill; 4500 and 75 a minute unless given, as Heroku documents. */
  readonly rateLimit?: { readonly max: number; readonly perMinute: number };
}

export interface HerokuAccount {
  readonly id: string;
  readonly email: string;
  readonly fullName: string;
  readonly createdAt: number;
  /** `suspended`: each request is answered 403 `suspended`; `delinquent`: 402 `delinquent`. */
  standing: 'good' | 'suspended' | 'delinquent';
  /** As if a person had made it in the dashboard. */
  authorize(options?: AuthorizeOptions): Authorization;
  /** Every one that exists, oldest first, expired ones included. */
  authorizations(): readonly Authorization[];
  /** As if by a person; returns what is gone now, null where there was none. */
  revoke(id: string): Authorization | null;
  /** Requests that the account may still make at once. */
  remaining(): number;
  setRemaining(requests: number): void;
  /** Takes one request out of the bucket; false where it is empty. */
  take(): boolean;
  /** What is answered puts the account back to how it stands now. */
  save(): () => void;
}

export interface HerokuAccounts {
  create(options?: AccountOptions): HerokuAccount;
  /** The authorization whose live token this is. */
  find(token: string): Authorization | null;
  live(): readonly Authorization[];
}

export function createAccounts(clock: Clock): HerokuAccounts {
  const accounts: HerokuAccount[] = [];
  const expired = ({ createdAt, expiresInS }: Authorization) =>
    expiresInS !== null && clock.now() >= createdAt + expiresInS * 1000;
  const live = () => accounts.flatMap((account) => account.authorizations()).filter((one) => !expired(one));
  return {
    create(options = {}) {
      const account = createAccount(clock, accounts.length + 1, options);
      accounts.push(account);
      return account;
    },
    find: (token) => live().find((authorization) => authorization.token === token) ?? null,
    live,
  };
}

function createAccount(clock: Clock, number: number, options: AccountOptions): HerokuAccount {
  const authorizations = new Map<string, Authorization>();
  const bucket = createBucket(clock, options.rateLimit ?? { max: 4500, perMinute: 75 });
  const account: HerokuAccount = {
    id: randomUUID(),
    email: options.email ?? `ops-${number}@example.com`,
    fullName: `Operator ${number}`,
    createdAt: clock.now(),
    standing: 'good',
    authorize({ description = null, scope = globalScope, expiresInS = null } = {}) {
      const authorization: Authorization = {
        id: randomUUID(),
        account,
        description,
        scope,
        tokenId: randomUUID(),
        token: `HRKU-${randomBytes(32).toString('base64url')}`,
        expiresInS,
        createdAt: clock.now(),
      };
      authorizations.set(authorization.id, authorization);
      return authorization;
    },
    authorizations: () => [...authorizations.values()],
    revoke(id) {
      const gone = authorizations.get(id) ?? null;
      authorizations.delete(id);
      return gone;
    },
    ...bucket,
    save() {
      const [saved, { standing }, level] = [[...authorizations], account, bucket.remaining()];
      return () => {
        authorizations.clear();
        for (const [id, one] of saved) authorizations.set(id, one);
        account.standing = standing;
        bucket.setRemaining(level);
      };
    },
  };
  return account;
}

type Bucket = Pick<HerokuAccount, 'remaining' | 'setRemaining' | 'take'>;

function createBucket(clock: Clock, { max, perMinute }: { max: number; perMinute: number }): Bucket {
  let level = max;
  let filledAt = clock.now();
  const fill = () => {
    const now = clock.now();
    level = Math.min(max, level + ((now - filledAt) / 60_000) * perMinute);
    filledAt = now;
    return level;
  };
  return {
    remaining: () => Math.floor(fill()),
    setRemaining(requests) {
      fill();
      level = requests;
    },
    take() {
      if (fill() < 1) return false;
      level -= 1;
      return true;
    },
  };
}
