/** How many beds stand in each row: the largest tiles of a good shape that the room allows, every row filled. Pure. */

/** A tile is used best at about this width to height. */
const SHAPE = 1.35;
const PHONE_PX = 700;

/**
 * @param {number} beds @param {number} width CSS px @param {number} height CSS px
 * @returns {{rows: number[], minHeight: number}} beds of each row; least height of a row, 0 where rows share the height
 */
export function arrange(beds, width, height) {
  if (beds <= 0) return { rows: [], minHeight: 0 };
  if (width < PHONE_PX) {
    const columns = beds > 16 ? 2 : 1;
    return { rows: spread(beds, Math.ceil(beds / columns)), minHeight: beds === 1 ? 420 : beds <= 8 ? 260 : 132 };
  }
  let best = 1;
  let most = 0;
  for (let rows = 1; rows <= beds; rows += 1) {
    const columns = Math.ceil(beds / rows);
    const size = Math.min(width / columns / SHAPE, height / rows);
    // Every row must hold a bed, or the rows were counted wrongly.
    if (size > most + 0.5) {
      most = size;
      best = rows;
    }
  }
  return { rows: spread(beds, best), minHeight: 0 };
}

/** @param {number} beds @param {number} rows */
function spread(beds, rows) {
  const least = Math.floor(beds / rows);
  const extra = beds - least * rows;
  return Array.from({ length: rows }, (_, i) => least + (i < extra ? 1 : 0));
}

/**
 * Puts the arrangement on a grid in which tiles of unequal rows are whole numbers of columns wide.
 * @param {HTMLElement} grid @param {HTMLElement[]} tiles @param {{rows: number[], minHeight: number}} plan
 */
export function place(grid, tiles, plan) {
  const columns = plan.rows.reduce((a, b) => (a * b) / gcd(a, b), 1);
  grid.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
  grid.style.gridAutoRows = `minmax(${plan.minHeight}px, 1fr)`;
  let tile = 0;
  for (const n of plan.rows) for (let i = 0; i < n; i += 1, tile += 1) if (tiles[tile]) tiles[tile].style.gridColumn = `span ${columns / n}`;
}

/** @param {number} a @param {number} b @returns {number} */
function gcd(a, b) {
  return b ? gcd(b, a % b) : a;
}
