// notify: tells the operator who moved the job last, or the operators' channel. At least once; a receipt keeps a repeat from being sent.
import type { Job } from '../../shared/rotation/job.ts';
import { noticeReceipt } from '../../shared/rotation/notices.ts';
import type { Handler } from '../run.ts';
import { tellOfTest } from './alerts.ts';
import { messageFor } from './messages.ts';
import { alarmWaits, notDelivered, post, type NotifierDeps } from './post.ts';

export function notify(deps: NotifierDeps): Handler {
  return {
    async run(task, context) {
      const job = await deps.store.load(task);
      if (job === null) return 'done';
      const waits = await tellOfTest(deps, context, job);
      if (waits !== 'done') return waits;
      if (await goesOnByItself(deps, job)) return 'done';
      const text = messageFor(job, await deps.store.rows(job), deps.publicUrl);
      const receipt = noticeReceipt(job);
      if (text === null || (await deps.store.hasReceipt(job, receipt))) return 'done';
      if (await alarmWaits(deps, 'dm')) return { laterMs: deps.times.alarmYieldMs };
      const person = job.movedBy?.slackUserId ?? null;
      const to = person === null ? 'operators' : { person };
      const logged = { status: job.status };
      if ((await post(deps, context, { ref: job, to, text, logged })) === null) return 'done';
      await deps.store.recordReceipt(job, receipt, deps.clock.now());
      return 'done';
    },
    failed: notDelivered(deps),
  };
}

/** A scheduled rotation that may mint waits for nobody at that gate, unless rotations were switched off meanwhile. */
async function goesOnByItself(deps: NotifierDeps, { status, autoUntil }: Job): Promise<boolean> {
  const passes = status === 'verified' && autoUntil === 'validated';
  return passes && (await deps.system.flags()).velvet_v2_rotation;
}
