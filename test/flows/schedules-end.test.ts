// The same from the first proof to the end of the old token, and for what operators ask for on the way.
import { exploring } from './schedule-tests.ts';
import { stageCases } from './stage-cases.ts';

exploring(stageCases.filter(({ part }) => part === 'to the end'));
