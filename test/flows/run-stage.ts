// The schedules of one stage from a command line, until the first that fails: `node test/flows/run-stage.ts <stage> [beginning of the fault's name]`
import { explore } from './explore.ts';
import { scheduleRedis } from './schedule-redis.ts';
import { emergencyCases } from './emergency-cases.ts';
import { stageCases } from './stage-cases.ts';

const [, , name = '', only = ''] = process.argv;
const all = [...stageCases, ...emergencyCases];
const stage = all.find((one) => one.name === name);
if (stage === undefined)
  throw new Error(`no stage is called '${name}': ${all.map((one) => one.name).join(', ')}`);

await using server = await scheduleRedis();
const { schedules, failures } = await explore(server.redis, stage, { only, untilFailure: true });
const [first] = failures;
console.log(
  first === undefined ? `${schedules} schedules` : `KILLED ${first.split('\n', 1)[0]?.slice(0, 200)}`,
);
