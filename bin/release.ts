// The release step: a bad deploy stops here, with every problem named at once, before any process of it runs.
import { checkSetUp, redisProblems } from './cli/release-check.ts';
import { note, refuse, runCommand } from './cli/say.ts';

await runCommand(async () => {
  const { problems, manifest } = checkSetUp(process.env);
  const all = [...problems, ...(await redisProblems(process.env))];
  if (all.length > 0)
    refuse(`This release must not go out as it is:\n${all.map((problem) => `- ${problem}`).join('\n')}`);
  const { credentials = [], subscribers = [] } = manifest ?? {};
  note(
    `release: environment and Redis are fit; the manifest has ${credentials.length} credentials and ${subscribers.length} rows`,
  );
});
