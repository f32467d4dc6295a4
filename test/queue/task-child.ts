// A worker process that takes tasks and never ends one. Says `running <task id>` on standard output; is killed by who started it.
import { Redis } from 'ioredis';
import { systemClock } from '../../shared/lib/clock.ts';
import { createLog } from '../../shared/lib/log.ts';
import { taskId } from '../../shared/rotation/effects.ts';
import { startWorker } from '../../workers/run.ts';
import { runTimes } from './tasks.ts';

startWorker({
  queue: 'distribute',
  connection: new Redis(String(process.argv[2]), { maxRetriesPerRequest: null }),
  handlers: {
    push_row: {
      run(task) {
        process.stdout.write(`running ${taskId(task)}\n`);
        return new Promise(() => undefined);
      },
      failed: () => Promise.resolve(),
    },
  },
  times: runTimes,
  clock: systemClock,
  log: createLog({ env: 'test', family: 'child', write: () => undefined }),
});
