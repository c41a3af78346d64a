/** Datagrams that were dropped, by why: which counter, and the word that metrics and the admin API say. */
export const datagramDrops = [
  ['droppedQueueFull', 'queue-full'],
  ['droppedTooLong', 'too-long'],
  ['droppedWaiting', 'waiting-full'],
  ['droppedUnknown', 'unknown-source'],
  ['droppedShutdown', 'shutdown'],
  ['droppedRate', 'rate'],
  ['droppedReceiveBuffer', 'receive-buffer-full'],
  ['droppedBackendBuffer', 'backend-receive-buffer-full'],
  ['droppedServerSource', 'server-source'],
  ['droppedProxyHeader', 'proxy-header'],
  ['droppedRebind', 'rebind-limit'],
] as const;
