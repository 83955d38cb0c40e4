/** What a restore brings back, where to, and how far recovery goes. */
import { defineOptions } from '../option.ts';

export const restoreOptions = defineOptions({
  'archive-mode': {
    type: 'word',
    allow: ['preserve', 'off'],
    default: 'preserve',
    section: 'global',
    commands: ['restore'],
    roles: ['main'],
  },
  'db-exclude': {
    type: 'list',
    section: 'global',
    commands: ['restore'],
    roles: ['main'],
  },
  'db-include': {
    type: 'list',
    section: 'global',
    commands: ['restore'],
    roles: ['main'],
  },
  'link-all': {
    type: 'boolean',
    default: false,
    section: 'global',
    commands: ['restore'],
    roles: ['main'],
  },
  'link-map': {
    type: 'map',
    section: 'global',
    commands: ['restore'],
    roles: ['main'],
  },
  'recovery-option': {
    type: 'map',
    section: 'global',
    commands: ['restore'],
    roles: ['main'],
    onlyIf: { option: 'type', is: ['default', 'immediate', 'lsn', 'name', 'time', 'standby', 'xid'] },
  },
  'tablespace-map': {
    type: 'map',
    section: 'global',
    commands: ['restore'],
    roles: ['main'],
  },
  'tablespace-map-all': {
    type: 'string',
    section: 'global',
    commands: ['restore'],
    roles: ['main'],
  },
  target: {
    type: 'string',
    required: true,
    section: 'command-line',
    commands: ['restore'],
    roles: ['main'],
    onlyIf: { option: 'type', is: ['lsn', 'name', 'time', 'xid'] },
  },
  'target-action': {
    type: 'word',
    allow: ['pause', 'promote', 'shutdown'],
    default: 'pause',
    section: 'command-line',
    commands: ['restore'],
    roles: ['main'],
    onlyIf: { option: 'type', is: ['immediate', 'lsn', 'name', 'time', 'xid'] },
  },
  'target-exclusive': {
    type: 'boolean',
    default: false,
    section: 'command-line',
    commands: ['restore'],
    roles: ['main'],
    onlyIf: { option: 'type', is: ['lsn', 'time', 'xid'] },
  },
  'target-timeline': {
    type: 'string',
    section: 'command-line',
    commands: ['restore'],
    roles: ['main'],
    onlyIf: { option: 'type', is: ['default', 'lsn', 'name', 'standby', 'time', 'xid'] },
  },
});
