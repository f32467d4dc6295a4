// What the alert channel hears of: a job that is stuck, a credential that is overdue, a copy that has drifted. Each once, kept by a receipt.
import { isoTime } from '../../shared/lib/clock.ts';
import { scheduleOperator } from '../../shared/redis/events.ts';
import type { Job } from '../../shared/rotation/job.ts';
import { stuckOf, stuckReceipt } from '../../shared/rotation/notices.ts';
import type { Row } from '../../shared/rotation/rows.ts';
import type { Handler, TaskContext, Verdict } from '../run.ts';
import { about, escaped, wrongIn } from './messages.ts';
import { alarmWaits, notDelivered, post, type NotifierDeps } from './post.ts';

/** tell_stuck: the sweeper's order. By the time that it is carried out the job may have moved on. */
export function tellStuck(deps: NotifierDeps): Handler {
  return {
    async run(task, context) {
      const job = await deps.store.load(task);
      if (job === null || job.statusVersion !== task.version) return 'done';
      const stuck = stuckOf(job, await deps.store.rows(job), deps.clock.now(), deps.times.stuckAfterMs);
      const receipt = stuckReceipt(job);
      if (stuck === null || (await deps.store.hasReceipt(job, receipt))) return 'done';
      if (await alarmWaits(deps, 'slack')) return { laterMs: deps.times.alarmYieldMs };
      const said = { title: 'Stuck', rest: `: ${escaped(stuck.reason)}` };
      const text = about(job, said, deps.publicUrl);
      const logged = { notice: 'stuck', status: job.status };
      if ((await post(deps, context, { ref: task, to: 'alert', text, logged })) === null) return 'done';
      await deps.store.recordReceipt(job, receipt, deps.clock.now());
      return 'done';
    },
    failed: notDelivered(deps),
  };
}

/** tell_overdue: the schedule's order, about a credential and no job; `version` is the due time that was missed. */
export function tellOverdue(deps: NotifierDeps): Handler {
  return {
    async run(task, context) {
      const { since, told_overdue } = await deps.schedules.load(task);
      if (since === null || since > task.version || told_overdue >= task.version) return 'done';
      if (await alarmWaits(deps, 'slack')) return { laterMs: deps.times.alarmYieldMs };
      const claimant = await deps.store.claimant(task);
      const job = claimant === null ? null : await deps.store.load({ ...task, jobId: claimant });
      const next =
        job === null
          ? 'No rotation is open: begin one.'
          : `Job \`${job.jobId}\` stands in ${job.status}: go on with it.`;
      const text = `Rotation overdue: \`${escaped(task.credential)}\` (${task.env}) was due on ${isoTime(task.version)}, and has the same value since ${isoTime(since)}. ${next}`;
      const logged = { notice: 'overdue' };
      if ((await post(deps, context, { ref: task, to: 'alert', text, logged })) === null) return 'done';
      await deps.schedules.note(task, { told_overdue: task.version });
      return 'done';
    },
    failed: notDelivered(deps),
  };
}

/** Codes of a row that say that a copy is not what it should be, as against one that could not be looked at. */
const wrongCopies = ['consumer_on_other_value', 'consumer_on_old_value', 'consumer_unauthorized'];

function hasDrifted(job: Job, rows: readonly Row[]): boolean {
  const wrong = rows.some(
    (row) => row.validate_status === 'failed' && wrongCopies.includes(row.error?.code ?? ''),
  );
  return wrong || job.currentState === 'dead';
}

/** What a test found wrong, as far as it is the same finding: by names and codes. Empty where nothing was. */
function findingOf(job: Job, rows: readonly Row[]): string {
  const bad = rows.filter((row) => row.validate_status === 'failed');
  const names = bad.map((row) => `${row.consumer_id} ${row.error?.code ?? 'unknown'}`);
  return [...(job.error === null ? [] : [job.error.code]), ...names.toSorted()].join(', ');
}

/** Of a test that came to its end: what it found is told once, and again when it has changed. A drift goes to the alert channel, behind the alarm. */
export async function tellOfTest(deps: NotifierDeps, context: TaskContext, job: Job): Promise<Verdict> {
  if (job.flowType !== 'testing' || (job.status !== 'verified' && job.status !== 'verify_failed'))
    return 'done';
  const rows = await deps.store.rows(job);
  const finding = job.status === 'verified' ? '' : findingOf(job, rows);
  if (finding === (await deps.schedules.load(job)).told_test) return 'done';
  const drifted = hasDrifted(job, rows);
  // Of a drift everybody hears; all else is told to who asked for the test, and nobody asked for the schedule's.
  if (drifted && finding !== '' && (await alarmWaits(deps, 'slack')))
    return { laterMs: deps.times.alarmYieldMs };
  if (finding !== '' && (drifted || job.createdBy === scheduleOperator)) {
    const said = wrongIn(job, rows, drifted ? 'Drift' : 'The drift check could not look at everything');
    const text = about(job, said, deps.publicUrl);
    const to = drifted ? 'alert' : 'operators';
    const logged = { notice: drifted ? 'drift' : 'drift check', status: job.status };
    if ((await post(deps, context, { ref: job, to, text, logged })) === null) return 'done';
  }
  await deps.schedules.note(job, { told_test: finding });
  return 'done';
}
