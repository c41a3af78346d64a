/** What a game server says of itself, in whatever protocol. */
export interface ServerInfo {
  readonly players: number;
  readonly slots: number;
}
