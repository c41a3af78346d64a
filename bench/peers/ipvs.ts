/** The kernel's own balancer in NAT mode (masquerading), where the kernel has it. */
import { existsSync } from 'node:fs';
import { findCommand } from '../../test/support/packages.ts';
import { freePort } from '../../test/support/ports.ts';
import { forget, requireOwnHost, run } from '../kernel/rules.ts';
import type { Peer } from '../work.ts';

export const ipvs: Peer = {
  name: 'ipvs',
  title: 'IPVS',
  role: 'reference',
  transports: ['tcp', 'udp'],
  alone: true,
  async start({ transport, backend, place }) {
    requireOwnHost(place);
    if (!existsSync('/proc/net/ip_vs'))
      throw new Error('this kernel has no IP_VS, or its module is not loaded');
    if (findCommand('ipvsadm') === undefined) throw new Error('ipvsadm is not installed');
    const { host } = place;
    const port = await freePort(transport);
    const service = [transport === 'tcp' ? '-t' : '-u', `${host}:${port}`];
    await run(place, 'ipvsadm', '-A', ...service, '-s', 'mh');
    await run(place, 'ipvsadm', '-a', ...service, '-r', `${backend.host}:${backend.port}`, '-m');
    return {
      host,
      port,
      pid: undefined,
      async stop() {
        await run(place, 'ipvsadm', '-D', ...service);
        await forget(place);
      },
    };
  },
};
