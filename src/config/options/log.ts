/** What is logged, where and how. */
import { repoCommands } from '../command-sets.ts';
import { defineOptions } from '../option.ts';

export const logOptions = defineOptions({
  'log-level-console': {
    type: 'word',
    allow: ['off', 'error', 'warn', 'info', 'detail', 'debug', 'trace'],
    default: 'warn',
    section: 'global',
  },
  'log-level-file': {
    type: 'word',
    allow: ['off', 'error', 'warn', 'info', 'detail', 'debug', 'trace'],
    default: 'info',
    section: 'global',
  },
  'log-level-stderr': {
    type: 'word',
    allow: ['off', 'error', 'warn', 'info', 'detail', 'debug', 'trace'],
    default: 'off',
    section: 'global',
  },
  'log-path': {
    type: 'path',
    default: '/var/log/pgbackrest',
    section: 'global',
  },
  'log-subprocess': {
    type: 'boolean',
    default: false,
    section: 'global',
    commands: repoCommands,
  },
  'log-timestamp': {
    type: 'boolean',
    default: true,
    section: 'global',
  },
});
