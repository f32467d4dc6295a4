// notify: tells the operator who moved the job last, or the operators' channel. At least once; a receipt keeps a repeat from being sent.
import { noticeReceipt } from '../../shared/rotation/notices.ts';
import type { Handler } from '../run.ts';
import { tellOfTest } from './alerts.ts';
import { messageFor } from './messages.ts';
import { notDelivered, post, type NotifierDeps } from './post.ts';

export function notify(deps: NotifierDeps): Handler {
  return {
    async run(task, context) {
      const job = await deps.store.load(task);
      if (job === null) return 'done';
      await tellOfTest(deps, context, job);
      const text = messageFor(job, await deps.store.rows(job), deps.publicUrl);
      const receipt = noticeReceipt(job);
      if (text === null || (await deps.store.hasReceipt(job, receipt))) return 'done';
      const person = job.movedBy?.slackUserId ?? null;
      const to = person === null ? 'operators' : { person };
      if ((await post(deps, context, { ref: job, to, text })) === null) return 'done';
      await deps.store.recordReceipt(job, receipt, deps.clock.now());
      return 'done';
    },
    failed: notDelivered(deps),
  };
}
