// An emergency comes to its end, whatever dies when: every fault at every effect of it, alone and where it stops a rotation.
import { emergencyCases } from './emergency-cases.ts';
import { exploring } from './schedule-tests.ts';

exploring(emergencyCases.filter(({ part }) => part === 'emergency'));
