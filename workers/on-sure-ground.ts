// No task of a credential runs before its record was held against the world, if Redis may have lost a part of it.
import type { Clock } from '../shared/lib/clock.ts';
import { logfields } from '../shared/lib/log.ts';
import type { Ground } from '../shared/redis/ground.ts';
import type { Effect, JobRef } from '../shared/rotation/effects.ts';
import type { Times } from '../shared/times.ts';
import type { Handler, Handlers, TaskContext } from './run.ts';

type CredentialRef = Pick<JobRef, 'credential' | 'env'>;
type LookContext = Pick<TaskContext, 'signal' | 'log'>;

/** `since`: when the first look under this server began (wall clock, ms). Answers in how many milliseconds to look again; 0: done. */
export type Reconcile = (
  ref: CredentialRef,
  context: LookContext & { readonly since: number },
) => Promise<number>;

export interface GroundDeps {
  readonly ground: Ground;
  readonly times: Times;
  readonly clock: Clock;
  /** Null in a family that cannot look: it waits until another has. */
  readonly reconcile: Reconcile | null;
  /** Whether a job's tasks are right whatever Redis may have lost: they do not wait. Asked only where others would. */
  readonly waitsForNothing: (ref: JobRef) => Promise<boolean>;
}

export interface SureGround {
  /** The same handlers; each task waits, without using up an attempt, until its credential is reconciled. */
  on(handlers: Handlers): Handlers;
  /** Looks now where nobody has looked yet: a credential whose tasks all wait in families that cannot look would wait for ever. */
  lookAfter(refs: readonly CredentialRef[], context: LookContext): Promise<void>;
}

export function sureGround(deps: GroundDeps): SureGround {
  const looking = new Map<string, Promise<void>>();
  const begun = new Map<string, { readonly server: string; readonly since: number; again: number }>();

  async function sure(task: CredentialRef, context: LookContext): Promise<boolean> {
    if (await deps.ground.sure(task)) return true;
    if (deps.reconcile === null) return false;
    const key = `${task.credential} ${task.env}`;
    // Several tasks of one credential wake together; one of them looks.
    const running = looking.get(key) ?? look(deps.reconcile, task, context);
    looking.set(key, running);
    try {
      await running;
    } finally {
      looking.delete(key);
    }
    return deps.ground.sure(task);
  }

  async function look(
    reconcile: Reconcile,
    { credential, env }: CredentialRef,
    context: LookContext,
  ): Promise<void> {
    const server = await deps.ground.server();
    const key = `${credential} ${env}`;
    const now = deps.clock.now();
    const known = begun.get(key);
    const at = known?.server === server ? known : { server, since: now, again: now };
    begun.set(key, at);
    if (now < at.again) return;
    context.log.warn('Redis was restarted: holding the record against the world', { credential });
    const waitMs = await reconcile({ credential, env }, { ...context, since: at.since });
    at.again = deps.clock.now() + waitMs;
    if (waitMs > 0) {
      context.log.info('a write that was lost may still land; looked at again then', {
        credential,
        wait_ms: waitMs,
      });
      return;
    }
    await deps.ground.reconciled({ credential, env }, server);
    begun.delete(key);
  }

  const mayRun = async (task: JobRef, context: LookContext) =>
    (await deps.ground.sure(task)) || (await deps.waitsForNothing(task)) || (await sure(task, context));

  const guarded = (handler: Handler): Handler => ({
    ...handler,
    async run(task, context) {
      const firm = await mayRun(task, context).catch((error: unknown) => {
        context.log.warn('not reconciled yet', logfields(error));
        return false;
      });
      return firm ? handler.run(task, context) : { laterMs: deps.times.silentMs };
    },
  });
  return {
    on: (handlers) =>
      Object.fromEntries(
        (Object.entries(handlers) as [Effect, Handler][]).map(([effect, handler]) => [
          effect,
          guarded(handler),
        ]),
      ),

    async lookAfter(refs, context) {
      for (const ref of refs) {
        await sure(ref, context).catch((error: unknown) => {
          context.log.warn('not reconciled yet', { credential: ref.credential, ...logfields(error) });
        });
      }
    },
  };
}
