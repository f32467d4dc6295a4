// What must be true of the trail: every change once, in order, each where the one before it ended, and as many as there are versions.
import type { Job } from '../../shared/rotation/job.ts';
import { credentialKeys } from '../../shared/redis/keys.ts';
import type { AuditEvent } from '../../shared/redis/events.ts';
import { FORGOTTEN_MAX } from '../../workers/stages/loss-record.ts';
import type { ScheduleWorld } from './world.ts';

export async function trailViolations(world: ScheduleWorld, job: Job): Promise<readonly string[]> {
  const keys = credentialKeys(world.ref.credential, world.ref.env);
  const [entries, seq] = await Promise.all([
    world.seen.xrange(keys.events, '-', '+'),
    world.seen.get(keys.seq),
  ]);
  const found: string[] = [];
  const numbers = entries.map(([id]) => Number(id.split('-')[0]));
  if (numbers.some((number, index) => number !== index + 1) || Number(seq) !== numbers.length)
    found.push(`6 events: numbered ${numbers.join(' ')} of ${seq}`);
  const events = entries
    .map(([, fields]) => JSON.parse(fields[1] ?? '{}') as AuditEvent)
    .filter((event) => event.job_id === job.jobId);
  return [
    ...found,
    ...chain(events, job),
    ...versions(events, job),
    ...twice(events),
    ...afterwards(events, job),
  ];
}

/** The changes of the job itself, as against those of its rows. */
const ofTheJob = (events: readonly AuditEvent[]) => events.filter((event) => event.consumer_id === undefined);

function chain(events: readonly AuditEvent[], job: Job): readonly string[] {
  const own = ofTheJob(events);
  const breaks = own.flatMap((event, index) => {
    const before = own[index - 1]?.to_state ?? null;
    return event.from_state === before
      ? []
      : [`6 events: ${event.event} from ${event.from_state} after ${before}`];
  });
  const last = own.at(-1)?.to_state;
  return last === job.status
    ? breaks
    : [...breaks, `6 events: they end in ${last}, the job is ${job.status}`];
}

/** A job that was held against the world after a loss leaves out the versions that it may have had before. */
const leaping = ['reconciled', 'loss_found', 'loss_put_off', 'mint_found', 'verify_forgotten'];
const byPerson = ['row_confirmed', 'row_skipped'];

/** One version for each change of the job and each action of an operator; a row that closes its phase counts with what it closes. */
function versions(events: readonly AuditEvent[], job: Job): readonly string[] {
  const counted = events.filter(
    ({ event, consumer_id: consumer }, index) =>
      (consumer === undefined &&
        !(event === 'rows_closed' && byPerson.includes(events[index - 1]?.event ?? ''))) ||
      byPerson.includes(event),
  );
  const leaps = events.filter(({ event }) => leaping.includes(event)).length;
  const due = counted.length + leaps * FORGOTTEN_MAX;
  return due === job.version ? [] : [`6 versions: ${job.version} after ${counted.length} changes`];
}

/** Nobody writes to a job that is over. */
function afterwards(events: readonly AuditEvent[], { flowType }: Job): readonly string[] {
  const ends = ['cleanup_finished', ...(flowType === 'revocation' ? [] : ['revoke_succeeded', 'preempted'])];
  const end = events.findIndex((one) => ends.includes(one.event));
  return end === -1 ? [] : events.slice(end + 1).map((one) => `6 events: ${one.event} after the end`);
}

/** What happens once in a job's life, or once between two changes of its status. */
const onlyOnce = [
  'created',
  'mint_succeeded',
  'promotion_begun',
  'baseline_taken',
  'revoke_succeeded',
  'cleanup_finished',
];

function twice(events: readonly AuditEvent[]): readonly string[] {
  const own = ofTheJob(events).map((event) => event.event);
  const again = onlyOnce.filter((name) => own.filter((one) => one === name).length > 1);
  const opened = own.filter((name, index) => name === 'rows_opened' && own[index - 1] === name);
  return [...again, ...opened].map((name) => `6 events: ${name} more than once`);
}
