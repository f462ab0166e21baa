// The picture file on the pad, the boxes around what was read in it, and what speaks for it.

import { SENT_SIDE } from "./ink.js";

/** Shows picture files in `image` or else `unshown`; boxes are like `frame`, and `layer` is over all. */
export class Picture {
  #image;
  #frames;
  #layer;
  #unshown;
  #file = null;
  #placed = new Map(); // where each frame and the layer are wanted

  constructor({ image, unshown, frame, layer }) {
    this.#image = image;
    this.#frames = [frame];
    this.#layer = layer;
    this.#unshown = unshown;
    image.addEventListener("error", () => {
      image.hidden = true;
      unshown.hidden = false;
    });
  }

  /** Shows a file, or none where it is null. */
  show(file) {
    if (file === this.#file) return;
    if (this.#file) URL.revokeObjectURL(this.#image.src);
    this.#file = file;
    this.#image.hidden = file === null;
    this.#unshown.hidden = true;
    if (file) this.#image.src = URL.createObjectURL(file);
    else this.#image.removeAttribute("src");
  }

  /** Draws boxes [left, top, width, height], in pixels of the picture or of a drawing. */
  mark(boxes) {
    while (this.#frames.length < boxes.length) this.#addFrame();
    this.#frames.forEach((frame, index) => {
      frame.classList.remove("chosen");
      this.#place(frame, boxes[index] ?? null);
    });
  }

  #addFrame() {
    const frame = this.#frames[0].cloneNode();
    frame.removeAttribute("id");
    this.#frames.at(-1).after(frame);
    this.#frames.push(frame);
  }

  /** Makes one of the boxes stand out. */
  choose(index) {
    this.#frames.forEach((frame, at) => frame.classList.toggle("chosen", at === index));
  }

  /** Lays a PNG in base64 over a box, over all where that is null; no PNG for nothing. */
  lay(png, box) {
    if (png) this.#layer.src = `data:image/png;base64,${png}`;
    this.#place(this.#layer, png ? (box ?? "all") : null);
  }

  async #place(element, box) {
    this.#placed.set(element, box);
    if (!box) return void (element.hidden = true);
    const size = this.#file ? await this.#size() : [SENT_SIDE, SENT_SIDE];
    if (this.#placed.get(element) !== box) return; // another came while the picture was decoded
    element.hidden = !size; // a format that this browser cannot show, though the service reads it
    if (!size) return;
    const [width, height] = size;
    const longest = Math.max(width, height);
    const [left, top, wide, high] = box === "all" ? [0, 0, width, height] : box;
    const place = {
      left: left + (longest - width) / 2,
      top: top + (longest - height) / 2,
      width: wide,
      height: high,
    };
    for (const [side, pixels] of Object.entries(place)) {
      element.style[side] = `${(100 * pixels) / longest}%`;
    }
  }

  async #size() {
    try {
      await this.#image.decode();
    } catch {
      return null;
    }
    return [this.#image.naturalWidth, this.#image.naturalHeight];
  }
}
