/** Two rules of the kernel, written by hand, with one backend: what any balancer of the kernel costs at least. */
import { freePort } from '../../test/support/ports.ts';
import { deleteTable, forget, requireOwnHost, run } from '../kernel/rules.ts';
import type { Peer } from '../work.ts';

export const nat: Peer = {
  name: 'nat',
  title: 'nftables by hand',
  role: 'reference',
  transports: ['tcp', 'udp'],
  alone: true,
  async start({ transport, backend, place }) {
    requireOwnHost(place);
    const { host } = place;
    const port = await freePort(transport);
    const name = `by_hand_${port}`;
    const rule = `ip daddr ${host} ${transport} dport ${port} dnat ip to ${backend.host}:${backend.port}`;
    const chain = `type nat hook prerouting priority dstnat; ${rule};`;
    await run(place, 'nft', `table inet ${name} { chain before { ${chain} }; }`);
    return {
      host,
      port,
      pid: undefined,
      async stop() {
        await deleteTable(place, name);
        await forget(place);
      },
    };
  },
};
