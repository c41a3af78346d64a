/** Whether the epoll engine works here: makes what it cannot do without, and puts it away again. */
import { EFD_CLOEXEC, EPOLL_CLOEXEC } from '../../linux/constants.ts';
import { errnoName } from '../../linux/errno.ts';
import { close, epollCreate, eventfd } from '../../linux/libc.ts';

/** Undefined if it works, else what is in the way. Importing this file throws where koffi does not load. */
export function probe(): string | undefined {
  const epoll = epollCreate(EPOLL_CLOEXEC);
  if (epoll < 0) return `epoll_create1: ${errnoName(epoll)}`;
  close(epoll);
  const wake = eventfd(EFD_CLOEXEC);
  if (wake < 0) return `eventfd: ${errnoName(wake)}`;
  close(wake);
  return undefined;
}
