/** The TLS server. */
import { defineOptions } from '../option.ts';

export const serverOptions = defineOptions({
  'tls-server-address': {
    type: 'string',
    default: 'localhost',
    section: 'global',
    commands: ['server', 'server-ping'],
  },
  'tls-server-auth': {
    type: 'map',
    required: true,
    section: 'global',
    commands: ['server'],
  },
  'tls-server-ca-file': {
    type: 'path',
    required: true,
    section: 'global',
    commands: ['server'],
  },
  'tls-server-cert-file': {
    type: 'path',
    required: true,
    section: 'global',
    commands: ['server'],
  },
  'tls-server-key-file': {
    type: 'path',
    required: true,
    section: 'global',
    commands: ['server'],
  },
  'tls-server-port': {
    type: 'integer',
    default: 8432,
    range: [1, 65535],
    section: 'global',
    commands: ['server', 'server-ping'],
  },
});
