/** Where the boxes and arrows of a client's path stand, in one row or one column. Pure. */

export interface PathNode {
  readonly kind: string;
  readonly name: string;
  readonly more: string;
  /** How it is coloured. */
  readonly state: string;
}

export interface PathShape {
  readonly nodes: readonly PathNode[];
  /** Where the client goes if the last of the nodes is lost. */
  readonly otherwise: PathNode | undefined;
}

export interface PlacedNode extends PathNode {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface Arrow {
  /** What SVG draws. */
  readonly path: string;
  readonly head: string;
  readonly isMaybe: boolean;
}

export interface PathLayout {
  readonly width: number;
  readonly height: number;
  readonly nodes: readonly PlacedNode[];
  readonly arrows: readonly Arrow[];
}

const boxHeight = 78;
const boxWidthMax = 230;
const gap = 44;
const edge = 2;
const besideLeast = 720;

/** @param width what there is, in pixels */
export function layOut({ nodes, otherwise }: PathShape, width: number): PathLayout {
  return width < besideLeast ? column(nodes, otherwise, width) : row(nodes, otherwise, width);
}

function row(nodes: readonly PathNode[], otherwise: PathNode | undefined, width: number): PathLayout {
  const places = nodes.length;
  const boxWidth = Math.min(boxWidthMax, (width - 2 * edge - gap * (places - 1)) / places);
  const at = (node: PathNode, i: number, y: number): PlacedNode => ({
    ...node,
    x: edge + i * (boxWidth + gap),
    y,
    width: boxWidth,
    height: boxHeight,
  });
  const placed = nodes.map((node, i) => at(node, i, edge));
  const arrows = placed.slice(1).map((to, i) => across(placed[i]!, to));
  const total = 2 * edge + places * boxWidth + (places - 1) * gap;
  const [from] = placed.slice(-2);
  if (otherwise === undefined || from === undefined)
    return { width: total, height: 2 * edge + boxHeight, nodes: placed, arrows };
  const other = at({ ...otherwise, state: 'maybe' }, places - 1, edge + boxHeight + 34);
  const middle = from.x + from.width / 2;
  const y = other.y + boxHeight / 2;
  const turn: Arrow = {
    path: `M${middle} ${from.y + boxHeight}V${y - 10}Q${middle} ${y} ${middle + 10} ${y}H${other.x - 7}`,
    head: headRight(other.x, y),
    isMaybe: true,
  };
  return {
    width: total,
    height: other.y + boxHeight + edge,
    nodes: [...placed, other],
    arrows: [...arrows, turn],
  };
}

function column(nodes: readonly PathNode[], otherwise: PathNode | undefined, width: number): PathLayout {
  const all = otherwise === undefined ? nodes : [...nodes, { ...otherwise, state: 'maybe' }];
  const boxWidth = Math.min(360, width - 2 * edge);
  const placed = all.map(
    (node, i): PlacedNode => ({
      ...node,
      x: (width - boxWidth) / 2,
      y: edge + i * (boxHeight + 30),
      width: boxWidth,
      height: boxHeight,
    }),
  );
  const arrows = placed.slice(1).map((to, i) => down(placed[i]!, to, i + 1 >= nodes.length));
  return { width, height: (placed.at(-1)?.y ?? 0) + boxHeight + edge, nodes: placed, arrows };
}

function across(from: PlacedNode, to: PlacedNode): Arrow {
  const y = from.y + from.height / 2;
  return { path: `M${from.x + from.width} ${y}H${to.x - 7}`, head: headRight(to.x, y), isMaybe: false };
}

function down(from: PlacedNode, to: PlacedNode, isMaybe: boolean): Arrow {
  const x = from.x + from.width / 2;
  const y = to.y;
  return {
    path: `M${x} ${from.y + from.height}V${y - 7}`,
    head: `M${x} ${y}l-4.5 -8h9z`,
    isMaybe,
  };
}

function headRight(x: number, y: number): string {
  return `M${x} ${y}l-8 -4.5v9z`;
}
