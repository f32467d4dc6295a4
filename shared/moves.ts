// Each change of a job's status, told twice: as a line of the log, where `grep job_id=` reads the job's story, and as a number.
import type { Log } from './lib/log.ts';
import type { Metrics } from './lib/metrics.ts';
import type { Move } from './rotation/move.ts';

export function tellMoves(log: Log, metrics: Metrics): (move: Move) => void {
  return ({ job, to, on, operatorId, now }) => {
    log.info('status changed', {
      job_id: job.jobId,
      credential: job.credential,
      from: job.status,
      status: to,
      event: on,
      operator_id: operatorId,
    });
    metrics.count('entered', { flow: job.flowType, status: to });
    metrics.observe('stayed', { flow: job.flowType, status: job.status }, now - job.statusSince);
  };
}
