// The sheet that is drawn on: what has been put on it, in order, so that all of it can be undone.

/** Dispatches `change` whenever what is visible on it changes. */
export class Sheet extends EventTarget {
  // Each mark is {stroke: [points]}, {picture: file} or {cleared: true}. A point is
  // {x, y, width} in shares of the sheet's side.
  #marks = [];

  /** The strokes that are visible, each a list of points. */
  get strokes() {
    const shown = this.#marks.slice(this.#marks.findLastIndex((mark) => !mark.stroke) + 1);
    return shown.map((mark) => mark.stroke);
  }

  /** The picture file that is visible, or null. */
  get picture() {
    return this.#marks.at(-1)?.picture ?? null;
  }

  get isEmpty() {
    return !this.#marks.length || this.#marks.at(-1).cleared === true;
  }

  get canUndo() {
    return this.#marks.length > 0;
  }

  /** Puts the pen down; gives the stroke to draw on. */
  begin(point) {
    if (this.picture) this.#marks.push({ cleared: true });
    const stroke = [point];
    this.#marks.push({ stroke });
    this.#changed();
    return stroke;
  }

  /** Draws on with a stroke, unless it was taken back meanwhile. */
  extend(stroke, points) {
    if (this.#marks.at(-1)?.stroke !== stroke) return;
    stroke.push(...points);
    this.#changed();
  }

  /** Lays a picture file over everything. */
  lay(picture) {
    this.#marks.push({ picture });
    this.#changed();
  }

  undo() {
    if (this.#marks.pop()) this.#changed();
  }

  clear() {
    if (this.isEmpty) return;
    this.#marks.push({ cleared: true });
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
