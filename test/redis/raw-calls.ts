// One good call of each script, spelled out by hand: what the store would send, without the store.
import { createHash } from 'node:crypto';
import { systemKeys } from '../../shared/redis/keys.ts';
import { runScript, type ScriptAnswer, type ScriptName } from '../../shared/redis/scripts.ts';
import { emptyTally, type Tally } from '../../shared/rotation/rows.ts';
import { eventOf, keys, rowInProgress, type StoreWorld } from './store-world.ts';

type Arg = Readonly<Record<string, unknown>>;

export const scriptKeys: Readonly<Record<ScriptName, readonly string[]>> = {
  openJob: [
    keys.job('job-1'),
    keys.rows('job-1'),
    keys.jobs,
    keys.open,
    keys.events,
    keys.seq,
    keys.idem('idem-job-1'),
  ],
  commit: [
    keys.job('job-1'),
    keys.rows('job-1'),
    keys.claim,
    keys.fence,
    keys.events,
    keys.seq,
    keys.outbox,
    keys.open,
    keys.idem('idem-job-1'),
    keys.job('job-2'),
    keys.idem('idem-job-2'),
    keys.alarms,
  ],
  writeRow: [
    keys.job('job-1'),
    keys.rows('job-1'),
    keys.claim,
    keys.fence,
    keys.events,
    keys.seq,
    keys.outbox,
    keys.open,
    keys.idem('idem-job-1'),
    keys.alarms,
  ],
  beginStep: [keys.job('job-1'), keys.claim, keys.fence],
  openLease: [keys.job('job-1'), keys.claim, keys.fence],
  takeValue: [keys.job('job-1'), keys.claim, keys.fence, keys.value('one')],
  raiseFence: [keys.fence, keys.calls],
  kick: [keys.job('job-1'), keys.outbox],
  adopt: [keys.claim, keys.fence, keys.events, keys.seq, keys.calls, keys.adopted],
  record: [keys.events, keys.seq, keys.calls],
  seal: [keys.seals, keys.seq, keys.calls],
  retire: [keys.seals, keys.events, keys.open, keys.calls],
  hold: [keys.anchoring],
  openEpoch: [systemKeys.epoch],
  raiseAlarm: [keys.alarms, keys.calls],
  writeReceipt: [keys.receipts('job-1'), keys.events, keys.seq],
  endAlarm: [keys.alarms, keys.receipts('job-1')],
};

/** The SHA-1 by which a call names the seal that it read. */
export const nameOfSeal = (seal: string) => createHash('sha1').update(seal).digest('hex');

export const said = (event: string) => [JSON.stringify(eventOf(event))];

export const goodArgs: Readonly<Record<ScriptName, Arg>> = {
  openJob: {
    job_id: 'job-1',
    now: 1,
    body_hash: 'body',
    fields: { status: 'distributing', version: '1', status_version: '1' },
    rows: [['consumer-0', JSON.stringify(rowInProgress('consumer-0'))]],
    events: said('created'),
    wake: keys.wake,
  },
  commit: {
    job_id: 'job-1',
    commit_id: 'call-1',
    version: '1',
    fence: '',
    claim: 'keep',
    raise: 'raised00',
    fields: { status: 'distributed', version: '2', status_version: '2' },
    rows: [['consumer-0', '0']],
    texts: [JSON.stringify({ ...rowInProgress('consumer-0'), rev: 1 }), ...said('moved')],
    tasks: [['task-1', '{}']],
    close_ms: 5_000,
    wake: keys.wake,
  },
  writeRow: {
    job_id: 'job-1',
    commit_id: 'call-1',
    consumer_id: 'consumer-0',
    version: '1',
    fence: '',
    claim: 'keep',
    rev: '0',
    delta: { ...emptyTally, open: -1, ok: 1, proven: 1 },
    fields: { updated_at: '7' },
    texts: [
      JSON.stringify({ ...rowInProgress('consumer-0'), distribute_status: 'succeeded', rev: 1 }),
      ...said('row_written'),
    ],
    tasks: [['task-1', '{}']],
    closings: {},
    wake: keys.wake,
  },
  beginStep: { job_id: 'job-1', status_version: '1', suffix: 'suffix01', late_ms: 30_000 },
  openLease: { job_id: 'job-1', fence: '4-current0', until_ms: '9000' },
  takeValue: { job_id: 'job-1', fence: '4-current0' },
  raiseFence: { suffix: 'suffix01', above: 6 },
  kick: { commit_id: 'call-1', status_version: '1', kick: '0', task_id: 'task-1', task: '{}' },
  adopt: {
    commit_id: 'call-1',
    claimant: 'adopt.one',
    step: 'take',
    suffix: 'suffix01',
    events: [],
    wake: keys.wake,
  },
  record: { commit_id: 'call-1', events: said('read_by_a_person'), wake: keys.wake },
  seal: { commit_id: 'call-1', head: '', seal: 'seal-1', seq_from: '', seq_to: '' },
  retire: {
    commit_id: 'call-1',
    first: nameOfSeal('seal-1'),
    leave: 2,
    stub: 'stub-2',
    min_id: '2-0',
    jobs: ['job-0'],
  },
  hold: { holder: 'one', ms: 60_000 },
  openEpoch: { from: '', to: 'epoch1' },
  raiseAlarm: {
    commit_id: 'call-1',
    id: 'job-1',
    at: 1_700_000_000_000,
    fresh: true,
    texts: ['"kind":"drill"'],
  },
  writeReceipt: { channel: 'slack', wake: keys.wake, texts: ['', '{"rev":1}', ...said('alarm_delivered')] },
  endAlarm: { id: 'job-1', rev: 1, keep_ms: 60_000 },
};

/** Sends the good call of a script, different where the test says so. */
export function send(world: StoreWorld, name: ScriptName, different: Arg = {}): Promise<ScriptAnswer> {
  return runScript(world.redis, name, scriptKeys[name], { ...goodArgs[name], ...different });
}

/** What `writeRow` needs to close a phase in each way; each way names itself in the job's status. */
export function closingsByName(): Arg {
  const closing = (outcome: string) => ({
    fields: { status: outcome },
    events: said(`closed_${outcome}`),
    tasks: [[`task-${outcome}`, '{}']],
    frees: false,
    close_ms: 0,
  });
  return Object.fromEntries(['all', 'wave', 'some', 'none'].map((outcome) => [outcome, closing(outcome)]));
}

export function tallyToHash(tally: Tally): Record<string, string> {
  return Object.fromEntries(Object.entries(tally).map(([key, count]) => [`t_${key}`, String(count)]));
}
