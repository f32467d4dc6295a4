// Who asks: bearer service tokens, their scopes and the credentials that they are limited to. Deleted or expired: refused on the next request.
import type { Context, MiddlewareHandler } from 'hono';
import type { Clock } from '../shared/lib/clock.ts';
import { VelvetError } from '../shared/lib/errors.ts';
import type { Manifest } from '../shared/manifest/schema.ts';
import { isNamed, type Scope, type ServiceToken, type SystemStore } from '../shared/redis/system-store.ts';
import type { Actor } from '../shared/rotation/job.ts';
import type { FlowType } from '../shared/rotation/statuses.ts';
import type { Limiter } from './limits.ts';
import { clipped } from './problem.ts';

export interface Caller {
  readonly tokenId: string;
  readonly owner: string;
  readonly scopes: ReadonlySet<Scope>;
  readonly credentials: readonly string[] | null;
  readonly slackUserId: string | null;
}

export interface AppVariables {
  readonly requestId: string;
  readonly caller: Caller;
}
export interface AppEnvironment {
  Variables: AppVariables;
}

/** What a scope brings along. */
const includes: Readonly<Record<Scope, readonly Scope[]>> = {
  read: ['read'],
  revoke: ['revoke', 'read'],
  rotate: ['rotate', 'revoke', 'read'],
  admin: ['admin', 'read'],
};

/** Which scope it takes to create a job of a flow, or to move it. */
export const flowScope: Readonly<Record<FlowType, Scope>> = {
  operational: 'rotate',
  testing: 'rotate',
  revocation: 'revoke',
};

export interface AuthDeps {
  readonly system: SystemStore;
  readonly clock: Clock;
  readonly limiter: Limiter;
}

/** A good token is let in however many bad ones came from the same address: the emergency may come from there. */
export function authenticate({ system, clock, limiter }: AuthDeps): MiddlewareHandler<AppEnvironment> {
  return async (context, next) => {
    const presented = /^Bearer +(\S+)$/i.exec(context.req.header('authorization') ?? '')?.[1];
    if (presented === undefined) throw new VelvetError('unauthenticated', 'no bearer token');
    const token = await system.findToken(presented, clock.now());
    if (token === null) {
      await limiter.demandOfAddress('failedLogin', context);
      throw new VelvetError('unauthenticated', 'unknown, deleted or expired token');
    }
    context.set('caller', callerOf(token));
    await next();
  };
}

function callerOf(token: ServiceToken): Caller {
  return {
    tokenId: token.id,
    owner: token.owner,
    scopes: new Set(token.scopes.flatMap((scope) => includes[scope])),
    credentials: token.credentials,
    slackUserId: token.slack_user_id,
  };
}

/** Throws `forbidden`, naming what is missing, unless the caller has the scope and, where one is named, may touch the credential. */
export function demand(context: Context<AppEnvironment>, scope: Scope, credential?: string): Caller {
  const caller = context.get('caller');
  if (!caller.scopes.has(scope)) {
    const detail = `This needs a service token with the scope '${scope}'; yours has ${[...caller.scopes].join(', ') || 'none'}. Use another one, or ask an admin for it.`;
    throw new VelvetError('forbidden', `scope ${scope} missing`, { detail, extra: { missing_scope: scope } });
  }
  if (credential !== undefined && !mayTouch(caller, credential)) {
    const detail = `This service token is limited to ${caller.credentials?.join(', ') ?? 'nothing'}, and ${clipped(credential)} is not among them. Use another one, or ask an admin for it.`;
    throw new VelvetError('forbidden', "credential not among the token's", {
      detail,
      extra: { missing_credential: clipped(credential) },
    });
  }
  return caller;
}

export function mayTouch(caller: Caller, credential: string): boolean {
  return caller.credentials === null || isNamed(credential, caller.credentials);
}

/**
 * Throws `forbidden` where a token that is limited to credentials would make one that is not limited to the same: whoever may
 * hand out more than they have has it all. `patterns` null: of every credential.
 */
export function demandWithin({ credentials }: Caller, patterns: readonly string[] | null): void {
  if (credentials === null) return;
  // A pattern is its own beginning: one that it names names no more than it does.
  const beyond = patterns?.filter((pattern) => !isNamed(pattern, credentials));
  if (beyond?.length === 0) return;
  const own = credentials.join(', ');
  const detail = `This service token is limited to ${own}, and makes none that may touch more: ${beyond === undefined ? 'name' : `${beyond.map(clipped).join(', ')} is not among them. Name`} \`credentials\` among those, or ask an admin without a limit. Nothing was made.`;
  throw new VelvetError('forbidden', 'a token for more than the own one', {
    detail,
    extra: { missing_credential: clipped(beyond?.[0] ?? '*') },
  });
}

/** Those of a new token's patterns that name no credential of the manifest: a token that may do nothing is a slip of the pen. */
export function namingNothing(patterns: readonly string[], manifest: Manifest): readonly string[] {
  return patterns.filter(
    (pattern) => !manifest.credentials.some(({ token_name }) => isNamed(token_name, [pattern])),
  );
}

/** How the caller signs in the audit trail. */
export function actorOf(caller: Caller): Actor {
  return { operatorId: caller.owner, slackUserId: caller.slackUserId };
}
