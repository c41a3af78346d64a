/**
 * The network of `--kernel`: three hosts in a row. The one in the middle is the relay's; with no relay on it, it only routes.
 *
 *     client 10.91.0.2 ------ 10.91.0.1 relay 10.92.0.1 ------ 10.92.0.2 backend
 *     clients' addresses 10.91.1.1 to .250
 */
import { createNamespaces, hostsWork, type Namespaces } from '../../test/support/namespaces.ts';
import type { Places } from '../work.ts';

const clientAddresses = 250;

export interface KernelNetwork {
  readonly places: Places;
  close(): void;
}

/** Rejects where hosts cannot be made. */
export async function createKernelNetwork(): Promise<KernelNetwork> {
  if (!hostsWork())
    throw new Error('--kernel makes network namespaces: it needs root, and ip(8) of iproute2');
  const world = await createNamespaces('client', 'relay', 'backend');
  await join(world);
  const place = (host: string, address: string) => ({ host: address, wrapper: world.wrapper(host) });
  return {
    places: {
      clients: { ...place('client', '10.91.1.1'), addresses: clientAddresses },
      relay: place('relay', '10.91.0.1'),
      backend: place('backend', '10.92.0.2'),
    },
    close: () => world.close(),
  };
}

async function join(world: Namespaces): Promise<void> {
  await world.link('client', ['10.91.0.2/24'], 'relay', ['10.91.0.1/24']);
  await world.link('relay', ['10.92.0.1/24'], 'backend', ['10.92.0.2/24']);
  await world.ip('client', 'route', 'add', 'default', 'via', '10.91.0.1');
  await world.ip('backend', 'route', 'add', 'default', 'via', '10.92.0.1');
  // All of them are the client's, without 250 commands.
  await world.ip('client', 'route', 'add', 'local', '10.91.1.0/24', 'dev', 'lo');
  await world.ip('relay', 'route', 'add', '10.91.1.0/24', 'via', '10.91.0.2');
  await world.sysctl('relay', 'net.ipv4.ip_forward', 1);
  // As docs/KERNEL.md asks for.
  await world.sysctl('relay', 'net.netfilter.nf_conntrack_acct', 1);
  await world.sysctl('relay', 'net.netfilter.nf_conntrack_tcp_be_liberal', 1);
}
