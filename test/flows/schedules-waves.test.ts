// A wave is written only after the one before it is complete, whatever dies when: every fault at every effect between two waves.
import { exploring } from './schedule-tests.ts';
import { stageCases } from './stage-cases.ts';

exploring(stageCases.filter(({ part }) => part === 'waves'));
