// The same from the first proof to the end of the old token, for cleanups, and for what operators ask for.
import { exploring } from './schedule-tests.ts';
import { stageCases } from './stage-cases.ts';

exploring(stageCases.filter(({ half }) => half === 'to the end'));
