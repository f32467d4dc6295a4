// notify: tells the operator who moved the job last, or the operators' channel. At least once; a receipt keeps a repeat from being sent.
import { isoTime } from '../../shared/lib/clock.ts';
import { leaseFrom } from '../../shared/lib/lease.ts';
import { systemOperator } from '../../shared/redis/events.ts';
import { noticeReceipt } from '../../shared/rotation/notices.ts';
import type { Handler } from '../run.ts';
import type { CoreDeps } from '../stages/deps.ts';
import type { VendorCall } from '../vendors/contract.ts';
import { messageFor } from './messages.ts';
import type { Slack } from './slack.ts';

export interface NotifierDeps extends CoreDeps {
  /** Null where Slack is not configured. */
  readonly slack: { readonly client: Slack; readonly operatorChannel: string } | null;
  readonly publicUrl: string | null;
}

export function notify(deps: NotifierDeps): Handler {
  return {
    async run(task, context) {
      const job = await deps.store.load(task);
      const text = job === null ? null : messageFor(job, await deps.store.rows(job), deps.publicUrl);
      if (job === null || text === null) return 'done';
      const receipt = noticeReceipt(job);
      if (await deps.store.hasReceipt(job, receipt)) return 'done';
      if (deps.slack === null) {
        context.log.warn('nobody told: SL_BOT_NOTIFY is not set', { status: job.status });
        return 'done';
      }
      const to = job.movedBy?.slackUserId ?? deps.slack.operatorChannel;
      const { leaseMs } = deps.times;
      const fence = `0-${task.kick}`;
      const lease = leaseFrom(deps.clock, fence, deps.clock.now() + leaseMs, deps.clock.monotonic(), leaseMs);
      const call: VendorCall = { jobId: job.jobId, fence, lease, signal: context.signal, repeat: false };
      const ts = await deps.slack.client.post(call, to, text);
      await deps.store.recordReceipt(job, receipt, deps.clock.now());
      context.log.info('operator told', { status: job.status, to, slack_ts: ts });
      return 'done';
    },

    // The job does not depend on its message; that nobody was told is on record, with the reason.
    failed: (task, error) =>
      deps.claims.record(task.credential, task.env, {
        at: isoTime(deps.clock.now()),
        env: task.env,
        job_id: task.jobId,
        credential: task.credential,
        operator_id: systemOperator,
        from_state: null,
        to_state: null,
        event: 'notice_lost',
        detail: { code: error.code, reason: error.detail },
      }),
  };
}
