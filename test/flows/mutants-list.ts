// One broken law each, and the schedules that notice. A mutant that survives means that a law is no longer tested.

export interface Mutant {
  readonly name: string;
  readonly file: string;
  /** Found exactly once in the file, or the list is out of date. */
  readonly find: string;
  readonly replace: string;
  /** A stage of stage-cases.ts, and how the fault's name begins. */
  readonly killedBy: { readonly stage: string; readonly fault: string };
}

// oxfmt-ignore
export const mutants: readonly Mutant[] = [
  {
    name: 'commit does not check the fence',
    file: 'shared/redis/lua/commit.lua',
    find: "if a.fence ~= '' and redis.call('GET', KEYS[4]) ~= a.fence then return {-3} end",
    replace: '',
    killedBy: { stage: 'mint', fault: 'switch' },
  },
  {
    name: 'a lease is given to an attempt with an old fence',
    file: 'shared/redis/lua/open-lease.lua',
    find: 'if redis.call(\'GET\', KEYS[3]) ~= a.fence then return {-3} end',
    replace: '',
    killedBy: { stage: 'mint', fault: 's' },
  },
  {
    name: 'a step does not wait for what an earlier attempt left open',
    file: 'workers/stages/deps.ts',
    find: 'if (waitMs > 0) return { laterMs: waitMs };',
    replace: '',
    killedBy: { stage: 'mint', fault: 'apply late' },
  },
  {
    name: 'a step waits for the lease, and not for the latest application after it',
    file: 'shared/redis/lua/begin-step.lua',
    find: ' + a.late_ms',
    replace: '',
    killedBy: { stage: 'mint', fault: 'apply late' },
  },
  {
    name: 'the lease is closed although the answer was lost',
    file: 'workers/stages/deps.ts',
    find: "const known = error instanceof VelvetError && error.retry !== 'reconcile' && error.code !== 'internal';",
    replace: 'const known = error instanceof VelvetError;',
    killedBy: { stage: 'mint', fault: 'apply late' },
  },
  {
    name: 'nobody looks whether the lease is over before sending',
    file: 'shared/lib/lease.ts',
    find: 'Math.max(0, askedAt + ms - clock.monotonic())',
    replace: 'ms + askedAt * 0 * clock.monotonic()',
    killedBy: { stage: 'mint', fault: 'sleep' },
  },
  {
    name: 'what a lower fence left counts as a later attempt\'s',
    file: 'shared/lib/lease.ts',
    find: 'fenceCounter(a) <= fenceCounter(b)',
    replace: 'fenceCounter(a) > fenceCounter(b)',
    killedBy: { stage: 'mint', fault: 'die after' },
  },
  {
    name: 'a mint does not remove what earlier attempts left',
    file: 'workers/stages/mint.ts',
    find: 'if (!byHand) await namingAuthority(job, () => removeEarlierAttempts(deps, job, context));',
    replace: '',
    killedBy: { stage: 'mint', fault: 'die after' },
  },
  {
    name: 'the label says the job and not the attempt',
    file: 'workers/vendors/contract.ts',
    find: 'return `velvet:${jobId}:${fence}`;',
    replace: 'return `velvet:${jobId}${fence.slice(99)}`;',
    killedBy: { stage: 'mint', fault: 'die after' },
  },
  {
    name: 'the pending slot is named for the job and not for the attempt',
    file: 'workers/vault/contract.ts',
    find: '`${credential}__PENDING_${fence}`',
    replace: '`${credential}__PENDING_job${fence.slice(99)}`',
    killedBy: { stage: 'mint', fault: 'die after' },
  },
  {
    name: 'a lost reply to the commit is read as a refusal, and what was minted is revoked',
    file: 'workers/stages/mint.ts',
    find: "          vault_ref: deps.vault.ref(slot),\n        },\n      }));\n    }),",
    replace: "          vault_ref: deps.vault.ref(slot),\n        },\n      })).catch(async (error: unknown) => {\n        const authority = await demandAuthority(deps, job);\n        if (handle !== null) await underLease(deps, job, context, (call) => issuerOf(deps, job).revoke(call, authority, handle));\n        throw error;\n      });\n    }),",
    killedBy: { stage: 'mint', fault: 'lose' },
  },
  {
    name: 'PREVIOUS is not kept',
    file: 'workers/stages/mint.ts',
    find: 'if (alive && kept === null)',
    replace: 'if (alive && kept !== null)',
    killedBy: { stage: 'mint', fault: 'die' },
  },
  {
    name: 'a commit that is sent twice is refused the second time',
    file: 'shared/redis/lua/commit.lua',
    find: "if answered(KEYS[1], 'commits', a.commit_id) then return {0} end",
    replace: '',
    killedBy: { stage: 'verify is asked for', fault: 'send again' },
  },
  {
    name: 'a row is written whatever it was when it was read',
    file: 'shared/redis/lua/write-row.lua',
    find: 'if revision(stored) ~= a.rev then return {-6} end',
    replace: '',
    killedBy: { stage: 'one of two is proven', fault: 'switch' },
  },
  {
    name: 'a write is not recorded before it is sent',
    file: 'workers/stages/push.ts',
    find: '    touched: true,',
    replace: '    touched: before.touched,',
    killedBy: { stage: 'push', fault: 'lose it and hear no more' },
  },
  {
    name: 'the lease of a write is not recorded before it is sent',
    file: 'workers/stages/push.ts',
    find: 'started: { fence, until },',
    replace: 'started: null,',
    killedBy: { stage: 'push', fault: 'apply late and abort' },
  },
  {
    name: 'a task is taken off the outbox before it is on the queue',
    file: 'shared/queue/enqueue.ts',
    find: '          await queues[queueOf(task)].add(task.effect, task, optionsOf(task));\n          await store.acknowledge(task);',
    replace: '          await store.acknowledge(task);\n          await queues[queueOf(task)].add(task.effect, task, optionsOf(task));',
    killedBy: { stage: 'verify', fault: 'die' },
  },
  {
    name: 'a kick uses the id of the task that is over',
    file: 'workers/stages/sweep.ts',
    find: 'const next = { ...own, kick: job.kick + 1 };',
    replace: 'const next = { ...own };',
    killedBy: { stage: 'cleanup of a failed mint', fault: 'fail thrice' },
  },
  {
    name: 'the claim is freed by the abort',
    file: 'shared/rotation/machine.ts',
    find: "{ from: afterVerifying,     on: 'abort',            by: 'operator', when: ['flowIsNotTesting', 'notPromoting'], to: 'aborted',",
    replace: "{ from: afterVerifying,     on: 'abort',            by: 'operator', when: ['flowIsNotTesting', 'notPromoting'], to: 'aborted', claim: 'free',",
    killedBy: { stage: 'cleanup of a failed mint', fault: 'die' },
  },
  {
    name: 'the old handle is read from the vault again',
    file: 'workers/stages/revoke.ts',
    find: "'was dead before' : await revokeOld(deps, at, handle);",
    replace: "'was dead before' : await revokeOld(deps, at, (await deps.vault.read(slots.handle(job.credential)))?.reveal() ?? handle);",
    killedBy: { stage: 'revoke', fault: 'die' },
  },
  {
    name: 'the new value is promoted after the old token was revoked',
    file: 'workers/stages/revoke.ts',
    find: "await promote(deps, at);\n      if (handle === null && job.currentState !== 'dead') throw byHand(job);\n      const ended = handle === null ? 'was dead before' : await revokeOld(deps, at, handle);",
    replace: "if (handle === null && job.currentState !== 'dead') throw byHand(job);\n      const ended = handle === null ? 'was dead before' : await revokeOld(deps, at, handle);\n      await promote(deps, at);",
    killedBy: { stage: 'revoke', fault: 'lose it thrice' },
  },
  {
    name: 'a row is written whatever became of the job: neither version nor fence nor claim',
    file: 'shared/redis/lua/write-row.lua',
    find: "if version ~= a.version then return {-2} end\nif a.fence ~= '' and fence ~= a.fence then return {-3} end\nif a.claim ~= 'none' and claimant ~= a.job_id then return {-3} end",
    replace: '',
    killedBy: { stage: 'push', fault: 'abort meanwhile' },
  },
  {
    name: 'a cleanup does not wait for what row tasks sent',
    file: 'workers/stages/cleanup.ts',
    find: 'if (quietMs > 0) return { laterMs: quietMs };',
    replace: '',
    killedBy: { stage: 'push', fault: 'apply late and abort' },
  },
  {
    name: 'an attempt goes by what it read before it had its fence',
    file: 'workers/stages/deps.ts',
    find: "    const job = await presentJob(deps, task);\n    if (job === null) return 'done';\n    return (await does",
    replace: '    const job = asked;\n    return (await does',
    killedBy: { stage: 'revoke', fault: 'switch' },
  },
  {
    name: 'a typed value is not deleted when it is read',
    file: 'shared/redis/lua/take-value.lua',
    find: "redis.call('GETDEL', KEYS[4])",
    replace: "redis.call('GET', KEYS[4])",
    killedBy: { stage: 'a value is taken', fault: 'die' },
  },
  {
    name: 'a typed value that is lost is not asked for again',
    file: 'workers/stages/typed-value.ts',
    find: 'if (!(value instanceof Secret)) return parked(deps, at, value);',
    replace: "if (!(value instanceof Secret)) return value.code === 'value_lost' ? null : parked(deps, at, value);",
    killedBy: { stage: 'a value is taken', fault: 'die after' },
  },
  {
    name: 'a typed value is put into its slot unasked',
    file: 'workers/stages/typed-value.ts',
    find: '  const examined = await examine(deps, at, value).catch(',
    replace: '  const unasked = slots.pending(job.credential, fence);\n  if (kept === null) await underLease(deps, job, context, (call) => deps.vault.write(call, unasked, value));\n  const examined = await examine(deps, at, value).catch(',
    killedBy: { stage: 'a value is taken', fault: 'fail thrice' },
  },
];
