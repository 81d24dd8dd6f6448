/** A picture made from an address alone: five by five squares, left and right alike, and two hues. */

export interface Identicon {
  readonly hue: number;
  readonly groundHue: number;
  /** Filled squares as [column, row]. */
  readonly cells: readonly (readonly [number, number])[];
}

const SIZE = 5;

export function identicon(address: string): Identicon {
  const next = generator(address.toLowerCase());
  const hue = Math.floor(next() * 360);
  const groundHue = Math.floor(next() * 360);
  const cells: [number, number][] = [];
  for (let row = 0; row < SIZE; row += 1) {
    for (let column = 0; column < Math.ceil(SIZE / 2); column += 1) {
      if (next() < 0.5) continue;
      cells.push([column, row]);
      const mirrored = SIZE - 1 - column;
      if (mirrored !== column) cells.push([mirrored, row]);
    }
  }
  return { hue, groundHue, cells };
}

/** FNV-1a, mixed as murmur3 does, into xorshift: tells pictures apart, protects nothing. */
function generator(text: string): () => number {
  let state = 0x811c9dc5;
  for (const character of text) {
    state = Math.imul(state ^ (character.codePointAt(0) ?? 0), 0x01000193) >>> 0;
  }
  state = Math.imul(state ^ (state >>> 16), 0x85ebca6b) >>> 0;
  state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35) >>> 0;
  state = (state ^ (state >>> 16)) >>> 0 || 1;
  return () => {
    state = (state ^ (state << 13)) >>> 0;
    state = (state ^ (state >>> 17)) >>> 0;
    state = (state ^ (state << 5)) >>> 0;
    return state / 2 ** 32;
  };
}
