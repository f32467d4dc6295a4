// What a transition causes: effect name → queue. The workers' handlers are keyed by the same names.

export const queueNames = ['stage', 'distribute', 'healthcheck', 'notify'] as const;
export type QueueName = (typeof queueNames)[number];

// oxfmt-ignore
export const effects = {
  enqueue_verify:       { queue: 'stage',       does: 'probe the current token and the authority' },
  enqueue_mint:         { queue: 'stage',       does: 'mint the new token' },
  enqueue_distribute:   { queue: 'stage',       does: 'start writing to the consumers' },
  enqueue_validate:     { queue: 'stage',       does: 'start proving the consumers' },
  open_rows:            { queue: 'stage',       does: 'open the rows that are due and give each a task' },
  enqueue_revoke:       { queue: 'stage',       does: 'promote the new token and revoke the old one' },
  enqueue_revoke_check: { queue: 'stage',       does: 'ask the vendor whether the old token is gone' },
  enqueue_cleanup:      { queue: 'stage',       does: 'take back what an aborted job left behind' },
  enqueue_lockout:      { queue: 'stage',       does: 'start proving that every consumer is locked out' },
  enqueue_rev_revoke:   { queue: 'stage',       does: 'in an emergency: revoke at once whatever may be live' },
  enqueue_rev_cleanup:  { queue: 'stage',       does: 'after an emergency: promote what stays, empty the slots of what ended' },
  enqueue_rev_check:    { queue: 'stage',       does: 'in an emergency: ask the vendor whether the tokens are gone' },
  push_row:             { queue: 'distribute',  does: 'write the new value to one consumer' },
  read_back_row:        { queue: 'distribute',  does: 'read one consumer\'s destination back' },
  inspect_row:          { queue: 'distribute',  does: 'look at one consumer for a test, changing nothing' },
  probe_row:            { queue: 'healthcheck', does: 'ask one consumer what it runs on' },
  lockout_row:          { queue: 'healthcheck', does: 'ask one consumer whether it is locked out' },
  notify:               { queue: 'notify',      does: 'tell the operator' },
  tell_stuck:           { queue: 'notify',      does: 'tell the alert channel that a job is stuck' },
  tell_overdue:         { queue: 'notify',      does: 'tell the alert channel that a credential is overdue' },
  page_leak:            { queue: 'notify',      does: 'raise the alarm' },
  update_alarm:         { queue: 'notify',      does: 'bring a raised alarm up to date' },
} as const satisfies Record<string, { queue: QueueName; does: string }>;

export type Effect = keyof typeof effects;

/** Which credential's which job: enough to find everything of it. */
export interface JobRef {
  readonly credential: string;
  readonly env: string;
  readonly jobId: string;
}

/** A task's payload: ids only, never a value. `version` is the job's status_version that the task was made for. */
export interface Task extends JobRef {
  readonly effect: Effect;
  readonly version: number;
  readonly kick: number;
  readonly fence?: string;
  readonly consumerId?: string;
}

/**
 * `<effect>.<job>.<version>.<kick>[.<consumer_id>]`: the same task always has the same id, so adding it twice is adding it once.
 * A version or a kick that moved makes another id, since BullMQ ignores an id that it still remembers.
 */
export function taskId(task: Task): string {
  const parts = [task.effect, task.jobId, task.version, task.kick];
  return [...parts, ...(task.consumerId === undefined ? [] : [task.consumerId])].join('.');
}

/** What a job orders with a version, each for the first time. */
export function tasksOf(ref: JobRef, effects: readonly Effect[], version: number): readonly Task[] {
  return effects.map((effect) => ({
    effect,
    credential: ref.credential,
    env: ref.env,
    jobId: ref.jobId,
    version,
    kick: 0,
  }));
}
